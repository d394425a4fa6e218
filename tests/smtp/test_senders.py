"""Verified senders at the door: signed mails and a border MTA, through a real session to the handset."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import text

from gateway.daemon import Daemon
from tests.names import Names, Records, names
from tests.running import ACCOUNT, Client, handsets, listener, running
from tests.signing import record, signed
from tests.smarthost import smarthost

SMS = "test_user@sms.example.com"
MAIL = (
    f"From: Alerts <alerts@bank.example>\r\nTo: {SMS}\r\nSubject: My Bank\r\n"
    "Message-ID: <1@bank.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nFire\r\n"
).encode()
ZONE: Records = {
    ("s1._domainkey.bank.example", "TXT"): [record()],
    ("_dmarc.bank.example", "TXT"): ['"v=DMARC1; p=reject"'],
    ("bank.example", "TXT"): ['"v=spf1 ip4:127.0.0.1 -all"'],
    ("ops.bank.example", "TXT"): ['"v=spf1 -all"'],
}
BORDER = {"authserv_id": "mx.bank.example", "peers": ["127.0.0.1"]}
PASS = b"Authentication-Results: mx.bank.example; dmarc=pass header.from=bank.example\r\n"


@asynccontextmanager
async def gateway(
    folder: Path, zone: Records | None = None, account: dict[str, Any] | None = None, timeout: str = "10s", **door: Any
) -> AsyncIterator[tuple[Daemon, Names]]:
    """A public listener that checks mails by this DNS."""
    async with names(ZONE if zone is None else zone) as server:
        host, port = server.address
        more = {"replies": door.pop("replies")} if "replies" in door else {}
        changes = {
            "listeners": [listener(trust=[], **(door or {"verify": ["dkim", "dmarc", "spf"]}))],
            "dns": {"nameservers": [f"{host}:{port}"], "timeout": timeout},
            **more,
        }
        async with running(folder, changes, [{**ACCOUNT, **(account or {})}]) as daemon:
            yield daemon, server


async def sent(daemon: Daemon, mail: bytes, *recipients: str, sender: str = "alerts@bank.example") -> str:
    client = await Client.connect(daemon)
    await client.say("EHLO mail.bank.example")
    return await client.mail(mail.removesuffix(b"\r\n"), *(recipients or (SMS,)), sender=sender)


async def test_a_signed_mail_without_a_password_becomes_an_sms(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (daemon, _):
        with structlog.testing.capture_logs() as logs:
            assert (await sent(daemon, signed(MAIL))).startswith("250 2.0.0 OK")
        assert [sms.text for sms in await handsets(daemon, 1)] == ["Fire"]
        assert [entry["verified_by"] for entry in logs if entry["event"] == "mail.accepted"] == ["DMARC"]


REFUSED = [
    (MAIL, "550 5.7.20 FORBIDDEN no valid DKIM signature of bank.example"),
    (signed(MAIL).replace(b"Fire", b"Help"), "550 5.7.20 FORBIDDEN"),
    (signed(MAIL, "unknown.bank.example"), "550 5.7.20 FORBIDDEN"),
    (signed(MAIL, length=True), "550 5.7.21 FORBIDDEN the DKIM signature of bank.example is not acceptable: l="),
    (signed(MAIL, "mail.evil.example"), "550 5.7.22 FORBIDDEN signed by mail.evil.example"),
    (MAIL.replace(b"@bank", b"@ops.bank"), "550 5.7.23 FORBIDDEN ops.bank.example does not let"),
    (b"From: alerts@bank.example\r\n" + MAIL, "550 5.7.1 FORBIDDEN the From field"),
    (signed(MAIL.replace(b"To: test", b"To: best")), "550 5.7.1 FORBIDDEN a recipient is not named"),
]


async def test_what_is_not_verified_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (daemon, _):
        for mail, answer in REFUSED:
            sender = "alerts@ops.bank.example" if b"@ops" in mail else "alerts@bank.example"
            assert (await sent(daemon, mail, sender=sender)).startswith(answer)
        assert not daemon.platform.messages


async def test_dns_that_does_not_answer_puts_the_mail_off(tmp_path: Path) -> None:
    async with gateway(tmp_path, timeout="0.3s") as (daemon, server):
        server.silent = True
        assert (await sent(daemon, signed(MAIL))).startswith("451 4.4.3 BUSY the sender's domain cannot be asked now")
        assert not daemon.platform.messages


async def test_a_signed_mail_is_one_sms_whoever_sends_it_again(tmp_path: Path) -> None:
    """An unsigned Message-ID, another MAIL FROM and another client make no second one of it."""
    mail = signed(MAIL, fields=("from", "to", "subject", "content-type"))
    async with gateway(tmp_path, account={"senders": ["*@bank.example"]}) as (daemon, _):
        first = await sent(daemon, mail)
        again = mail.replace(b"<1@bank.example>", b"<2@bank.example>")
        second = await sent(daemon, again, sender="other@bank.example")
        third = await sent(daemon, mail.replace(b"Message-ID: <1@bank.example>\r\n", b""))
        assert {second, third} == {f"250 2.0.0 DUPLICATE not sent twice, queued as {first.split()[-1]}"}
        assert (await sent(daemon, signed(MAIL + b"again\r\n"))).startswith("250 2.0.0 OK")


async def test_a_strict_account(tmp_path: Path) -> None:
    async with gateway(tmp_path, account={"verify": "network"}) as (daemon, _):
        refused = await sent(daemon, signed(MAIL))
        assert refused == "550 5.7.1 FORBIDDEN this account must be verified by SMTP AUTH or a network"


async def test_where_nothing_is_to_be_found_out_no_dns_is_asked(tmp_path: Path) -> None:
    async with gateway(tmp_path, account={"networks": ["127.0.0.0/8"]}) as (daemon, server):
        stranger = MAIL.replace(b"alerts@bank.example", b"x@evil.example")
        assert (await sent(daemon, stranger, sender="x@evil.example")).startswith("550 5.7.1 FORBIDDEN sender not")
        assert (await sent(daemon, MAIL)).startswith("250 2.0.0 OK")
        assert server.asked == []


async def test_the_border_mta_verifies(tmp_path: Path) -> None:
    async with gateway(tmp_path, authentication_results=BORDER) as (daemon, server):
        assert (await sent(daemon, PASS + b"Received: by mx.bank.example\r\n" + MAIL)).startswith("250 2.0.0 OK")
        forged = await sent(daemon, b"Received: by mx.bank.example\r\n" + PASS + MAIL)
        assert forged.startswith("550 5.7.26 FORBIDDEN mx.bank.example does not verify the sender: it says nothing")
        assert server.asked == []
        kept = await daemon.store.read(lambda c: c.execute(text("select copy from mails")).scalars().all())
        assert len(kept) == 1
        assert "Authentication-Results" not in kept[0]


async def test_the_border_mta_is_where_it_is(tmp_path: Path) -> None:
    elsewhere = {**BORDER, "peers": ["192.0.2.1"]}
    async with gateway(tmp_path, authentication_results=elsewhere) as (daemon, _):
        assert (await sent(daemon, PASS + MAIL)).startswith("550 5.7.1 FORBIDDEN sender not verified")


async def test_spf_is_enough_to_be_answered_but_not_to_send(tmp_path: Path) -> None:
    async with smarthost() as host:
        replies = {"from": "sms@sms.example.com", "smarthost": f"smtp://127.0.0.1:{host.port}"}
        door: dict[str, Any] = {"verify": ["dkim", "spf"], "on_refusal": "reply", "replies": replies}
        async with gateway(tmp_path, **door) as (daemon, _):
            assert (await sent(daemon, MAIL)).startswith("250 2.0.0 OK")
            (reply,) = await host.mails(1)
            assert reply["To"] == "alerts@bank.example"
            assert not daemon.platform.messages
        async with gateway(tmp_path, {**ZONE, ("bank.example", "TXT"): ['"v=spf1 ~all"']}, **door) as (daemon, _):
            assert (await sent(daemon, MAIL)).startswith("550 5.7.20 FORBIDDEN")
