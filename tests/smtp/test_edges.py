"""Where clients stop in the middle, and where two programs meet at one socket."""

from __future__ import annotations

import asyncio
import gc
import socket
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from gateway.daemon import Daemon
from gateway.settings.faults import ConfigError
from tests.running import ACCOUNT, Client, handsets, listener, port, running, template
from tests.smtp.test_defence import RIGHT, SERVICE, WRONG, Tls, b64, in_data, insecure, public, upgraded

HASHED = {key: value for key, value in ACCOUNT.items() if key != "password"}
HASHED["password_hash"] = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"


async def begun(daemon: Daemon) -> Client:
    """A client between MAIL and RCPT."""
    client = await Client.connect(daemon)
    await client.say("EHLO client")
    await client.say("MAIL FROM:<alerts@bank.example>")
    return client


async def nobody_left(daemon: Daemon) -> bool:
    """Every session has given its place back."""
    async with asyncio.timeout(5):
        while daemon.listeners[0]._connections.sessions:
            await asyncio.sleep(0.02)
    return True


# ── what an MTA does by right does not end its session ───────────────────────────────────────────


async def test_more_recipients_than_are_taken_at_a_time(tmp_path: Path) -> None:
    async with public(tmp_path, max_recipients=2, max_errors=3) as daemon:
        client = await begun(daemon)
        answers = [await client.say(f"RCPT TO:<{SERVICE}>") for _ in range(12)]
        assert [answer[:9] for answer in answers] == ["250 2.1.5"] * 2 + ["452 4.5.3"] * 10
        assert (await client.say("DATA")).startswith("354")


async def test_recipients_of_another_dialect(tmp_path: Path) -> None:
    async with public(tmp_path, max_errors=3) as daemon:
        client = await begun(daemon)
        assert (await client.say(f"RCPT TO:<{SERVICE}>")).startswith("250")
        answers = {(await client.say("RCPT TO:<79101234567@sms.example.com>"))[:9] for _ in range(12)}
        assert answers == {"452 4.5.3"}
        assert (await client.say("DATA")).startswith("354")


@pytest.mark.parametrize(("trust", "goes_on"), [(["127.0.0.0/8"], True), ([], False)])
async def test_wrong_recipients_count_for_strangers_only(tmp_path: Path, trust: list[str], goes_on: bool) -> None:
    door = listener(trust=trust, accept_unverified=True, max_errors=3)
    async with running(tmp_path, {"listeners": [door]}) as daemon:
        client = await begun(daemon)
        for _ in range(3):
            assert (await client.say("RCPT TO:<79@other.example>")).startswith("550")
        client.send(f"RCPT TO:<{SERVICE}>\r\n")
        assert (await client.answer()).startswith("250" if goes_on else "421 4.7.0")


# ── handshakes ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("instead", [b"", b"\x16\x03\x01", b"EHLO evil\r\nMAIL FROM:<evil@bank.example>\r\n"])
async def test_a_handshake_that_comes_to_nothing_leaves_nothing(
    tmp_path: Path, certificate: Tls, instead: bytes
) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with public(tmp_path, tls=certificate, command_timeout=0.3) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.say("STARTTLS")).startswith("220")
        client.send(instead)
        async with asyncio.timeout(5):
            in_clear = await client.reader.read()
        assert b"250" not in in_clear
        assert b"421" not in in_clear
        assert await nobody_left(daemon)
    gc.collect()  # that is when a task complains that nobody has asked how it ended
    assert not faults


async def test_stop_does_not_wait_for_a_handshake(tmp_path: Path, certificate: Tls) -> None:
    async with public(tmp_path, tls=certificate) as daemon:
        client = await Client.connect(daemon)
        assert (await client.say("STARTTLS")).startswith("220")
        async with asyncio.timeout(5):
            await daemon.listeners[0].stop(0.1)
        assert await client.closed()
        assert await nobody_left(daemon)


async def test_implicit_tls_without_a_handshake_is_closed(tmp_path: Path, certificate: Tls) -> None:
    async with public(tmp_path, tls={**certificate, "mode": "implicit"}, command_timeout=0.2) as daemon:
        client = Client(*await asyncio.open_connection("127.0.0.1", port(daemon)))
        assert await client.closed()


@pytest.mark.parametrize(
    ("opening", "what"),
    [(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"), (b"POST /x HTTP/1.1\r\n\r\nMAIL FROM:<>\r\n", "HTTP")],
)
async def test_another_protocol_is_seen_by_its_first_bytes(tmp_path: Path, opening: bytes, what: str) -> None:
    with capture_logs() as events:
        async with public(tmp_path) as daemon:
            client = Client(*await asyncio.open_connection("127.0.0.1", port(daemon)))
            client.send(opening)
            assert await client.closed()
    assert [event["looks_like"] for event in events if event["event"] == "smtp.not_smtp"] == [what]


# ── AUTH ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["AUTH PLAIN ="], "501 5.5.2"),
        (["AUTH LOGIN =", "="], "535 5.7.8"),
        (["AUTH LOGIN " + b64("test_user"), b64("qwerty12")], "235"),
        (["AUTH PLAIN", RIGHT], "235"),
        (["AUTH PLAIN", "A" * 20_000], "500 5.5.6"),
        (["AUTH PLAIN " + "A" * 20_000], "500 5.5.2"),
        (["AUTH LOGIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN", b64("test_user"), "*"], "501 5.7.0"),
        (["AUTH PLAIN " + b64("\0\udcff\0x".replace("\udcff", "ÿ"))], "535 5.7.8"),
        (["MAIL FROM:<alerts@bank.example>", "AUTH PLAIN " + RIGHT], "503"),
    ],
)
async def test_auth_step_by_step(tmp_path: Path, lines: list[str], reply: str) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        answers = [await client.say(line) for line in lines]
        assert answers[-1].startswith(reply)
        assert (await client.say("NOOP")).startswith("250")


async def test_a_client_that_leaves_in_auth(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.say("AUTH LOGIN")).startswith("334")
        client.writer.write_eof()
        assert await client.closed()
        assert await nobody_left(daemon)


async def test_a_fault_in_auth_is_temporary_and_says_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, accounts=[HASHED]) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        daemon._credentials.close()
        assert await client.say("AUTH PLAIN " + RIGHT) == "421 4.3.0 temporary fault"
        assert await client.closed()


async def test_no_secret_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with capture_logs() as events:
        async with running(tmp_path) as daemon:
            client = await Client.connect(daemon)
            await client.say("EHLO client")
            for line in (
                "AUTH PLAIN " + WRONG,
                "AUTH PLAIN !" + RIGHT,
                "AUTH LOGIN",
                b64("test_user"),
                b64("qwerty12"),
            ):
                await client.say(line)
            await client.mail(template(password="qwertyqwerty"), SERVICE)
            await client.say("RCPT TO:<x@other.example>")
    logged = repr(events) + caplog.text
    assert "smtp.login_failed" in logged
    assert "smtp.refused" in logged
    assert not [secret for secret in ("qwerty", WRONG, RIGHT, b64("qwerty12")) if secret in logged]


# ── addresses and lines ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "address",
    [
        "a@b..example",
        "a..b@c.example",
        ".a@b.example",
        "a@-b.example",
        "a\x85b@c.example",
        "a" * 309 + "@bank.example",
        '"a"b@c.d',
    ],
)
async def test_addresses_that_are_none(tmp_path: Path, address: str) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.say(f"MAIL FROM:<{address}> SMTPUTF8")).startswith("501 5.1.7")


@pytest.mark.parametrize("argument", ["", " ", " юзер", " [127.0.0.1] (a room)"])
async def test_greetings_of_devices(tmp_path: Path, argument: str) -> None:
    async with running(tmp_path, {"listeners": [listener(lenient=True)]}) as daemon:
        client = await Client.connect(daemon)
        assert await client.say(f"HELO{argument}") == "250 sms.example.com"
        assert (await client.mail(template(), SERVICE)).startswith("250")


async def test_strangers_greet_and_use_brackets(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        assert (await client.say("MAIL FROM:<alerts@bank.example>")).startswith("503")
        assert (await client.say("EHLO")).startswith("501")
        await client.say("EHLO client")
        assert (await client.say("MAIL FROM:alerts@bank.example")).startswith("501")
        assert (await client.say("MAIL FROM:<alerts@bank.example> HOLDFOR=9")).startswith("555 5.5.4")
        assert (await client.say("MAIL FROM:<alerts@bank.example> XOORG=x.example")).startswith("250")


async def test_strangers_without_cr_are_told_before_they_wait_for_ever(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        for line in ("EHLO client", "MAIL FROM:<alerts@bank.example>", f"RCPT TO:<{SERVICE}>"):
            client.send(line + "\n")
            assert (await client.answer()).startswith("250")
        client.send("DATA\n")
        assert (await client.answer()).startswith("550 5.5.2 FORMAT")


async def test_a_line_without_end_is_cut_off(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        client.send(b"x" * 1_100_000)
        assert (await client.answer()).startswith("500 5.5.2 line too long")
        assert await client.closed()


@pytest.mark.parametrize(("auth", "reply"), [(True, "250"), (False, "550 5.6.0")])
async def test_bare_lf_from_those_who_said_who_they_are(
    tmp_path: Path, certificate: Tls, auth: bool, reply: str
) -> None:
    """`curl -u … -T file` sends the file as it is."""
    async with public(tmp_path, tls=certificate) as daemon:
        client = await upgraded(daemon)
        await client.say("EHLO client")
        if auth:
            await client.say("AUTH PLAIN " + RIGHT)
        content = template("one\r\n.\r\ntwo").replace(b"\r\n", b"\n")
        assert (await client.mail(content, SERVICE)).startswith(reply)
        assert [sms.text for sms in (await handsets(daemon, 1) if auth else [])] == (["one\n.\ntwo"] if auth else [])


# ── the listener ─────────────────────────────────────────────────────────────────────────────────


async def test_a_socket_in_use_is_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    changes = {"listeners": [{"name": "mta", "bind": f"unix:{path}", "protocol": "lmtp"}]}
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ConfigError, match="in use"):
            async with running(tmp_path, changes):
                pass
        assert path.is_socket()


async def test_stop_cuts_off_who_does_not_finish(tmp_path: Path) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await in_data(client)
        client.send(b"half a mail")
        async with asyncio.timeout(5):
            await daemon.listeners[0].stop(0.1)
        assert await client.closed()
        assert await nobody_left(daemon)
        assert not daemon.platform.messages


async def test_tls_clients_that_half_close_have_their_mail_kept(tmp_path: Path, certificate: Tls) -> None:
    """TLS knows no half-closed connection: nobody hears the answer, but the mail is in the store."""
    async with public(tmp_path, tls={**certificate, "mode": "implicit"}) as daemon:
        client = Client(*await asyncio.open_connection("127.0.0.1", port(daemon), ssl=insecure()))
        await client.answer()
        await in_data(client)
        client.send(template("kept") + b"\r\n.\r\n")
        await client.writer.drain()
        client.close()
        async with asyncio.timeout(10):
            while not daemon.platform.messages:
                await asyncio.sleep(0.02)


async def test_a_disk_with_room_is_not_looked_at_for_each_mail_a_full_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with public(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        monkeypatch.setattr("gateway.service.intake.LOOK_FOR_ROOM_S", 3600.0)
        for has_room, looks in ((False, 2), (True, 1)):
            disk = Mock(return_value=has_room)
            monkeypatch.setattr(daemon.store.database, "has_room", disk)
            for _ in range(2):
                answer = await client.say("MAIL FROM:<alerts@bank.example>")
                assert answer[:9] == ("250 2.1.0" if has_room else "452 4.3.1")
                await client.say("RSET")
            assert disk.call_count == looks
