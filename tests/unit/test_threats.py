"""Each test that the threat model names exists: a defence that nobody checks any more is none."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
MODEL = TESTS.parent / "deploy" / "security.md"
NAMED = re.compile(r"`((?:unit|smtp|contract|bad_configs|console|e2e)/[\w/]+\.py)(?:::(\w+))?`")


def test_the_threat_model_names_tests_that_exist() -> None:
    named = NAMED.findall(MODEL.read_text("utf-8"))
    assert len(named) > 60
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).exists() or not re.search(rf"def {name}\b", (TESTS / file).read_text("utf-8"))
    ]
    assert missing == []


def test_every_attack_names_one() -> None:
    """Or says in words why there is none."""
    tables = MODEL.read_text("utf-8").partition("## Attack, defence, test")[2]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and "shown by" not in line]
    without = [row.split("|")[1].strip() for row in rows if not NAMED.search(row)]
    assert without == ["the supply chain"]
