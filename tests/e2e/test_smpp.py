"""A gateway that is bound to an SMSC: from the mail to the receipt, and from a subscriber to the owner's mailbox."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.daemon import Daemon
from gateway.lifecycle import State
from gateway.sandbox.platform import Cut, Fault, Platform
from gateway.sandbox.smpp import SmppFace
from tests.e2e.test_receipts import send, state_of, text_of
from tests.running import ACCOUNT, listener, running
from tests.smarthost import Smarthost, smarthost


@asynccontextmanager
async def house(tmp_path: Path, **account: Any) -> AsyncIterator[tuple[Daemon, SmppFace, Smarthost]]:
    """A sandbox that speaks SMPP, a gateway that is bound to it, a smarthost."""
    face = SmppFace(Platform(clock=time.time, user="corp", password="s3cret!", deliver_after_s=0.1))
    port = await face.start("127.0.0.1", 0)
    section = {"driver": "smpp", "host": "127.0.0.1", "port": port, "system_id": "corp", "password": "s3cret!"}
    try:
        async with smarthost() as host:
            changes = {
                "listeners": [listener(on_refusal="reply")],
                "replies": {"from": "sms@sms.example.com", "smarthost": f"smtp://127.0.0.1:{host.port}"},
                "providers": {"main": section},
            }
            async with running(tmp_path, changes, [{**ACCOUNT, **account}]) as daemon:
                yield daemon, face, host
    finally:
        await face.close()


async def test_a_mail_becomes_an_sms_and_its_receipt_a_mail(tmp_path: Path) -> None:
    async with house(tmp_path, confirm=["receipt"]) as (daemon, face, host):
        await state_of(daemon, await send(daemon), State.DELIVERED)
        (mail,) = await host.mails(1)
        assert text_of(mail).splitlines()[0] == "DELIVERED"
        assert len(face.platform.messages) == 1


async def test_a_long_sms_is_delivered_when_each_of_its_parts_is(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, face, _):
        text = ("Привет, мир! " * 20).strip()
        await state_of(daemon, await send(daemon, text), State.DELIVERED)
        (sms,) = face.platform.messages
        assert (sms.text, sms.segments) == (text, 4)


async def test_an_answer_that_is_lost_is_uncertain_and_goes_out_once(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, face, _):
        face.platform.faults.append(Fault(cut=Cut.AFTER))
        await state_of(daemon, await send(daemon), State.UNCERTAIN)
        assert len(face.platform.messages) == 1


async def test_a_subscriber_writes_a_long_sms(tmp_path: Path) -> None:
    incoming = {"numbers": ["79990001122"], "mail": "ops@bank.example"}
    async with house(tmp_path, incoming=incoming) as (daemon, face, host):
        await state_of(daemon, await send(daemon), State.DELIVERED)  # so it is bound
        text = "Да, буду в 5. " * 10
        assert await face.incoming("79107654321", "79990001122", text)
        (mail,) = await host.mails(1)
        assert text_of(mail).startswith(text.strip())
