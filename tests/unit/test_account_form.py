"""The form of an account says what its settings say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.document import Key
from gateway.web.account_form import FIELDS, REST, NotYaml, faults_by_field, settings_of, shown

SETTINGS: dict[str, Any] = {
    "senders": ["*@bank.example", "a@b.example"],
    "phone": "79101234567",
    "limits": {"per_day": "500", "quiet": {"hours": "22:00-08:00"}},
    "text": {"transliterate": "always", "clean": ["emoji"]},
    "confirm": ["sent"],
    "storm": {"over": "3"},
}


def test_what_has_no_field_is_yaml() -> None:
    values = shown(SETTINGS)
    assert values["senders"] == "*@bank.example\na@b.example"
    assert values["limits.per_day"] == "500"
    rest = "limits:\n  quiet:\n    hours: 22:00-08:00\ntext:\n  clean:\n  - emoji\nstorm:\n  over: '3'\n"
    assert values[REST] == rest
    assert settings_of(values) == SETTINGS


@given(
    st.fixed_dictionaries(
        {},
        optional={
            field.key: st.lists(st.sampled_from(["a", "b c", "1"]), min_size=1)
            if field.kind in ("lines", "several")
            else st.sampled_from(["a", "1", "no"])
            for field in FIELDS
        },
    )
)
def test_there_and_back(flat: dict[str, Any]) -> None:
    settings: dict[str, Any] = {}
    for key, value in flat.items():
        section, _, name = key.rpartition(".")
        (settings.setdefault(section, {}) if section else settings)[name] = value
    assert settings_of(shown(settings)) == settings


@pytest.mark.parametrize("text", ["a: [", "- a", "just words"])
def test_no_yaml(text: str) -> None:
    with pytest.raises(NotYaml):
        settings_of({REST: text})


def test_faults_are_where_they_belong() -> None:
    faults: list[tuple[Key, str]] = [
        (("limits", "per_day"), "too small"),
        (("senders", 0), "bad"),
        (("storm", "over"), "odd"),
        (("login",), "x"),
    ]
    assert faults_by_field(faults) == {
        "limits.per_day": ["too small"],
        "senders": ["bad"],
        REST: ["storm.over: odd"],
        "login": ["x"],
    }
