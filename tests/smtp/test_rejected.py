"""Who is turned away is in the book with the reason, masked, whatever it said; nobody else is."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from sqlalchemy import delete

from gateway.daemon import Daemon
from gateway.service.rejections import Rejection, Rejections
from gateway.spool.schema import rejections
from tests.process import command
from tests.running import LOOPBACK, Client, listener, port, running, subject_mail, template, write_config

SERVICE = "emailtosms@sms.example.com"
DOORS = {
    "lan": listener(max_message_bytes=2048, max_connections_per_client=30),
    "mx": listener(name="mx", trust=[], accept_unverified=True, max_message_bytes=2048),
}


async def book(daemon: Daemon, count: int) -> dict[str, Rejection]:
    """By reason, once there are that many different ones."""
    async with asyncio.timeout(10):
        while len(found := (await Rejections(daemon.store).listed()).items) < count:
            await daemon.intake.rejections.write()
            await asyncio.sleep(0.01)
    return {one.reason: one for one in found}


async def said(daemon: Daemon, door: str, *words: bytes, waits: bool = True) -> None:
    """These words, to this door; to the end of the connection."""
    client = Client(*await asyncio.open_connection("127.0.0.1", port(daemon, list(DOORS).index(door))))
    if waits:
        await client.answer()
    for one in words:
        client.send(one)
        with contextlib.suppress(ConnectionError):  # some are cut off without a word
            await client.answer()
    client.close()


BEGIN = [b"EHLO client\r\n", b"MAIL FROM:<alerts@bank.example>\r\n"]
TO_US = [f"RCPT TO:<{SERVICE}>\r\n".encode(), b"DATA\r\n"]


ROWS: list[tuple[str, list[bytes], bool, str, str, str | None]] = [
    ("lan", [b"\x16\x03\x01\x02\x00\x01"], False, "door_tls_first", "", None),
    ("lan", [b"GET /?password=qwerty12 HTTP/1.1\r\n"], True, "door_http", "", None),
    ("lan", [b"SEND qwerty12\r\n"], True, "door_not_smtp", "", "S: 500 5.5.1 command not recognized"),
    ("mx", [*BEGIN, *TO_US, b"a\nqwerty12\r\n.\r\n"], True, "door_bare_line_end", "", None),
    ("lan", [*BEGIN, *TO_US, b"qwerty12\r\n" * 400 + b".\r\n"], True, "door_too_large", "", None),
    ("lan", [*BEGIN[:1], b"MAIL FROM:<a@b.example> SIZE=5000\r\n"], True, "door_too_large", "", None),
    ("mx", [BEGIN[0], b"AUTH PLAIN qwerty12\r\n"], True, "door_auth_in_clear", "", "C: AUTH PLAIN ***"),
    (
        "lan",
        [*BEGIN, b"RCPT TO:<victim@elsewhere.example>\r\n"],
        True,
        "relay_denied",
        "FORBIDDEN",
        "C: RCPT TO:<v***@elsewhere.example>",
    ),
    ("lan", [*BEGIN, b"RCPT TO:<79101@sms.example.com>\r\n"], True, "number_too_short", "NUMBER", None),
    (
        "lan",
        [b"EHLO x\r\n", b"AUTH PLAIN AHRlc3RfdXNlcgB3cm9uZy1xd2VydHkxMg==\r\n"],
        True,
        "credentials_wrong",
        "AUTH",
        None,
    ),
    ("lan", [*BEGIN, *TO_US, template(password="qwerty1") + b"\r\n.\r\n"], True, "credentials_wrong", "AUTH", None),
    (
        "lan",
        [*BEGIN, *TO_US, b"Subject: x\r\n\r\nPassword=qwerty12\r\n.\r\n"],
        True,
        "fields_missing",
        "FORMAT",
        None,
    ),
]
"""Door, words, whether the client waits for the greeting; the reason, its verdict, a line of the dialogue."""


async def test_the_reason_and_the_dialogue(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": list(DOORS.values())}) as daemon:
        for door, words, waits, reason, verdict, last in ROWS:
            await said(daemon, door, *words, waits=waits)
            found = await book(daemon, 1)
            await daemon.store.write(lambda connection: connection.execute(delete(rejections)))
            assert list(found) == [reason], words
            one = found[reason]
            assert (one.verdict, one.listener, one.peer, one.count) == (verdict, door, "127.0.0.1", 1), words
            assert one.trusted == (door == "lan"), words
            assert last is None or last in one.dialogue, one.dialogue
            assert "qwerty1" not in repr(one)
            assert "cXdlcnR5" not in repr(one)
            assert "victim" not in repr(one)


async def test_content_is_refused_with_what_is_known_of_it(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": list(DOORS.values())}) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO ups.example")
        for _ in range(3):
            answer = await client.mail(subject_mail("Elsewhere;test_user;qwerty12;"), "79101234567@sms.example.com")
            assert answer.startswith("550 5.7.1")
        await client.mail(template(numbers="79161234567"), SERVICE)
        await client.mail(template(), SERVICE)
        found = await book(daemon, 2)
        assert set(found) == {"originator_not_allowed", "stop_listed"}
        one = found["originator_not_allowed"]
        assert (one.count, one.account, one.helo) == (3, "test_user", "ups.example")
        assert (one.sender, one.recipients) == ("alerts@bank.example", ("7910***4567@sms.example.com",))
        assert one.dialogue[1] == "C: EHLO ups.example"
        assert one.dialogue[-1].startswith("S: 550 5.7.1 FORBIDDEN")
        assert one.dialogue[-2].startswith("C: (")


async def test_who_does_nothing_wrong_is_not_in_it(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": [listener(max_recipients=1)]}) as daemon:
        client = await Client.connect(daemon)
        for line in ("EHLO x", "NOOP", "RSET", "MAIL FROM:<alerts@bank.example>", f"RCPT TO:<{SERVICE}>"):
            assert (await client.say(line))[:3] == "250"
        assert (await client.say(f"RCPT TO:<{SERVICE}>"))[:3] == "452"
        await client.say("RSET")
        assert (await client.mail(template(), SERVICE)).startswith("250")
        await client.say("QUIT")
        await daemon.intake.rejections.write()
        assert (await Rejections(daemon.store).listed()).items == []


async def test_who_does_not_wait_for_the_greeting(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": [listener(trust=[], accept_unverified=True, greet_pause=10)]}) as daemon:
        await said(daemon, "lan", b"EHLO early\r\n", waits=False)
        assert set(await book(daemon, 1)) == {"door_early"}


async def test_too_many_connections(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": [listener(max_connections_per_client=1)]}) as daemon:
        await Client.connect(daemon)
        await said(daemon, "lan")
        assert set(await book(daemon, 1)) == {"door_crowded"}


async def test_tls_doors(tmp_path: Path, certificate: dict[str, str]) -> None:
    doors = [
        listener(name="lan", tls={**certificate, "mode": "implicit"}, trust=[]),
        listener(name="mx", tls=certificate, trust=[]),
    ]
    async with running(tmp_path, {"listeners": doors}) as daemon:
        await said(daemon, "lan", b"EHLO in clear\r\n", waits=False)
        await said(daemon, "mx", *BEGIN)
        await said(daemon, "mx", BEGIN[0], b"STARTTLS\r\nMAIL FROM:<a@b.example>\r\n")
        found = await book(daemon, 3)
    assert set(found) == {"door_no_tls", "door_starttls_needed", "door_injection"}


async def test_without_a_proxy(tmp_path: Path) -> None:
    door = listener(proxy_protocol=True, proxies=LOOPBACK)
    async with running(tmp_path, {"listeners": [door]}) as daemon:
        await said(daemon, "lan", b"EHLO no proxy\r\n", waits=False)
        found = await book(daemon, 1)
    assert set(found) == {"door_no_proxy"}


async def test_a_pipe(tmp_path: Path) -> None:
    config = str(write_config(tmp_path))
    code, _, _ = await command(
        "inject", "--config", config, "-f", "alerts@bank.example", SERVICE, stdin=template(password="wrong")
    )
    assert code == 77
    async with running(tmp_path) as daemon:
        found = await book(daemon, 1)
    assert (found["credentials_wrong"].listener, found["credentials_wrong"].peer) == ("pipe", "")
