"""A dry run of a message without a mail: what would be sent, and the request without its secrets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Door
from gateway.service import direct
from gateway.service.direct import By, Draft
from gateway.service.upstreams import upstream
from gateway.settings.load import load
from gateway.verdicts import Refused
from tests.running import write_config

PROVIDERS: dict[str, dict[str, Any]] = {
    "targetsms": {"driver": "targetsms", "url": "http://x.example/sendsms.php", "user": "corp", "password": "s3cr/t &"},
    "targetsms-json": {"driver": "targetsms-json", "url": "http://x.example/sendsmsjson.php", "token": "s3cr/t &"},
    "alphasms": {"driver": "alphasms", "key": "s3cr/t &"},
    "smsc-http": {"driver": "smsc-http", "login": "corp", "password": "s3cr/t &"},
    "smpp": {"driver": "smpp", "host": "smpp.example.com", "port": 2775, "system_id": "corp", "password": "s3cr/t &"},
    "sandbox": {"driver": "sandbox"},
}
WEB = By(Door.WEB, "ops")


@pytest.mark.parametrize("name", PROVIDERS)
async def test_the_request_is_shown_without_secrets(tmp_path: Path, name: str) -> None:
    loaded = load(write_config(tmp_path, {"providers": {"main": PROVIDERS[name]}}))
    accepted = await direct.check(loaded, Draft("test_user", "My Bank", ("+7 910 123-45-67",), "Hello"), time.time())
    (job,) = accepted.jobs
    upstreams = {"main": upstream(loaded, "main")}
    masked = direct.request(job, upstreams)
    assert "s3cr" not in masked
    assert "79101234567" not in masked
    assert "79101234567" in direct.request(job, upstreams, numbers=True)
    assert ("48 65 6c 6c 6f" if name == "smpp" else "Hello") in masked


async def test_a_dry_run_refuses_as_a_mail_would_be(tmp_path: Path) -> None:
    loaded = load(write_config(tmp_path))
    for draft, code in (
        (Draft("nobody", "My Bank", ("79101234567",), "x"), "credentials_wrong"),
        (Draft("test_user", "Somebody", ("79101234567",), "x"), "originator_not_allowed"),
        (Draft("test_user", "My Bank", ("79101234567",), " \n"), "text_empty"),
        (Draft("test_user", "My Bank", ("79101234567",), "x", at=time.time() + 400 * 86400), "schedule_too_far"),
    ):
        with pytest.raises(Refused, match=code):
            await direct.check(loaded, draft, time.time(), WEB)
    owner_s = await direct.check(loaded, Draft("test_user", "Somebody", ("79101234567",), "x"), time.time())
    assert owner_s.jobs, "whose machine it is may use any name"
    draft = Draft("test_user", "", ("79101234567", "79161234567"), "Привет", at=2e9)
    later = await direct.check(loaded, draft, 2e9 - 60)
    assert (later.jobs[0].due_at, later.jobs[0].originator) == (2e9, "My Bank")
    assert [drop.refusal.code for drop in later.dropped] == ["BANNED"]
