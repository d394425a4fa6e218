"""What aiosmtpd 1.4.6 lets through and others have been hit by; each row of the survey that no other file shows."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP
from structlog.testing import capture_logs

from gateway.smtp import limits
from gateway.smtp.limits import data_deadline
from gateway.watch.log import CHATTY
from tests.running import Client, handsets, port, running, template
from tests.smtp.test_defence import FAKE_ENDS, SERVICE, SMUGGLED, WRONG, Tls, in_data, public, upgraded

# ── before the greeting ──────────────────────────────────────────────────────────────────────────


async def early(daemon_port: int, words: bytes) -> Client:
    """The words are in the kernel before the gateway knows of the connection."""
    eager = socket.create_connection(("127.0.0.1", daemon_port))
    eager.sendall(words)
    eager.setblocking(False)
    return Client(*await asyncio.open_connection(sock=eager))


@pytest.mark.parametrize("pause", [0, 5])
async def test_who_speaks_before_the_greeting_is_turned_away(tmp_path: Path, pause: float) -> None:
    with capture_logs() as events:
        async with public(tmp_path, greet_pause=pause) as daemon:
            client = await early(port(daemon), b"EHLO evil\r\nMAIL FROM:<evil@bank.example>\r\n")
            assert (await client.answer()) == "554 5.5.0 wait for the greeting"
            assert await client.closed()
    assert "smtp.early_talk" in [event["event"] for event in events]


async def test_who_waits_is_greeted_after_the_pause(tmp_path: Path) -> None:
    async with public(tmp_path, greet_pause=0.05) as daemon:
        client = await Client.connect(daemon)
        assert (await client.say("NOOP")).startswith("250")


async def test_devices_on_a_trusted_network_may_be_hasty(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await early(port(daemon), b"EHLO device\r\n")
        assert (await client.answer()).startswith("220")
        assert (await client.answer()).startswith("250")


# ── smuggling behind what was refused ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("long", [b"x" * 30_000, b"x" * 1200 + b"\r\n", b"y" * 998 + b"z"])
async def test_no_false_end_counts_behind_too_much_or_too_long_a_line(tmp_path: Path, long: bytes) -> None:
    """Servers that leave their reader for one that skips have ended there at LF.LF."""
    async with public(tmp_path, max_message_bytes=20_000) as daemon:
        for end in FAKE_ENDS:
            client = await Client.connect(daemon)
            await in_data(client)
            client.send(template() + long + end + SMUGGLED)
            answer = await client.answer()
            expected = ("552 5.3.4", "550 5.6.0") if b"\0" not in end else ("552 5.3.4", "250")
            assert answer.startswith(expected), (end, answer)
            client.send("NOOP\r\n")  # one mail, one answer
            assert (await client.answer())[:3] in ("", "250")
            client.close()
        assert "smuggled" not in [sms.text for sms in daemon.platform.messages]


async def test_crcrlf_ends_no_line_for_strangers(tmp_path: Path) -> None:
    """CR CRLF . CRLF holds a true end of data; a sender that reads it otherwise gets no second mail by it."""
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(template("text") + b"\r\r\n.\r\n" + SMUGGLED)
        assert (await client.answer()).startswith("550 5.6.0 FORMAT a bare CR or LF")
        assert await client.closed()
        assert not daemon.platform.messages


async def test_bdat_is_not_spoken(tmp_path: Path) -> None:
    """Two ways to end a mail would be one more to disagree about."""
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        assert "CHUNKING" not in await client.say("EHLO client")
        await client.say("MAIL FROM:<alerts@bank.example>")
        await client.say(f"RCPT TO:<{SERVICE}>")
        assert (await client.say("BDAT 4 LAST")).startswith("500 5.5.1")


# ── commands ─────────────────────────────────────────────────────────────────────────────────────

HOSTILE = ["<a\rb@c.example>", "<a\0b@c.example>", "<(x)a@b.example>", "a@b.example", "<a@b.example>\r"]
HOSTILE += ["<aÿb@c.example>", "<a b@c.example>", "<a@b.example>x", "<<a@b.example>>", "<" + "a" * 400 + "@b.example>"]
HOSTILE += ["<a\u2028@b.example> SMTPUTF8", "<a\u202e@b.example> SMTPUTF8"]


async def test_addresses_that_aiosmtpd_takes(tmp_path: Path) -> None:
    async with public(tmp_path, max_errors=100) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        for address in HOSTILE:
            client.send(f"MAIL FROM:{address}\r\n".encode())
            assert (await client.answer())[:3] in ("500", "501", "553"), address
        client.send(b"MAIL FROM:<\xff\xfe@b.example>\r\n")
        assert (await client.answer()).startswith("500 5.5.2 not UTF-8")
        assert (await client.say("MAIL FROM:<ю@b.example>")).startswith("553 5.6.7")
        assert (await client.say("MAIL FROM:<a@b.example> BODY=7BIT FOO=BAR")).startswith("555")
        assert (await client.say("MAIL FROM:<>")).startswith("250")
        assert (await client.say("RCPT TO:<>")).startswith("553")


async def test_nul_and_8bit_in_a_mail_harm_nothing(tmp_path: Path) -> None:
    """Both come from honest programs; NUL never reaches a handset or the store's texts."""
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(template("a\0b").replace(b"\0", b"\0\0") + b"\r\n.\r\n")
        assert (await client.answer()).startswith(("250", "554"))
        assert "\0" not in "".join(sms.text for sms in daemon.platform.messages)


async def test_a_thousand_recipients(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        await client.say("MAIL FROM:<alerts@bank.example>")
        client.send(f"RCPT TO:<{SERVICE}>\r\n" * 1000)
        codes = [(await client.answer())[:3] for _ in range(1000)]
        assert (codes.count("250"), codes.count("452")) == (100, 900)


async def test_limits_are_a_sessions_own(tmp_path: Path) -> None:
    """aiosmtpd's lines may be longer, for everybody, after each EHLO."""
    before = dict(SMTP.command_size_limits)
    async with public(tmp_path) as daemon:
        client, other = [await Client.connect(daemon) for _ in range(2)]
        for _ in range(40):
            assert (await client.say("EHLO client")).startswith("250")
        for each in (client, other):
            assert (await each.say("NOOP " + "x" * 2100)).startswith("500 5.5.2 line too long")
    assert dict(SMTP.command_size_limits) == before


async def test_two_hundred_wrong_passwords_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        client.send(f"AUTH PLAIN {WRONG}\r\n" * 200)
        assert [(await client.answer())[:3] for _ in range(4)] == ["535", "535", "535", "421"]
        assert await client.closed()


async def test_a_second_starttls(tmp_path: Path, certificate: Tls) -> None:
    async with public(tmp_path, tls=certificate) as daemon:
        client = await upgraded(daemon)
        await client.say("EHLO client")
        assert (await client.say("STARTTLS")).startswith("503 5.5.1")
        assert (await client.say("NOOP")).startswith("250")


@pytest.mark.parametrize("more", ["EHLO evil\r\n", "\r\n", "\0"])
async def test_one_byte_behind_starttls_is_an_injection(tmp_path: Path, certificate: Tls, more: str) -> None:
    with capture_logs() as events:
        async with public(tmp_path, tls=certificate) as daemon:
            client = await Client.connect(daemon)
            await client.say("EHLO client")
            client.send("STARTTLS\r\n" + more)
            assert (await client.answer()).startswith("503 5.5.1 nothing may follow")
            assert await client.closed()
    assert "smtp.injection" in [event["event"] for event in events]


# ── time ─────────────────────────────────────────────────────────────────────────────────────────


async def test_noop_for_ever_is_a_session_that_ends(tmp_path: Path) -> None:
    async with public(tmp_path, session_timeout=0) as daemon:
        client = await Client.connect(daemon)
        assert (await client.say("NOOP")).startswith("250")
        assert (await client.answer()).startswith("421 4.4.2")
        assert await client.closed()


@pytest.mark.parametrize(
    ("size", "timeout", "until"), [(0, 600, 60), (10_000, 600, 80), (10_000_000, 600, 600), (0, 30, 30)]
)
def test_a_mail_must_come_at_some_speed(size: int, timeout: float, until: float) -> None:
    assert data_deadline(1000.0, size, timeout) == 1000.0 + until


async def test_who_drips_is_cut_off_long_before_the_time_for_a_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DATA_GRACE_S", 0.1)
    monkeypatch.setattr("gateway.smtp.server.SWEEP_S", 0.05)
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(b"drip")
        assert (await client.answer()).startswith("421 4.4.2")
        assert await client.closed()


# ── what must not be said ────────────────────────────────────────────────────────────────────────


async def test_what_went_wrong_is_not_for_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiosmtpd says it, and in a permanent answer; and one in Cyrillic ends its session without a word."""

    async def broken(*_given: object) -> None:
        raise RuntimeError("пароль password=secret")

    async with running(tmp_path) as daemon:
        monkeypatch.setattr(daemon.intake, "accept", broken)
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        answer = await client.mail(template(), SERVICE)
        assert answer.startswith("451 4.3.0 BUSY temporary fault, queue id ")
        assert "secret" not in answer
        monkeypatch.setattr(daemon.intake, "refusal_at_rcpt", lambda *_given, **_named: broken().send(None))
        await client.say("MAIL FROM:<alerts@bank.example>")
        assert await client.say(f"RCPT TO:<{SERVICE}>") == "421 4.3.0 temporary fault"


def test_loggers_that_print_mails_and_urls_are_quiet() -> None:
    """aiosmtpd's from the moment that it is loaded, the others when the log is set up, at any level."""
    for name in ("mail.log", "mail.debug"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO), name
    assert {"mail.log", "httpx", "httpcore", "aiohttp", "sqlalchemy"} <= set(CHATTY)


async def test_a_refusal_repeats_no_line_end_of_the_client(tmp_path: Path) -> None:
    """A form-feed or a line separator in an address is no line of ours."""
    async with public(tmp_path, max_errors=100) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client\x0b250 evil")
        await client.say("MAIL FROM:<alerts@bank.example> SMTPUTF8")
        for evil in ("<x\u2028250@sms.example.com>", "<x\x0c@sms.example.com>", '<"\x85250 OK"@sms.example.com>'):
            answer = await client.say(f"RCPT TO:{evil}")
            assert answer[:1] == "5", answer
            assert len(answer.splitlines()) == 1
        assert (await client.say("NOOP")).startswith("250")


async def test_all_is_well_after_all_of_it(tmp_path: Path) -> None:
    """Hundreds of half-open, silent and hostile clients, and an honest one among them."""
    async with public(tmp_path, max_connections_per_client=500) as daemon:
        openings = [b"", b"EHLO x\r\nMAIL", b"\0" * 100, b"x" * 5000, b"STARTTLS\r\nEHLO"]
        crowd = [await asyncio.open_connection("127.0.0.1", port(daemon)) for _ in range(150)]
        for index, (_, writer) in enumerate(crowd):
            writer.write(openings[index % len(openings)])
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.mail(template("honest"), SERVICE)).startswith("250")
        assert [sms.text for sms in await handsets(daemon, 1)] == ["honest"]
        for _, writer in crowd:
            writer.close()
