"""What the form of an account says of a mistake: in the language of whoever makes it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gateway.service.accounts import AccountFaults, Accounts
from gateway.settings.load import Configuration, load
from gateway.web.account_form import REST, NotYaml, settings_of
from gateway.web.wording import Words
from tests.running import write_config

MISTAKES: list[dict[str, Any]] = [
    {"networks": "10.0.0"},
    {"verify": "perhaps"},
    {"originators": "A very long name"},
    {"phone": "12"},
    {"text.transliterate": "perhaps"},
    {"text.on_too_long": "perhaps"},
    {"limits.per_hour": "many"},
    {"limits.per_day": "0"},
    {"limits.per_day": "9" * 5000},
    {"limits.segments_per_day": "1.5"},
    {"limits.spend_per_day": "cheap"},
    {"limits.spend_per_day": "-1"},
    {"limits.spend_per_day": "1e12"},
    {"limits.spend_per_day": "nan"},
    {"limits.spend_per_day": "5"},
    {"limits.max_segments": "256"},
    {"limits.hold_above": "-5"},
    {"language": "de"},
    {"confirm": ["never"]},
    {"login": "a:b"},
    {"login": "x" * 256},
    {REST: "senders: [a"},
    {REST: "- a"},
    {REST: "sendres: [a]"},
    {REST: "nonsense: 1"},
    {REST: "limits: 5"},
    {REST: "limits: {quiet: {}}"},
    {REST: "limits: {quiet: {hours: '8-25'}}"},
    {REST: "limits: {quiet: {hours: '08:00-08:00'}}"},
    {REST: "limits: {quiet: {hours: '22:00-08:00', timezone: Mars}}"},
    {REST: "limits: {hold_window: soon}"},
    {REST: "storm: {over: 0, within: soon}"},
    {REST: "storm: {every: 7h}"},
    {REST: "webhook: {url: ftp://x, secret: short}"},
    {REST: "webhook: {url: 'https://x.example', secret: 0123456789abcdef, secret_file: /etc/passwd}"},
    {REST: "incoming: {numbers: []}"},
    {REST: "incoming: {numbers: ['1'], mail: nobody}"},
    {REST: "channels: [pigeon]"},
    {REST: "channels: []"},
    {REST: "destinations: {countries: [Mars], types: [premium], prefixes: [abc]}"},
    {REST: "text: {cut_from: ['(']}"},
    {REST: "text: {cut_from: ['.*']}"},
    {REST: "text: {clean: yes, max_lines: 0, end_markers: [x]}"},
    {REST: "text: {scheme: x, clean: [everything]}"},
    {REST: "on_uncertain: perhaps"},
    {REST: "password: secret-4711"},
    {REST: "originators: {a: b}"},
    {REST: "phone: [1]"},
]
NO_STORE: Any = None
"""To check is to ask no store."""
ENGLISH = re.compile(
    r"\b(expected|should|valid|give|unknown|missing|one of|input|known|must|at least|at most|than|number)\b", re.I
)
RE2_SAYS = re.compile(r"(?<=RE2: ).*(?=; )")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    changes = {
        "providers": {"main": {"driver": "targetsms", "url": "http://127.0.0.1:1/", "user": "u", "password": "p"}}
    }
    return load(write_config(tmp_path_factory.mktemp("faults"), changes))


def faults(loaded: Configuration, given: dict[str, Any]) -> list[str]:
    """In English, as the settings say them."""
    values = dict(given)
    login = values.pop("login", "shop")
    try:
        Accounts(NO_STORE, lambda: loaded).checked(login, settings_of(values))
    except NotYaml as error:
        return [f"no YAML {error}".strip()]
    except AccountFaults as error:
        return [what for _, what in error.faults]
    return []


@pytest.mark.parametrize("given", MISTAKES, ids=lambda given: re.sub(r"\W+", "-", str(given))[:40])
def test_each_mistake_is_told_in_three_languages(loaded: Configuration, given: dict[str, Any]) -> None:
    found = faults(loaded, given)
    assert found
    for english in found:
        assert Words("en").knows("faults", english), english
        for language in ("ru", "uk"):
            said = Words(language).said("faults", english)
            assert re.search("[а-яіїєґ]", said), english
            assert not ENGLISH.search(RE2_SAYS.sub("", said)), said
            assert "secret-4711" not in said


def test_what_nobody_has_foreseen_stays_english() -> None:
    assert Words("uk").said("faults", "the moon is in the wrong phase") == "the moon is in the wrong phase"
    assert not Words("uk").knows("faults", "the moon is in the wrong phase")
