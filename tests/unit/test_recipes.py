"""Recipes: every one can be filled in, for every kind of listener, in every language."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.recipes import Facts, filled, names
from gateway.service.connect import NoListener, facts
from gateway.settings.load import load
from tests.running import listener, write_config

FACTS = Facts("gw.example.com", 2525, "sms.example.com", "emailtosms@sms.example.com", "shop", "Shop")
KINDS = [
    FACTS,
    Facts("gw", 465, "sms.example.com", "e@sms.example.com", "shop", "Shop", tls="implicit", trusted=False),
    Facts("gw", 587, "sms.example.com", "e@sms.example.com", "shop", "Shop", tls="starttls", trusted=False),
    Facts("gw", 24, "sms.example.com", "e@sms.example.com", "shop", "Shop", lmtp=True, socket="/run/lmtp.sock"),
]


@pytest.mark.parametrize("name", names())
def test_every_recipe_for_every_listener(name: str) -> None:
    for known, language in product(KINDS, ("en", "ru", "uk")):
        found = filled(name, known, language)
        assert found.about
        assert found.steps
        assert len({step.where for step in found.steps}) == len(found.steps)
        for step in found.steps:
            assert step.text.strip()
            assert not {"«", "»"} & set(step.where + step.text + found.about)


def test_what_is_yaml_is_yaml() -> None:
    for known in KINDS:
        (step,) = filled("alertmanager", known).steps
        (receiver,) = yaml.safe_load(step.text)["receivers"]
        config = receiver["email_configs"][0]
        assert config["to"] == "79001234567@sms.example.com"
        assert ("auth_password" in config) is not known.trusted


def test_facts_are_those_of_the_listener(tmp_path: Path) -> None:
    doors = [
        listener(name="lan", bind="0.0.0.0:2525"),
        listener(name="mta", bind="unix:/run/lmtp.sock", protocol="lmtp", trust=[]),
        listener(name="wan", bind="192.0.2.1:25", trust=[], accept_unverified=True),
    ]
    loaded = load(write_config(tmp_path, {"listeners": doors}))
    lan = facts(loaded, account="test_user")
    assert (lan.host, lan.port, lan.trusted, lan.domain) == ("sms.example.com", 2525, True, "sms.example.com")
    assert (lan.service, lan.originator) == ("emailtosms@sms.example.com", "My Bank")
    assert facts(loaded, host="10.0.0.5").host == "10.0.0.5"
    mta, wan = facts(loaded, listener="mta"), facts(loaded, listener="wan")
    assert (mta.socket, mta.lmtp, mta.trusted) == ("/run/lmtp.sock", True, True)
    assert (wan.host, wan.trusted) == ("192.0.2.1", False)
    with pytest.raises(NoListener, match="one of lan, mta, wan"):
        facts(loaded, listener="x")


def test_the_command_line(tmp_path: Path) -> None:
    config = str(write_config(tmp_path))
    runner = CliRunner()
    listed = runner.invoke(app, ["snippet", "--json"])
    assert {"name": "1c", "title": "1С:Предприятие", "group": "office"} in json.loads(listed.stdout)
    shown = runner.invoke(app, ["snippet", "exim", "--lang", "ru", "--config", config])
    assert "# Маршрутизатор" in shown.stdout
    assert "route_list = * 127.0.0.1::0" in shown.stdout
    found = json.loads(runner.invoke(app, ["snippet", "curl", "--json", "--config", config]).stdout)
    assert found["steps"][0]["text"].startswith("printf")
    for wrong in (["nothing"], ["curl", "--listener", "x"], ["curl", "--account", "x"]):
        assert runner.invoke(app, ["snippet", *wrong, "--config", config]).exit_code == 64
