"""What became of an SMS reaches those who want to know: people by mail, MTAs by DSN, programs by webhook."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.daemon import Daemon
from gateway.lifecycle import State
from gateway.relay import poller
from gateway.service import receipts
from tests.running import ACCOUNT, Client, handsets, listener, running, subject_mail, template
from tests.smarthost import Smarthost, smarthost

SERVICE = "emailtosms@sms.example.com"
PHONE = "79101234567@sms.example.com"
WEBHOOK_KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "FIRST_POLL_S", 0.1)
    monkeypatch.setattr(poller, "LOOK_AGAIN_S", 0.05)


@asynccontextmanager
async def house(tmp_path: Path, **account: Any) -> AsyncIterator[tuple[Daemon, Smarthost]]:
    async with smarthost() as host:
        section = {"from": "sms@sms.example.com", "smarthost": f"smtp://127.0.0.1:{host.port}", "per_hour": 1}
        changes = {"listeners": [listener(on_refusal="reply")], "replies": section}
        async with running(tmp_path, changes, [{**ACCOUNT, **account}]) as daemon:
            daemon.platform.deliver_after_s = 0.0
            yield daemon, host


async def send(daemon: Daemon, text: str = "Привет", to: str = SERVICE, content: bytes | None = None) -> str:
    client = await Client.connect(daemon)
    await client.say("EHLO bank.example")
    answer = await client.mail(content or template(text), to)
    assert answer.startswith("250"), answer
    return answer.split()[-1]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    content: str = body.get_content()
    return content


async def state_of(daemon: Daemon, mail_id: str, wanted: State) -> None:
    async with asyncio.timeout(10):
        while True:
            states = await daemon.store.read(
                lambda c: c.exec_driver_sql("select state from jobs where mail_id = ?", (mail_id,)).scalars().all()
            )
            if set(states) == {wanted.value}:
                return
            await asyncio.sleep(0.05)


async def test_the_provider_is_asked_until_it_knows(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, host):
        await state_of(daemon, await send(daemon), State.DELIVERED)
        assert not host.envelopes  # nobody has asked to be told


@pytest.mark.parametrize(
    ("confirm", "codes"),
    [(["sent"], ["SUBMITTED", "DELIVERED"]), (["receipt"], ["DELIVERED"]), (["sent", "receipt"], None)],
)
async def test_who_wants_confirmations_gets_them(tmp_path: Path, confirm: list[str], codes: list[str] | None) -> None:
    """However many: what somebody has asked for does not count as too many replies."""
    async with house(tmp_path, confirm=confirm, language="ru") as (daemon, host):
        for text in ("раз", "два"):
            await state_of(daemon, await send(daemon, text), State.DELIVERED)
        mails = await host.mails(2)
        assert {text_of(mail).splitlines()[0] for mail in mails} <= set(codes or ["SUBMITTED", "DELIVERED"])
        assert all("79101234567" not in text_of(mail) for mail in mails)
        if codes == ["DELIVERED"]:
            assert str(mails[0]["Subject"]).startswith("DELIVERED: SMS доставлено [")


async def test_what_was_not_delivered_is_always_told(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, host):
        daemon.platform.deliver_after_s = 1e9
        await send(daemon)
        (sms,) = await handsets(daemon, 1)
        sms.state = "not_deliver"
        (mail,) = await host.mails(1)
        assert str(mail["Subject"]).startswith("UNDELIVERED: SMS not delivered [")
        assert "7910***4567: UNDELIVERED, not delivered" in text_of(mail)


async def test_no_status_ever_is_uncertain_not_delivered(tmp_path: Path) -> None:
    """Seed 002: ``partly_deliver`` is called final, yet no status came."""
    async with house(tmp_path) as (daemon, host):
        daemon.platform.deliver_after_s = 1e9
        await send(daemon)
        (sms,) = await handsets(daemon, 1)
        sms.state = "partly_deliver"
        (mail,) = await host.mails(1)
        assert text_of(mail).splitlines()[0] == "UNCERTAIN"


# ── RFC 3461 and 3464 ────────────────────────────────────────────────────────────────────────


async def dsn_mail(daemon: Daemon, notify: str, content: bytes, more: str = "") -> str:
    client = await Client.connect(daemon)
    assert "DSN" in await client.say("EHLO bank.example")
    await client.say("MAIL FROM:<alerts@bank.example> RET=HDRS ENVID=QQ+2B314159")
    rcpt = await client.say(f"RCPT TO:<{PHONE}> NOTIFY={notify} ORCPT=rfc822;79101234567@old.example{more}")
    assert rcpt.startswith("250"), rcpt
    await client.say("DATA")
    client.send(content + b"\r\n.\r\n")
    return await client.answer()


def report(mail: EmailMessage) -> tuple[Any, Any]:
    """The fields of the mail and of its one recipient."""
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "delivery-status"
    status = next(part for part in mail.walk() if part.get_content_type() == "message/delivery-status")
    payload: Any = status.get_payload()
    whole, recipient = payload
    return whole, recipient


async def test_success_is_reported_when_it_is_one(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, host):
        await dsn_mail(daemon, "SUCCESS,FAILURE", subject_mail("My Bank;0a1b2c;"))
        (mail,) = await host.mails(1)
        whole, recipient = report(mail)
        assert (whole["Reporting-MTA"], whole["Original-Envelope-Id"]) == ("dns; sms.example.com", "QQ+314159")
        assert (recipient["Action"], recipient["Status"]) == ("delivered", "2.0.0")
        assert recipient["Original-Recipient"] == "rfc822; 79101234567@old.example"
        assert recipient["Final-Recipient"] == f"rfc822; {PHONE}"
        assert text_of(mail).splitlines()[0] == "DELIVERED"


async def test_a_refusal_is_reported_as_failed(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, host):
        await dsn_mail(daemon, "FAILURE", subject_mail("My Bank;wrongkey;"))
        (mail,) = await host.mails(1)
        _, recipient = report(mail)
        assert (recipient["Action"], recipient["Status"]) == ("failed", "5.7.8")
        assert recipient["Diagnostic-Code"].startswith("smtp; 550 5.7.8 AUTH")


async def test_never_means_never(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, host):
        await dsn_mail(daemon, "NEVER", subject_mail("My Bank;wrongkey;"))
        await send(daemon, to=PHONE, content=subject_mail("My Bank;wrongkey;", "another"))
        (mail,) = await host.mails(1)
        assert mail.get_content_type() == "text/plain"
        async with asyncio.timeout(10):
            while await daemon.store.read(_waiting):
                await asyncio.sleep(0.05)
        assert len(host.envelopes) == 1


def _waiting(connection: Any) -> int:
    count: int = connection.exec_driver_sql("select count(*) from outbox where state = 'pending'").scalar_one()
    return count


# ── webhooks ─────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def program_of_the_owner(statuses: list[int]) -> AsyncIterator[tuple[str, asyncio.Queue[web.Request]]]:
    """Answers with these, then with 200."""
    heard: asyncio.Queue[web.Request] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        await request.read()
        heard.put_nowait(request)
        return web.Response(status=statuses.pop(0) if statuses else 200)

    app = web.Application()
    app.router.add_post("/hook", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", heard
    finally:
        await runner.cleanup()


async def test_a_program_is_told_signed_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.service.webhooks.FIRST_RETRY_S", 0.1)
    async with (
        program_of_the_owner([500]) as (url, heard),
        house(tmp_path, webhook={"url": url, "secret": WEBHOOK_KEY}) as (daemon, _),
    ):
        mail_id = await send(daemon)
        calls = [await asyncio.wait_for(heard.get(), 10) for _ in range(3)]
    events = []
    for call in calls:
        body = await call.read()
        at, signature = call.headers["X-Email2sms-Timestamp"], call.headers["X-Email2sms-Signature"]
        expected = hmac.new(WEBHOOK_KEY.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
        assert signature == f"sha256={expected}"
        events.append(json.loads(body))
    by_state: dict[str, list[int]] = {}
    for event in events:
        assert (event["message"], event["to"], event["provider"]) == (mail_id, "79101234567", "main")
        by_state.setdefault(event["state"], []).append(event["id"])
    assert sorted(by_state) == ["delivered", "submitted"]
    assert sorted(len(set(ids)) for ids in by_state.values()) == [1, 1]  # the repetition has the same id
