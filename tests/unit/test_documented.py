"""What one may type stands in the pages: each verb of the command line, each key of a search, each verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.app import app
from gateway.policy.permissions import Role, Scope
from gateway.policy.search import KEYS, STATUSES, VERDICTS

ROOT = Path(__file__).parents[2]
CONSOLE = (ROOT / "deploy" / "console.md").read_text("utf-8")
FILES = (ROOT / "README.md", *(ROOT / "deploy").rglob("*.md"), *(ROOT / "config").rglob("*.md"))
PAGES = " ".join(file.read_text("utf-8") for file in FILES)


def verbs(command: Any, path: str) -> Iterator[str]:
    if not hasattr(command, "list_commands"):
        yield path
        return
    context = command.make_context(path, [], resilient_parsing=True)
    for name in command.list_commands(context):
        yield from verbs(command.get_command(context, name), f"{path} {name}")


VERBS = list(verbs(typer.main.get_command(app), "email2sms"))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_stands_in_a_page(verb: str) -> None:
    group, _, last = verb.rpartition(" ")
    listed = rf"`{re.escape(group)} \w[\w -]*`(, `[\w -]+`)*, `{re.escape(last)}`"  # `email2sms user list`, `add`
    assert re.search(rf"\b{re.escape(verb)}\b|{listed}", PAGES), f"{verb} is documented nowhere"


def test_every_word_of_a_search_is_explained() -> None:
    table = CONSOLE.partition("| key | finds |")[2].partition("\n\n")[0]
    words = {*re.findall(r"`([\w-]+):?`", table)}
    assert {*KEYS, *STATUSES, *(code.replace(" ", "-") for code in VERDICTS)} <= words


def test_every_right_is_explained() -> None:
    assert {role.value for role in Role} <= {*re.findall(r"^\| (\w+) \|", CONSOLE, re.MULTILINE)}
    assert {scope.value for scope in Scope} <= {*re.findall(r"`(\w+)`", CONSOLE)}
