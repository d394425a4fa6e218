"""What is explained of a mail, and to whom."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gateway.senders.examine import Examiner
from gateway.service.credentials import Credentials
from gateway.service.explain import Arrival, Explained, NoListener, NoRecipient, explain
from gateway.settings.load import Configuration, load
from tests.running import ACCOUNT, subject_mail, template, write_config

OTHER = {**ACCOUNT, "login": "other", "api_keys": ["ffff00"]}


@pytest.fixture
def loaded(tmp_path: Path) -> Configuration:
    return load(write_config(tmp_path, accounts=[ACCOUNT, OTHER]))


async def explained(loaded: Configuration, raw: bytes, arrival: Arrival | None = None, **options: Any) -> Explained:
    return await explain(raw, arrival or Arrival(), loaded, Credentials(), Examiner(), time.time(), **options)


async def test_what_would_be_sent(loaded: Configuration) -> None:
    found = await explained(loaded, template("Привет", numbers="+7 910 123-45-67, 12"), numbers=True)
    assert (found.verdict, found.account, found.dialect, found.sender) == (
        "OK",
        "test_user",
        "template",
        "alerts@bank.example",
    )
    assert (found.text, found.alphabet, found.parts) == ("Привет", "UCS-2", ("Привет",))
    assert (found.destinations, found.route) == (("79101234567",), ("main",))
    assert [drop.verdict for drop in found.dropped] == ["NUMBER"]
    assert [part.type for part in found.tree] == ["text/plain"]


async def test_a_refusal_comes_with_its_fix_in_the_language_asked_for(loaded: Configuration) -> None:
    found = await explained(loaded, template(password="s3cr7t"), language="ru")
    assert (found.verdict, found.smtp, found.sysexit) == ("AUTH", "550 5.7.8", 77)
    assert "логин" in found.why.lower()
    assert found.fix
    assert found.text is None
    assert "s3cr7t" not in repr(found)


async def test_a_listener_and_a_peer(loaded: Configuration) -> None:
    stranger = await explained(loaded, template(), Arrival(peer="203.0.113.5"))
    assert (stranger.verdict, stranger.verified_by) == ("FORBIDDEN", "")
    assert (await explained(loaded, template(), Arrival(peer="127.0.0.1"))).verdict == "OK"
    with pytest.raises(NoListener, match="one of lan"):
        await explained(loaded, template(), Arrival(listener="wan"))
    with pytest.raises(NoRecipient):
        await explained(loaded, subject_mail("My Bank;0a1b2c;"))


async def test_to_a_tenant_only_his_own_accounts_exist(loaded: Configuration) -> None:
    arrival = Arrival(("79101234567@sms.example.com",))
    theirs = subject_mail("My Bank;other;qwerty12;")
    unknown = subject_mail("My Bank;nobody;qwerty12;")
    mine = frozenset({"test_user"})
    assert (await explained(loaded, theirs, arrival)).verdict == "OK"
    hidden = await explained(loaded, theirs, arrival, accounts=mine)
    nobody = await explained(loaded, unknown, arrival, accounts=mine)
    assert (
        (hidden.verdict, hidden.account, hidden.why)
        == (nobody.verdict, nobody.account, nobody.why)
        == (
            "AUTH",
            "",
            nobody.why,
        )
    )
    assert (await explained(loaded, subject_mail("My Bank;0a1b2c;"), arrival, accounts=mine)).verdict == "OK"
