"""What hostile, broken and slow clients get."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.daemon import Daemon
from tests.running import Client, handsets, listener, running, template

SERVICE = "emailtosms@sms.example.com"
Tls = dict[str, str]


def insecure() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.asynccontextmanager
async def public(folder: Path, **changes: Any) -> AsyncIterator[Daemon]:
    """A gateway that trusts no network."""
    door = listener(trust=[], accept_unverified=True, **changes)
    async with running(folder, {"listeners": [door]}) as daemon:
        yield daemon


async def in_data(client: Client) -> None:
    await client.say("EHLO client")
    await client.say("MAIL FROM:<alerts@bank.example>")
    await client.say(f"RCPT TO:<{SERVICE}>")
    assert (await client.say("DATA")).startswith("354")


# ── smuggling (CVE-2024-27305 and its relatives; reliability §3.4) ──────────────────────────────

FAKE_ENDS = [b"\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n"]
FAKE_ENDS += [b"\r\n.\0\r\n", b"\r\n.\r\r\n", b"\n\n.\r\r\n", b"\r\r\n.\r\n"[:3] + b".\r"]
SMUGGLED = b"MAIL FROM:<evil@bank.example>\r\nRCPT TO:<%s>\r\nDATA\r\nsmuggled\r\n.\r\n" % SERVICE.encode()


@pytest.mark.parametrize("end", FAKE_ENDS)
async def test_a_false_end_of_data_never_starts_a_second_mail(tmp_path: Path, end: bytes) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(template("text") + end + SMUGGLED)
        answer = await client.answer()
        if b"\0" in end:  # no line end of its own: part of the text
            assert answer.startswith("250")
        else:
            assert answer.startswith("550 5.6.0 FORMAT a bare CR or LF")
            assert await client.closed()
        assert "smuggled" not in [sms.text for sms in daemon.platform.messages]


@pytest.mark.parametrize("end", FAKE_ENDS)
async def test_nor_does_it_from_a_trusted_client_that_ends_lines_in_crlf(tmp_path: Path, end: bytes) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(template("text") + end + SMUGGLED)
        assert (await client.answer()).startswith("250")
        assert (await client.say("NOOP")).startswith("250")  # one mail, one answer
        (sms,) = await handsets(daemon, 1)
        assert "smuggled" in sms.text  # it was text


async def test_what_follows_the_end_is_the_next_command(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(template("text") + b"\r\n.\r\nNOOP\r\nQUIT\r\n")
        assert [(await client.answer())[:3] for _ in range(3)] == ["250", "250", "221"]


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────


async def upgraded(daemon: Daemon) -> Client:
    client = await Client.connect(daemon)
    assert "250-STARTTLS" in await client.say("EHLO client")
    assert (await client.say("STARTTLS")).startswith("220")
    await client.writer.start_tls(insecure(), server_hostname="localhost")
    return client


async def test_starttls_resets_and_then_mail_goes(tmp_path: Path, certificate: Tls) -> None:
    async with public(tmp_path, tls=certificate) as daemon:
        client = await upgraded(daemon)
        assert (await client.say("MAIL FROM:<a@b.example>")).startswith("503")  # EHLO is forgotten
        ehlo = await client.say("EHLO client")
        assert "AUTH PLAIN LOGIN" in ehlo
        assert "STARTTLS" not in ehlo
        assert (await client.say("STARTTLS")).startswith("503")
        assert (await client.mail(template(), SERVICE)).startswith("250")


@pytest.mark.parametrize("command", ["MAIL FROM:<a@b.example>", "AUTH PLAIN AGEAYg=="])
async def test_untrusted_clients_must_encrypt(tmp_path: Path, certificate: Tls, command: str) -> None:
    async with public(tmp_path, tls=certificate) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.say(command)).startswith("530 5.7.0")


async def test_commands_behind_starttls_are_thrown_away(tmp_path: Path, certificate: Tls) -> None:
    async with public(tmp_path, tls=certificate) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        client.send("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@bank.example>\r\n")
        assert (await client.answer()).startswith("503")
        assert await client.closed()


async def test_implicit_tls(tmp_path: Path, certificate: Tls) -> None:
    async with public(tmp_path, tls={**certificate, "mode": "implicit"}) as daemon:
        port = int(daemon.listeners[0].where.rpartition(":")[2])
        client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=insecure()))
        assert (await client.answer()).startswith("220")
        assert "STARTTLS" not in await client.say("EHLO client")
        assert (await client.mail(template(), SERVICE)).startswith("250")


async def test_no_password_in_clear(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        assert "AUTH" not in await client.say("EHLO client")
        assert (await client.say("AUTH PLAIN AGEAYg==")).startswith("538")


# ── AUTH ─────────────────────────────────────────────────────────────────────────────────────────


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


RIGHT, WRONG = b64("\0test_user\0qwerty12"), b64("\0test_user\0wrong")


async def test_auth_verifies_the_sender(tmp_path: Path, certificate: Tls) -> None:
    door = listener(trust=[], tls=certificate)
    async with running(tmp_path, {"listeners": [door]}) as daemon:
        client = await upgraded(daemon)
        await client.say("EHLO client")
        unverified = await client.mail(template(), SERVICE)
        assert unverified.startswith("550 5.7.1 FORBIDDEN sender not verified")
        assert (await client.say("auth plain " + RIGHT)).startswith("235 2.7.0")
        assert (await client.say("AUTH PLAIN " + RIGHT)).startswith("503")
        assert (await client.mail(template(), SERVICE)).startswith("250")


async def test_auth_login_asks_as_clients_expect(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert await client.say("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert await client.say(b64("test_user")) == "334 UGFzc3dvcmQ6"
        assert (await client.say(b64("qwerty12"))).startswith("235")


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["AUTH PLAIN", "*"], "501"),
        (["AUTH PLAIN", "!!!"], "501 5.5.2"),
        (["AUTH PLAIN !!!"], "501 5.5.2"),
        (["AUTH PLAIN " + b64("no zeros")], "501 5.5.2"),
        (["AUTH LOGIN", b64("test_user"), b64("wrong")], "535 5.7.8 AUTH"),
        (["AUTH PLAIN " + b64("\0nobody\0qwerty12")], "535 5.7.8 AUTH"),
        (["AUTH CRAM-MD5"], "504"),
        (["AUTH"], "504"),
    ],
)
async def test_failed_logins(tmp_path: Path, lines: list[str], reply: str) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        answers = [await client.say(line) for line in lines]
        assert answers[-1].startswith(reply)
        assert (await client.say("NOOP")).startswith("250")


async def test_three_wrong_passwords_end_the_session(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        for _ in range(3):
            assert (await client.say("AUTH PLAIN " + WRONG)).startswith("535")
        assert (await client.answer()).startswith("421")
        assert await client.closed()


# ── size, number, time ───────────────────────────────────────────────────────────────────────────


async def test_too_large_a_mail_is_refused_and_the_session_goes_on(tmp_path: Path) -> None:
    async with public(tmp_path, max_message_bytes=20_000) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(template("x" * 30_000) + b"\r\n.\r\n")
        assert (await client.answer()).startswith("552 5.3.4 LIMIT")
        assert (await client.mail(template("short"), SERVICE)).startswith("250")


async def test_a_client_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    async with public(tmp_path, max_message_bytes=20_000) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(b"x" * 1_000_000)
        assert (await client.answer()).startswith("552 5.3.4 LIMIT")
        assert await client.closed()


async def test_a_large_mail_in_small_pieces(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        content = template("текст\r\n-- \r\n" + "подпись " * 20_000) + b"\r\n.\r\n"
        for start in range(0, len(content), 7777):
            client.send(content[start : start + 7777])
            await client.writer.drain()
        assert (await client.answer()).startswith("250")
        assert (await handsets(daemon, 1))[0].text == "текст"


async def test_an_endless_command_line(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        assert (await client.say("NOOP " + "x" * 3000)).startswith("500 5.5.2 line too long")
        assert (await client.say("NOOP " + "x" * 100_000)).startswith("500 5.5.2 line too long")
        assert (await client.say("NOOP")).startswith("250")


async def test_too_many_errors(tmp_path: Path) -> None:
    async with public(tmp_path, max_errors=3) as daemon:
        client = await Client.connect(daemon)
        for _ in range(2):
            assert (await client.say("NONSENSE")).startswith("500")
        assert (await client.say("NONSENSE")).startswith("500")
        assert (await client.answer()).startswith("421 4.7.0")
        assert await client.closed()


async def test_too_many_recipients(tmp_path: Path) -> None:
    async with public(tmp_path, max_recipients=2) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        await client.say("MAIL FROM:<alerts@bank.example>")
        answers = [await client.say(f"RCPT TO:<{SERVICE}>") for _ in range(3)]
        assert [answer[:9] for answer in answers] == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_client"])
async def test_too_many_connections(tmp_path: Path, limit: str) -> None:
    async with public(tmp_path, **{limit: 2}) as daemon:
        first, second = [await Client.connect(daemon) for _ in range(2)]
        third = Client(*await asyncio.open_connection("127.0.0.1", int(daemon.listeners[0].where.rpartition(":")[2])))
        assert (await third.answer()).startswith("421 4.7.0 too many connections")
        assert (await first.say("QUIT")).startswith("221")
        assert await first.closed()
        fourth = await Client.connect(daemon)
        assert (await fourth.say("NOOP")).startswith("250")
        assert (await second.say("NOOP")).startswith("250")


@pytest.mark.parametrize("begun", ["", "EHLO cli"])
async def test_slow_clients_are_told_and_closed(tmp_path: Path, begun: str) -> None:
    async with public(tmp_path, command_timeout=0.2) as daemon:
        client = await Client.connect(daemon)
        client.send(begun)
        assert (await client.answer()).startswith("421 4.4.2")
        assert await client.closed()


async def test_slow_data(tmp_path: Path) -> None:
    async with public(tmp_path, data_timeout=0.2) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(b"drip")
        assert (await client.answer()).startswith("421 4.4.2")
        assert await client.closed()


async def test_a_client_that_never_reads_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.smtp.connection.ABORT_AFTER_S", 0.2)
    async with public(tmp_path, command_timeout=0.3, max_errors=100_000) as daemon:
        client = await Client.connect(daemon)
        client.writer.transport.set_write_buffer_limits(high=0)
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(5):
                while True:
                    client.send("HELP\r\n" * 10_000)
                    await client.writer.drain()
        async with asyncio.timeout(5):
            while daemon.listeners[0]._connections.sessions:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "opening", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n"]
)
async def test_what_is_not_smtp_is_closed(tmp_path: Path, opening: bytes) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        client.send(opening)
        assert await client.closed()


@pytest.mark.parametrize("line", [b"NOOP \xff\xfe\r\n", b"NO\0OP\r\n", b"NOOP a\rb\r\n"])
async def test_bytes_that_are_no_command(tmp_path: Path, line: bytes) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        client.send(line)
        assert (await client.answer()).startswith("500 5.5.2")


async def test_stop_lets_a_mail_finish_and_tells_idle_clients(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        busy, idle = [await Client.connect(daemon) for _ in range(2)]
        await in_data(busy)
        stopping = asyncio.create_task(daemon.listeners[0].stop(5))
        assert (await idle.answer()).startswith("421 4.3.2")
        busy.send(template() + b"\r\n.\r\n")
        assert (await busy.answer()).startswith("250 2.0.0 OK queued")
        assert (await busy.answer()).startswith("421 4.3.2")
        await stopping
        assert len(await handsets(daemon, 1)) == 1


async def test_many_large_mails_at_one_time_are_put_off(tmp_path: Path) -> None:
    """Memory is bounded whatever arrives; and it is given back."""
    changes = {"server": {"hostname": "sms.example.com", "max_buffered": 1_048_576}}
    async with running(tmp_path, changes) as daemon:
        clients = [await Client.connect(daemon) for _ in range(3)]
        for client in clients:
            await client.say("EHLO x")
            for line in ("MAIL FROM:<alerts@bank.example>", "RCPT TO:<emailtosms@sms.example.com>", "DATA"):
                await client.say(line)
        for client in clients[:2]:
            client.send(b"x: " + b"y" * 500_000)
            await client.writer.drain()
        clients[2].send(b"x: " + b"y" * 500_000)
        answers = [asyncio.create_task(client.answer()) for client in clients]
        done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        assert [task.result() for task in done] == ["421 4.3.1 BUSY too much mail at one time, try again later"]
        for client, task in zip(clients, answers, strict=True):
            if not task.done():
                client.close()
        await asyncio.gather(*answers, return_exceptions=True)
        again = await Client.connect(daemon)
        await again.say("EHLO x")
        assert (await again.mail(template("small"), "emailtosms@sms.example.com")).startswith("250")
