"""A provider that reports by itself, and subscribers who write: the sandbox pushes to a running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestServer, unused_port

from gateway.daemon import Daemon
from gateway.lifecycle import State
from gateway.sandbox.platform import Platform
from gateway.sandbox.web import application
from tests.e2e.test_receipts import send, state_of, text_of
from tests.running import ACCOUNT, SETTINGS, Client, listener, running
from tests.smarthost import Smarthost, smarthost

TOKEN = "sixteen-characters"


@asynccontextmanager
async def house(tmp_path: Path, **account: Any) -> AsyncIterator[tuple[Daemon, Platform, httpx.AsyncClient, Smarthost]]:
    """A sandbox that pushes, a gateway that takes it, a smarthost."""
    platform = Platform(clock=lambda: asyncio.get_running_loop().time(), deliver_after_s=0.1)
    server = TestServer(application(platform))
    await server.start_server()
    port = unused_port()
    async with smarthost() as host:
        section = {"driver": "targetsms-json", "url": str(server.make_url("/sendsmsjson.php"))}
        changes = {
            "listeners": [listener(on_refusal="reply")],
            "dialects": {
                **SETTINGS["dialects"],
                "reply": {"domain": "sms.example.com", "key": "a secret of sixteen"},
            },
            "replies": {"from": "sms@sms.example.com", "smarthost": f"smtp://127.0.0.1:{host.port}"},
            "callbacks": {"bind": f"127.0.0.1:{port}", "url": f"http://127.0.0.1:{port}/cb"},
            "providers": {"main": {**section, "user": "u", "password": "p", "callback_token": TOKEN, "poll": False}},
        }
        async with (
            running(tmp_path, changes, [{**ACCOUNT, **account}]) as daemon,
            httpx.AsyncClient(base_url=str(server.make_url("/")), trust_env=False) as sandbox,
        ):
            yield daemon, platform, sandbox, host
    await server.close()
    await asyncio.sleep(0)  # the transports close in the loop's next turn


@pytest.mark.parametrize("form", ["targetsms-xml", "targetsms-json"])
async def test_receipts_are_pushed(tmp_path: Path, form: str) -> None:
    async with house(tmp_path, confirm=["receipt"]) as (daemon, _, sandbox, host):
        url = daemon._configuration.callback_url("main")
        assert (await sandbox.post("/push", json={"url": url, "format": form})).status_code == 204
        await state_of(daemon, await send(daemon), State.DELIVERED)
        (mail,) = await host.mails(1)
        assert text_of(mail).splitlines()[0] == "DELIVERED"


async def test_a_subscriber_writes_and_the_owner_of_the_number_reads(tmp_path: Path) -> None:
    incoming = {"numbers": ["79990001122"], "mail": "ops@bank.example"}
    async with house(tmp_path, incoming=incoming, language="ru") as (daemon, _, sandbox, host):
        await sandbox.post("/push", json={"url": daemon._configuration.callback_url("main")})
        sms = {"from": "79107654321", "to": "79990001122", "text": "Да, буду в 5 ✓", "id": "mo-17"}
        for _ in range(2):  # it says everything until it is heard, and sometimes after that
            answer = await sandbox.post("/incoming", json=sms)
            assert answer.text == "smsid=mo-17"
        (mail,) = await host.mails(1)
        assert (mail["To"], str(mail["Subject"])) == ("ops@bank.example", "SMS от +79107654321")
        assert text_of(mail).splitlines()[0] == "Да, буду в 5 ✓"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert len(host.envelopes) == 1


async def test_nobodys_number_is_kept_and_not_mailed(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, _, sandbox, host):
        await sandbox.post("/push", json={"url": daemon._configuration.callback_url("main")})
        await sandbox.post("/incoming", json={"from": "79107654321", "to": "79990001122", "text": "x", "id": "1"})
        kept = await daemon.store.read(lambda c: c.exec_driver_sql("select account, text from incoming").all())
        assert [tuple(row) for row in kept] == [(None, "x")]
        assert not host.envelopes


async def test_an_answer_to_that_mail_goes_back_as_sms(tmp_path: Path) -> None:
    """From our number, to whoever wrote; without the quotation; and only from somebody who may."""
    incoming = {"numbers": ["79990001122"], "mail": "ops@ops.bank.example"}
    async with house(tmp_path, incoming=incoming) as (daemon, platform, sandbox, host):
        await sandbox.post("/push", json={"url": daemon._configuration.callback_url("main")})
        await sandbox.post(
            "/incoming", json={"from": "79107654321", "to": "79990001122", "text": "Вы открыты?", "id": "1"}
        )
        (mail,) = await host.mails(1)
        address = str(mail["Reply-To"])
        answer = (
            "From: ops@ops.bank.example\r\nSubject: Re: SMS\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
            "Да, до 20:00\r\n\r\n12.03.2026 10:15, email2sms пишет:\r\n> Вы открыты?\r\n"
        ).encode()
        client = await Client.connect(daemon)
        await client.say("EHLO bank.example")
        assert (await client.mail(answer, address, sender="ops@ops.bank.example")).startswith("250")
        async with asyncio.timeout(10):
            while not platform.messages:
                await asyncio.sleep(0.02)
        (sent,) = platform.messages
        assert (sent.destination, sent.originator, sent.text) == ("79107654321", "79990001122", "Да, до 20:00")
        evil = answer.replace(b"ops@ops.bank", b"evil@evil.bank")
        await client.mail(evil, address, sender="evil@evil.bank.example")
        _, refused = await host.mails(2)
        assert text_of(refused).splitlines()[0] == "FORBIDDEN"
        assert len(platform.messages) == 1
