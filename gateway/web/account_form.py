"""The settings of an account as a form for people, and back. What the form has no field for stands in it as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from gateway.settings.document import Key


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``kind``: ``line``, ``lines`` (one value a line), ``number``, ``choice`` or ``several``."""

    key: str
    """As in ``accounts.yaml``: ``limits.per_day``."""
    kind: str
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its words."""
        return self.key.replace(".", "_")


SECTIONS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    (
        "who",
        (
            Field("senders", "lines"),
            Field("networks", "lines"),
            Field("verify", "choice", ("any", "dmarc", "network", "auth")),
        ),
    ),
    (
        "what",
        (
            Field("originators", "lines"),
            Field("phone", "line"),
            Field("text.transliterate", "choice", ("never", "when_shorter", "always")),
            Field("text.on_too_long", "choice", ("refuse", "cut")),
        ),
    ),
    (
        "limits",
        (
            Field("limits.per_hour", "number"),
            Field("limits.per_day", "number"),
            Field("limits.segments_per_day", "number"),
            Field("limits.spend_per_day", "number"),
            Field("limits.max_segments", "number"),
            Field("limits.hold_above", "number"),
        ),
    ),
    (
        "answers",
        (
            Field("language", "choice", ("en", "ru", "uk")),
            Field("confirm", "several", ("sent", "receipt")),
        ),
    ),
)
FIELDS = tuple(field for _, fields in SECTIONS for field in fields)
REST = "rest"
"""The field with the YAML."""


class NotYaml(ValueError):
    """The rest is none. The argument says where."""


def shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in each field: text, or a list for ``several``."""
    rest = _copy(settings)
    values: dict[str, Any] = {}
    for field in FIELDS:
        value = _take(rest, field.key.split("."))
        if field.kind == "several":
            values[field.key] = _listed(value)
        elif field.kind == "lines":
            values[field.key] = "\n".join(_listed(value))
        else:
            values[field.key] = "" if value is None else str(value)
    values[REST] = yaml.safe_dump(rest, allow_unicode=True, sort_keys=False) if rest else ""
    return values


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a form says. Raises ``NotYaml``."""
    settings = _rest(str(values.get(REST, "")))
    for field in FIELDS:
        given = values.get(field.key)
        if field.kind == "lines":
            found: Any = [line.strip() for line in str(given or "").splitlines() if line.strip()]
        elif field.kind == "several":
            found = _listed(given)
        else:
            found = str(given or "").strip()
        if found:
            _put(settings, field.key.split("."), found)
    return settings


def faults_by_field(faults: Sequence[tuple[Key, str]]) -> dict[str, list[str]]:
    """Each fault at its field; what has none is at the YAML, with its key."""
    found: dict[str, list[str]] = {}
    for key, what in faults:
        names = [".".join(str(part) for part in key[:length]) for length in (2, 1)]
        name = next((name for name in names if name == "login" or any(field.key == name for field in FIELDS)), REST)
        place = ".".join(str(part) for part in key)
        found.setdefault(name, []).append(what if name != REST else f"{place}: {what}")
    return found


def _rest(text: str) -> dict[str, Any]:
    try:
        found = yaml.load(text, yaml.CBaseLoader)  # noqa: S506  (strings, lists and mappings only)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotYaml(f"line {mark.line + 1}" if mark else "") from None
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise NotYaml("")
    return found


def _copy(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in settings.items()}


def _take(place: dict[str, Any], key: list[str]) -> Any:
    """The value, which is taken out; with a section that becomes empty."""
    if len(key) == 1:
        return place.pop(key[0], None)
    inner = place.get(key[0])
    if not isinstance(inner, dict):
        return None
    value = _take(inner, key[1:])
    if not inner:
        del place[key[0]]
    return value


def _put(place: dict[str, Any], key: list[str], value: Any) -> None:
    for part in key[:-1]:
        inner = place.get(part)
        if not isinstance(inner, dict):
            place[part] = inner = {}
        place = inner
    place[key[-1]] = value


def _listed(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
