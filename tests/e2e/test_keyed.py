"""A provider that knows each SMS by a key of ours: what a lost answer hid is found out, also after a death."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gateway.sandbox.platform import Cut, Fault
from tests.process import Program, Provider, provider
from tests.running import template, write_config

SERVICE = "emailtosms@sms.example.com"


def settings(sandbox: Provider, **more: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{sandbox.port}/sendsmsjson.php"
    section = {"driver": "targetsms-json", "url": url, "user": "corp", "password": "verysecret", "poll": False}
    return {"providers": {"main": {**section, **more}}, "log": {"format": "json"}}


async def asked_again(sandbox: Provider, times: int) -> None:
    async with asyncio.timeout(20):
        while len(sandbox.platform.journal) < times:
            await asyncio.sleep(0.02)


async def test_each_of_a_group_is_found_out_by_itself(tmp_path: Path) -> None:
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(cut=Cut.AFTER))
        gateway = await Program.start(write_config(tmp_path, settings(sandbox, group=3)))
        try:
            numbers = "79101234567,79102345678,79103456789"
            await gateway.mail(template("three", numbers=numbers), SERVICE)
            await gateway.event("sms.uncertain", 3)
            await gateway.event("sms.submitted", 3)
            found = {event["provider_id"] for event in gateway.log if event["event"] == "sms.submitted"}
        finally:
            await gateway.stop()
        assert found == {sms.id for sms in sandbox.platform.messages}
        assert len(sandbox.platform.messages) == 3


async def test_after_a_death_in_the_call_one_sms_has_gone_out(tmp_path: Path) -> None:
    """However long it was down: the key does not grow old, unlike a duplicate window."""
    async with provider() as sandbox:
        sandbox.platform.window_s = 0.0
        sandbox.platform.faults.append(Fault(delay_s=30))
        config = write_config(tmp_path, settings(sandbox))
        gateway = await Program.start(config)
        await gateway.mail(template("once"), SERVICE)
        await asked_again(sandbox, 1)
        await gateway.kill()
        gateway = await Program.start(config)
        try:
            submitted = await gateway.event("sms.submitted")
        finally:
            await gateway.stop()
        (sms,) = sandbox.platform.messages
        assert submitted["provider_id"] == sms.id
        assert len(sandbox.platform.journal) == 2
