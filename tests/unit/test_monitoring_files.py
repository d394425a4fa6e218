"""The alert rules, the dashboard and the page about them know the figures that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Histogram

from gateway import metrics
from gateway.service import gauges
from gateway.spool.balances import Reading
from gateway.spool.gauges import Gauges

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus").glob("*.rules.yml"))
DASHBOARD = DEPLOY / "grafana" / "email2sms.json"
SOMETHING = Gauges(1, 1, 1, 1, 1, 1.0, 1, 1, (), {}, {"day": 1.0}, {"main": Reading("main", 1.0, 1.0, "RUB")}, 1)
OF_THE_SCRAPE = {"job", "instance"}
_NAME = re.compile(r"\b((?:email2sms[_:]|process_)[a-z0-9_:]+)(\{[^}]*\})?")
_KEY = re.compile(r"(\w+) *(?:=~|!~|!=|=)")


def series() -> dict[str, set[str]]:
    """Each series that a gateway can show, and its labels."""
    found: dict[str, set[str]] = {}
    for collector in metrics.REGISTRY._collector_to_names:
        assert hasattr(collector, "_labelnames")
        labels = set(collector._labelnames)
        name = next(iter(collector.describe())).name  # type: ignore[attr-defined]
        if isinstance(collector, Counter):
            found[f"{name}_total"] = labels
        elif isinstance(collector, Histogram):
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    for family in gauges._gauges(SOMETHING, {"main": Decimal(2)}):
        found[family.name] = {label for sample in family.samples for label in sample.labels}
    of_a_process = {"pid"}  # where there are several
    return found | {f"process_{name}": of_a_process for name in ("cpu_seconds_total", "resident_memory_bytes")}


KNOWN = series()


def rules() -> Iterator[tuple[str, str]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                yield rule.get("alert") or rule["record"], rule["expr"]


def panels() -> Iterator[tuple[str, str]]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"].removeprefix("label_values(").partition(",")[0]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


EXPRESSIONS = [*rules(), *panels()]


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS, ids=[title for title, _ in EXPRESSIONS])
def test_every_series_of_an_expression_is_one_of_ours(title: str, expression: str) -> None:
    records = {name: {"job", "provider"} for name, _ in rules() if ":" in name}
    known = KNOWN | records
    used = _NAME.findall(expression)
    assert used or 'up{job="email2sms"}' in expression
    for name, selector in used:
        assert name in known, title
        assert {*_KEY.findall(selector)} <= known[name] | OF_THE_SCRAPE, title
    anywhere = OF_THE_SCRAPE.union(*(known[name] for name, _ in used))
    for grouping in re.findall(r"\bby *\(([^)]*)\)", expression):
        assert {label.strip() for label in grouping.split(",")} <= anywhere, title


def test_the_dashboard_stands_on_a_variable_of_its_data_source() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    source = {"type": "prometheus", "uid": "${datasource}"}
    drawn = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(panel["datasource"] == source for panel in drawn)
    assert [one["name"] for one in dashboard["templating"]["list"] if one["type"] == "datasource"] == ["datasource"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_no_panel_covers_another() -> None:
    taken: dict[tuple[int, int], Any] = {}
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_alert_says_how_bad_it_is_and_is_explained() -> None:
    page = (DEPLOY / "monitoring.md").read_text("utf-8")
    for path in RULES:
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    assert rule["labels"]["severity"] in ("warning", "critical")
                    assert rule["annotations"]["summary"]
                    assert f"`{rule['alert']}`" in page


def test_the_page_names_every_series_and_no_other() -> None:
    page = (DEPLOY / "monitoring.md").read_text("utf-8").partition("## All figures")[2]
    listed = set(re.findall(r"^\| `([a-z]\w+)`", page, re.MULTILINE))
    plain = {re.sub(r"_(bucket|sum|count)$", "", name) for name in KNOWN if name.startswith(metrics.PREFIX)}
    assert listed == {name.removeprefix(metrics.PREFIX) for name in plain}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_is_content() -> None:
    folder = DEPLOY / "prometheus"
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "email2sms.rules.test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
