"""Mails of monitoring programs → the facts: state and name, host and severity, value, time.

By the labels of the programs' own templates: Zabbix (also before 4.4), Nagios, Icinga 2; and the lists of alerts of
Alertmanager and Grafana, as text and as what their HTML shows. A text that is none of these stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_MAX_LINE = 1000


@dataclass(slots=True)
class _Facts:
    """One alert. Each fact is taken where it stands first."""

    state: str = ""
    name: str = ""
    host: str = ""
    severity: str = ""
    value: str = ""
    time: str = ""

    def take(self, role: str, value: str) -> None:
        value = value.strip()
        if value and value not in _NOTHING and not getattr(self, role):
            setattr(self, role, value)

    def lines(self) -> Iterator[str]:
        yield ": ".join(filter(None, (self.state.upper(), self.name or self.host)))
        yield ", ".join(filter(None, (self.host if self.name else "", self.severity)))
        yield self.value
        yield self.time


_NOTHING = frozenset({"*UNKNOWN*", "N/A", "-"})


def shortened(text: str) -> str | None:
    """State and name, host and severity, value, time: a line each. None: no monitoring program wrote this."""
    lines = [line.strip()[:_MAX_LINE] for line in text.split("\n")]
    alerts = _labelled(lines) or _listed(lines)
    return "\n".join(line for facts in alerts for line in facts.lines() if line) or None


# ── Zabbix, Nagios, Icinga: one problem, a label in each line ────────────────────────────────


_FIRST: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"Problem started at (?P<time>\S+ on \S+)"), "problem"),
    (re.compile(r"Problem has been resolved (?:in .{1,40} )?at (?P<time>\S+ on \S+)"), "resolved"),
    (re.compile(r"Trigger: (?P<name>.+)"), ""),
    (re.compile(r"\*{3,} ?Nagios.{0,40} ?\*{3,}"), ""),
    (re.compile(r"\*{3,} ?(?:Service|Host) Monitoring on .{1,200} \*{3,}"), ""),
)
"""By such a line, and two facts at least, is the template known."""
_LABELS: Mapping[str, str] = {
    "problem name": "name",
    "trigger": "name",
    "service": "name",
    "host": "host",
    "severity": "severity",
    "trigger severity": "severity",
    "trigger status": "state",
    "notification type": "state",
    "operational data": "value",
    "info": "value",
    "when": "time",
    "date/time": "time",
}
_LABEL = re.compile(r"([A-Z][A-Za-z/ ]{2,20}): +(\S.*)")
_ICINGA = re.compile(r".{1,300} is (OK|WARNING|CRITICAL|UNKNOWN|UP|DOWN)!")
_ITEM = re.compile(r"\d\. (.{1,300})\): (.*)")
_ADDITIONAL = re.compile(r"Additional Info: *(.*)")


def _labelled(lines: list[str]) -> list[_Facts]:
    facts = _Facts()
    found = next((match for line in lines[:10] if (match := _first(line))), None)
    if found is None:
        return []
    for index, line in enumerate(lines):
        _take(facts, line, next((other for other in lines[index + 1 : index + 4] if other), ""))
    return [facts] if (facts.name or facts.host) and (facts.state or facts.severity) else []


def _first(line: str) -> re.Match[str] | None:
    return next((match for pattern, _ in _FIRST if (match := pattern.fullmatch(line))), None)


def _take(facts: _Facts, line: str, following: str) -> None:
    for pattern, state in _FIRST:
        if match := pattern.fullmatch(line):
            facts.take("state", state)
            for role, value in match.groupdict().items():
                facts.take(role, value.replace(" on ", " ") if role == "time" else value)
            return
    if match := _ADDITIONAL.fullmatch(line):
        facts.take("value", match[1] or following)
    elif match := _LABEL.fullmatch(line):
        label, value = match[1].lower(), match[2]
        if role := _LABELS.get(label, ""):
            facts.take(role, value)
        elif label == "state":  # Nagios: what the notification is about, PROBLEM or RECOVERY, says less
            facts.state = value
    elif match := _ICINGA.fullmatch(line):
        facts.state = match[1]
    elif match := _ITEM.fullmatch(line):
        facts.take("value", match[2])


# ── Alertmanager, Grafana: lists of alerts, each with labels and annotations ─────────────────


_STATE = re.compile(r"(?:\[\d+\] |\(\d+\) )?(Firing|Resolved)", re.IGNORECASE)
_HEADING = re.compile(r"(Labels|Annotations|Values|Summary|Description)(?:: *(.*))?")
_END = re.compile(r"(?:Source|Silence|View .{1,20}|Runbook: .*|Go to the Alerts page: .*|.{0,30}Sent by .*|-{3,})")
_LINE_PAIR = re.compile(r"([A-Za-z_]\w{0,60})(?: ?= ?| )(\S.*)", re.ASCII)
"""``name = value``, or two cells of a table."""
_PAIR = re.compile(r"([A-Za-z_]\w{0,60})[= ]([^{}=,\]]{1,300})(?:\}|, |\]|$)", re.ASCII)
"""Several in one line, as Go prints them: ``[a=b, c=d]`` or ``[{a b} {c d}]``."""
_HOSTS = ("instance", "host", "hostname", "node", "pod", "job")
_SEVERITIES = ("severity", "priority", "level")
_TEXTS = ("summary", "description", "message", "values")
_OBSERVED = re.compile(r"Observed .{1,60} before this notification was delivered, at (.{1,60})")


def _listed(lines: list[str]) -> list[_Facts]:
    if "Labels" not in (line[:6] for line in lines) or not any(map(_STATE.fullmatch, lines)):
        return []
    alerts: list[dict[str, str]] = []
    state, heading, is_open = "", "", False
    for line in filter(None, lines):
        if match := _STATE.fullmatch(line):
            state, heading, is_open = match[1], "", False
        elif match := _HEADING.fullmatch(line):
            heading = match[1].lower()
            if not is_open or (heading == "labels" and "alertname" in alerts[-1]):
                alerts.append({"state": state})
                is_open = True
            _add(alerts[-1], heading, match[2] or "")
        elif _END.fullmatch(line):
            heading = ""
        elif is_open and (match := _OBSERVED.fullmatch(line)):
            alerts[-1]["time"] = match[1]
        elif is_open:
            _add(alerts[-1], heading, line)
    return [_facts(alert) for alert in alerts if "alertname" in alert]


def _add(alert: dict[str, str], heading: str, line: str) -> None:
    """Each name once: labels stand before annotations."""
    if heading in ("labels", "annotations"):
        match = _LINE_PAIR.fullmatch(line)
        pairs = [(match[1], match[2])] if match else _PAIR.findall(line)
        for name, value in pairs:
            alert.setdefault(name, value.strip())
    elif heading and line:
        alert.setdefault(heading, line)


def _facts(alert: Mapping[str, str]) -> _Facts:
    def first(names: tuple[str, ...]) -> str:
        return next((alert[name] for name in names if alert.get(name)), "")

    return _Facts(
        state=alert["state"],
        name=alert["alertname"],
        host=first(_HOSTS),
        severity=first(_SEVERITIES),
        value=first(_TEXTS),
        time=alert.get("time", ""),
    )
