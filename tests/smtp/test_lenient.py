"""What old devices do to SMTP (``deploy/devices.md``): row by row at a raw socket, on three listeners.

``lenient`` trusts the client and forgives it; ``trusted`` trusts it as one trusts a mail server; ``stranger`` knows
nobody. A row says what is sent after which stage of a proper dialogue, how the last answer begins on each, and which
quirk is counted for the client on the first.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import ssl
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.daemon import Daemon
from gateway.service.desk import Desk
from gateway.service.quirks import WORDS, Quirk, QuirkBook, known_quirks, words
from gateway.settings.load import load
from tests.running import ACCOUNT, Client, handsets, listener, port, running, template, write_config
from tests.smtp.test_defence import RIGHT, SERVICE, Tls, b64, insecure

HASHED = {key: value for key, value in ACCOUNT.items() if key != "password"}
HASHED |= {"login": "hashed", "api_keys": [], "senders": [], "lists": {}, "stop_list": []}
HASHED["password_hash"] = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"
DOORS = ["lenient", "trusted", "stranger"]
LISTENERS = [
    listener(name="lenient", lenient=True),
    listener(name="trusted"),
    listener(name="stranger", trust=[], accept_unverified=True, lenient=False),
]
FROM = b"MAIL FROM:<alerts@bank.example>\r\n"
TO = f"RCPT TO:<{SERVICE}>\r\n".encode()
STAGES = {"": [], "helo": [b"HELO x\r\n"], "ehlo": [b"EHLO x\r\n"]}
STAGES["mail"] = [*STAGES["ehlo"], FROM]
STAGES["data"] = [*STAGES["mail"], TO, b"DATA\r\n"]
END = b"\r\n.\r\n"
BARE = template("one\r\ntwo").replace(b"\r\n", b"\n")


class Row(NamedTuple):
    sent: list[bytes]
    stage: str
    lenient: str
    trusted: str
    stranger: str
    quirk: str = ""


def same(sent: bytes | list[bytes], stage: str, answer: str, quirk: str = "", stranger: str = "") -> Row:
    """Forgiven by everybody who trusts the client, or by everybody."""
    return Row(sent if isinstance(sent, list) else [sent], stage, answer, answer, stranger or answer, quirk)


def only(sent: bytes | list[bytes], stage: str, answer: str, refused: str, quirk: str, stranger: str = "") -> Row:
    """Forgiven by the lenient listener."""
    return Row(sent if isinstance(sent, list) else [sent], stage, answer, refused, stranger or refused, quirk)


ROWS = {
    "HELO without a name": only(b"HELO \r\n", "", "250 sms", "501 5.5.4", "helo-empty"),
    "EHLO without a name": only(b"EHLO\r\n", "", "250-sms", "501 5.5.4", "helo-empty"),
    "HELO with spaces": same(b"HELO UPS 01 (room)\r\n", "", "250 sms", "helo-junk"),
    "HELO in UTF-8": same("HELO камера\r\n".encode(), "", "250 sms", "helo-junk"),
    "HELO in cp1251": only("HELO камера\r\n".encode("cp1251"), "", "250 sms", "500 5.5.2", "helo-junk"),
    "HELO with an address": same(b"HELO [192.168.1.40]\r\n", "", "250 sms"),
    "no HELO": only(FROM, "", "250 2.1.0", "503 5.5.1", "helo-missing"),
    "a second EHLO forgets the mail": same([b"EHLO y\r\n", TO], "mail", "503 5.5.1"),
    "parameters after HELO": same(b"MAIL FROM:<> BODY=8BITMIME SIZE=9\r\n", "helo", "250 2.1.0", "helo-parameters"),
    "AUTH=<>": same(b"MAIL FROM:<a@b.example> AUTH=<>\r\n", "ehlo", "250 2.1.0"),
    "XOORG": same(b"MAIL FROM:<a@b.example> XOORG=x.example\r\n", "ehlo", "250 2.1.0"),
    "RET and ENVID": same(b"MAIL FROM:<a@b.example> RET=HDRS ENVID=Q1\r\n", "ehlo", "250 2.1.0"),
    "NOTIFY and ORCPT": same(
        f"RCPT TO:<{SERVICE}> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a@b\r\n".encode(), "mail", "250 2.1.5"
    ),
    "a parameter that nobody knows": same(
        b"MAIL FROM:<a@b.example> HOLDFOR=9\r\n", "ehlo", "250 2.1.0", "parameter-unknown", stranger="555 5.5.4"
    ),
    "NOTIFY of nonsense": same(
        f"RCPT TO:<{SERVICE}> NOTIFY=SOON\r\n".encode(), "mail", "250 2.1.5", "parameter-unknown", stranger="501 5.5.4"
    ),
    "no brackets": only(b"MAIL FROM: a@b.example\r\n", "ehlo", "250 2.1.0", "501 5.1.7", "brackets-missing"),
    "no brackets and parameters": only(
        b"MAIL FROM:a@b.example SIZE=100\r\n", "ehlo", "250 2.1.0", "501 5.1.7", "brackets-missing"
    ),
    "no brackets at RCPT": only(
        f"RCPT TO: {SERVICE}\r\n".encode(), "mail", "250 2.1.5", "501 5.1.3", "brackets-missing"
    ),
    "a sender without a domain": same(b"MAIL FROM:<device>\r\n", "ehlo", "250 2.1.0"),
    "a source route": same(b"RCPT TO:<@relay.example:79101234567@sms.example.com>\r\n", "mail", "250 2.1.5"),
    "a number with a plus": same(b"RCPT TO:<+79101234567@sms.example.com>\r\n", "mail", "250 2.1.5"),
    "a number alone": only(b"RCPT TO:<79101234567>\r\n", "mail", "250 2.1.5", "550 5.7.1", "domain-missing"),
    "a number with a plus alone": only(
        b"RCPT TO:<+79101234567>\r\n", "mail", "250 2.1.5", "550 5.7.1", "domain-missing"
    ),
    "a number alone that is too short": only(
        b"RCPT TO:<791012>\r\n", "mail", "550 5.1.3 NUMBER", "550 5.7.1", "domain-missing"
    ),
    "another's domain is never completed": same(b"RCPT TO:<79101234567@other.example>\r\n", "mail", "550 5.7.1"),
    "sms: before the number": same(
        b'RCPT TO:<"sms:+79101234567"@sms.example.com>\r\n', "mail", "250 2.1.5", "number-scheme"
    ),
    "several in one RCPT": only(
        b"RCPT TO:<79101234567@sms.example.com; 79102345678@sms.example.com>\r\n",
        *("mail", "250 2.1.5", "501 5.1.3", "recipients-listed"),
    ),
    "one of several is another's": only(
        b"RCPT TO:<79101234567@sms.example.com; x@other.example>\r\n",
        *("mail", "550 5.7.1", "501 5.1.3", "recipients-listed"),
    ),
    "a sender in cp1251": only(
        "MAIL FROM:<камера@b.example>\r\n".encode("cp1251"), "ehlo", "250 2.1.0", "500 5.5.2", "eight-bit-command"
    ),
    "a sender in UTF-8 without SMTPUTF8": only(
        "MAIL FROM:<камера@b.example>\r\n".encode(), "ehlo", "250 2.1.0", "553 5.6.7", "eight-bit-command"
    ),
    "NUL around a command": only(b"\0NOOP\0\r\n", "ehlo", "250 2.0.0", "500 5.5.2", "stray-bytes"),
    "NUL inside a command": same(b"NO\0OP\r\n", "ehlo", "500 5.5.2"),
    "a byte order mark": only(b"\xef\xbb\xbfEHLO x\r\n", "", "250-sms", "500 5.5.1", "stray-bytes"),
    "CR CR LF": same(b"NOOP\r\r\n", "ehlo", "250 2.0.0", stranger="500 5.5.2"),
    "LF after commands": same([b"EHLO x\n", b"NOOP\n"], "", "250 2.0.0", "lf-commands"),
    "LF in the text": same(BARE + END, "data", "250 2.0.0 OK", "lf-text", stranger="550 5.6.0"),
    "LF . LF is no end among CRLF": same(BARE + b"\n.\nVRFY x" + END, "data", "250 2.0.0 OK", "lf-text", "550 5.6.0"),
    "LF everywhere": only(
        [b"HELO x\n", FROM.replace(b"\r", b""), TO.replace(b"\r", b""), b"DATA\n", BARE + b"\n.\n"],
        *("", "250 2.0.0 OK", "550 5.5.2", "lf-end"),
    ),
    "lines of 5000": same(template("a" * 70) + b"\r\n-- \r\n" + b"x" * 5000 + END, "data", "250 2.0.0 OK"),
    "no header": same(template().partition(b"\r\n\r\n")[2] + END, "data", "250 2.0.0 OK"),
    "nothing": same(b".\r\n", "data", "554 5.6.0 FORMAT"),
    "cp1251 in the Subject": same(
        template(more="").replace(b"Subject: x", "Subject: тревога".encode("cp1251")) + END, "data", "250 2.0.0 OK"
    ),
    "cp1251 undeclared": same(template("Привет").replace(b"; charset=windows-1251", b"") + END, "data", "250 2.0.0 OK"),
    "auth plain": same(b"auth plain " + RIGHT.encode() + b"\r\n", "ehlo", "235 2.7.0", stranger="538 5.7.11"),
    "AUTH LOGIN": same(b"AUTH LOGIN\r\n", "ehlo", "334 VXNlcm5hbWU6", stranger="538 5.7.11"),
    "AUTH LOGIN with the login": same(
        f"AUTH Login {b64('test_user')}\r\n".encode(), "ehlo", "334 UGFzc3dvcmQ6", stranger="538 5.7.11"
    ),
    "AUTH LOGIN to the end": same(
        [b"AUTH LOGIN\r\n", b64("test_user").encode() + b"\r\n", b64("qwerty12").encode() + b" \r\n"],
        *("ehlo", "235 2.7.0"),
        stranger="538 5.7.11",
    ),
    "base64 and a newline": only(
        [b"AUTH LOGIN\r\n", b64("test_user").encode() + b"\n\r\n", b64("qwerty12").encode() + b"\n\r\n"],
        *("ehlo", "235 2.7.0", "535 5.7.8", "stray-bytes"),
        stranger="538 5.7.11",
    ),
    "base64 with a space": only(
        f"AUTH PLAIN {RIGHT[:8]} {RIGHT[8:]}\r\n".encode(),
        *("ehlo", "235 2.7.0", "504 5.5.4", "auth-base64"),
        stranger="538 5.7.11",
    ),
    "base64 with a space in the dialogue": only(
        [b"AUTH PLAIN\r\n", f"{RIGHT[:8]} {RIGHT[8:]}\r\n".encode()],
        *("ehlo", "235 2.7.0", "501 5.5.2", "auth-base64"),
        stranger="538 5.7.11",
    ),
    "echo password | base64": only(
        f"AUTH PLAIN {b64(chr(0) + 'test_user' + chr(0) + 'qwerty12' + chr(10))}\r\n".encode(),
        *("ehlo", "235 2.7.0", "535 5.7.8", "auth-newline"),
        stranger="538 5.7.11",
    ),
    "AUTH after HELO": only(
        b"AUTH PLAIN " + RIGHT.encode() + b"\r\n", "helo", "235", "503 5.5.1", "auth-without-ehlo", "538 5.7.11"
    ),
    "AUTH without any": only(
        b"AUTH PLAIN " + RIGHT.encode() + b"\r\n", "", "235", "503 5.5.1", "auth-without-ehlo", "538 5.7.11"
    ),
    "CRAM-MD5": only(b"auth cram-md5\r\n", "ehlo", "334 ", "504 5.5.4", "", "538 5.7.11"),
    "CRAM-MD5 with nonsense": only(
        [b"AUTH CRAM-MD5\r\n", b"dGVzdA==\r\n"], "ehlo", "501 5.5.2", "504 5.5.4", "cram-md5", "538 5.7.11"
    ),
    "TLS": same(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "", "421 4.7.0 this is SMTP", "tls-on-smtp-port"),
    "HTTP": same(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", "421 4.7.0 this is SMTP, not HTTP", "http-on-smtp-port"),
    "HTTP/2": same(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", "421 4.7.0 this is SMTP, not HTTP", "http-on-smtp-port"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    folder = tmp_path_factory.mktemp("lenient")
    patient = {"attempts": 1000}  # one gateway hears the wrong passwords of all these tests
    async with running(folder, {"listeners": LISTENERS, "defence": patient}, [ACCOUNT, HASHED]) as started:
        yield started


async def counts(daemon: Daemon, door: str) -> Counter[str]:
    await daemon.intake.quirks.write()
    rows = [row for row in await known_quirks(daemon.store) if row.listener == door]
    assert {row.client for row in rows} <= ({"*"} if door == "stranger" else {"127.0.0.1"})
    return Counter({row.quirk: row.count for row in rows})


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_quirks_are_forgiven_where_they_may_be(daemon: Daemon, row: Row) -> None:
    for index, (door, expected) in enumerate(zip(DOORS, row[2:5], strict=True)):
        before = await counts(daemon, door)
        client = await Client.connect(daemon, index)
        for line in STAGES[row.stage]:
            client.send(line)
            assert (await client.answer())[:3] in ("250", "354")
        for line in row.sent:
            client.send(line)
            answer = await client.answer()
            if answer[:1] not in ("2", "3"):
                break
        assert answer.startswith(expected), door
        if row.stage == "data" and answer[0] == "2":
            assert await client.say("NOOP") == "250 2.0.0 OK"  # one mail, one answer
        client.close()
        counted = set(await counts(daemon, door) - before)
        if door == "lenient":
            assert (row.quirk in counted) if row.quirk else not counted
        if door == "stranger":
            assert counted <= {"tls-on-smtp-port", "http-on-smtp-port"}


# ── what comes of it ─────────────────────────────────────────────────────────────────────────────


async def test_a_device_with_every_habit_sends_an_sms_and_its_mail_tells_of_them(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": LISTENERS[:1]}, [{**ACCOUNT, "senders": ["*"]}]) as daemon:
        client = await Client.connect(daemon)
        subject = "Subject: My Bank;test_user;qwerty12;\n\nдверь открыта".encode()
        for line in (
            *("HELO камера 1\n".encode("cp1251"), b"MAIL FROM: device\n"),
            *(b"RCPT TO:<79101234567; +79102345678>\n", b"DATA\n", subject + b"\n.\n"),
        ):
            client.send(line)
            answer = await client.answer()
        client.writer.transport.abort()  # and goes without QUIT
        sent = await handsets(daemon, 2)
        assert sorted((sms.destination, sms.text) for sms in sent) == [
            ("79101234567", "дверь открыта"),
            ("79102345678", "дверь открыта"),
        ]
        story = await Desk(daemon.store).story(answer.split()[-1])
        assert story is not None
        (note,) = [note for _, _, note in story.trail if note.room == "smtp"]
        habits = [Quirk.LF_COMMANDS, Quirk.HELO_JUNK, Quirk.BRACKETS_MISSING, Quirk.RECIPIENTS_LISTED]
        habits += [Quirk.DOMAIN_MISSING, Quirk.LF_END]
        assert note.values == {"quirks": "; ".join(WORDS[habit] for habit in habits)}


async def test_the_next_mail_of_a_session_has_habits_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": LISTENERS[:1]}) as daemon:
        client = await Client.connect(daemon)
        await client.say("HELO UPS 1")
        seen = []
        for sender in ("alerts@bank.example", "<alerts@bank.example>"):
            for line in (f"MAIL FROM:{sender}", f"RCPT TO:<{SERVICE}>", "DATA"):
                await client.say(line)
            client.send(template(sender) + END)
            story = await Desk(daemon.store).story((await client.answer()).split()[-1])
            assert story is not None
            seen += [note.values["quirks"] for _, _, note in story.trail if note.room == "smtp"]
        junk = WORDS[Quirk.HELO_JUNK]
        assert seen == [f"{junk}; {WORDS[Quirk.BRACKETS_MISSING]}", junk]


async def test_a_domain_is_completed_only_where_there_is_one(tmp_path: Path) -> None:
    dialects = {"address": {"domains": ["sms.example.com", "sms.example.org"]}}
    async with running(tmp_path, {"listeners": LISTENERS[:1], "dialects": dialects}) as daemon:
        client = await Client.connect(daemon)
        await client.say("MAIL FROM:<>")
        assert (await client.say("RCPT TO:<79101234567>")).startswith("550 5.7.1")
    dialects = {"template": {"addresses": ["a@sms.example.org", "b@sms.example.org"]}}
    path = write_config(tmp_path, {"dialects": dialects})
    assert load(path).home_domain == "sms.example.org"


# ── CRAM-MD5 ─────────────────────────────────────────────────────────────────────────────────────


async def cram(client: Client, login: str, password: str, *, challenge: bytes = b"") -> str:
    asked = base64.b64decode((await client.say("AUTH CRAM-MD5")).removeprefix("334 "))
    digest = hmac.new(password.encode(), challenge or asked, "md5").hexdigest()
    return await client.say(b64(f"{login} {digest}"))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("login", "password", "answer"),
    [
        ("test_user", "qwerty12", "235 2.7.0"),
        ("test_user", "qwerty13", "535 5.7.8"),
        ("nobody", "qwerty12", "535 5.7.8"),
        ("nobody", "", "535 5.7.8"),  # not even with what stands in for a password
        ("hashed", "", "535 5.7.8"),
        ("hashed", "qwerty12", "535 5.7.8"),
        ("hashed", str(HASHED["password_hash"]), "535 5.7.8"),
    ],
)
async def test_cram_md5(daemon: Daemon, login: str, password: str, answer: str) -> None:
    client = await Client.connect(daemon)
    password = password or daemon._credentials._decoy
    assert "250-AUTH PLAIN LOGIN CRAM-MD5" in await client.say("EHLO x")
    assert (await cram(client, login, password)).startswith(answer)
    if answer[0] == "2":
        assert (await client.say("AUTH PLAIN " + RIGHT)).startswith("503")


@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_heard_of_cram_md5_opens_nothing_and_three_tries_end_it(daemon: Daemon) -> None:
    client = await Client.connect(daemon)
    await client.say("EHLO x")
    for _ in range(3):
        assert (await cram(client, "test_user", "qwerty12", challenge=b"<heard@before>")).startswith("535")
    assert (await client.answer()).startswith("421")


async def test_cram_md5_is_not_offered_where_nobody_could_use_it(tmp_path: Path) -> None:
    asleep = {**ACCOUNT, "enabled": False}
    async with running(tmp_path, {"listeners": LISTENERS[:2]}, [HASHED, asleep]) as daemon:
        client = await Client.connect(daemon)
        assert "CRAM" not in await client.say("EHLO x")
        assert (await client.say("AUTH CRAM-MD5")).startswith("504")


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────


def old_client() -> ssl.SSLContext:
    """Speaks TLS 1.0 and nothing else."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    return context


async def test_old_tls_by_opt_in_and_only_for_trusted_clients(tmp_path: Path, certificate: Tls) -> None:
    old = {**certificate, "mode": "implicit", "min_version": "TLSv1"}
    doors = [
        listener(name="old", lenient=True, tls=old),
        listener(name="elsewhere", lenient=True, trust=["192.0.2.0/24"], accept_unverified=True, tls=old),
        listener(name="new", tls={**certificate, "mode": "implicit"}),
        listener(name="clear", tls=certificate),
    ]
    with capture_logs() as events:
        async with running(tmp_path, {"listeners": doors}) as daemon:

            async def connected(index: int) -> Client:
                client = Client(*await asyncio.open_connection("127.0.0.1", port(daemon, index), ssl=old_client()))
                await client.answer()
                return client

            device = await connected(0)
            assert device.writer.get_extra_info("ssl_object").version() == "TLSv1"
            await device.say("EHLO printer")
            assert (await device.mail(template(), SERVICE)).startswith("250")
            await daemon.intake.quirks.write()
            assert [row.quirk for row in await known_quirks(daemon.store)] == ["tls-old"]
            stranger = await connected(1)
            assert (await stranger.say("EHLO printer")).startswith("421 4.7.0 this TLS is too old")
            with pytest.raises(OSError):
                await connected(2)
            client = await Client.connect(daemon, 3)
            assert (await client.say("STARTTLS")).startswith("220")
            with pytest.raises(OSError):
                await client.writer.start_tls(old_client())
            assert await client.closed()
    failed = [(event["listener"], event["why"]) for event in events if event["event"] == "smtp.no_handshake"]
    assert failed == [("new", "UNSUPPORTED_PROTOCOL"), ("clear", "UNSUPPORTED_PROTOCOL")]
    dangers = [event["what"] for event in events if event["event"] == "config.dangerous"]
    assert [danger.partition(":")[0] for danger in dangers] == ["listener old", "listener elsewhere"]


@pytest.mark.parametrize(
    ("said", "looks_like"),
    [
        (b"EHLO printer\r\n", "SMTP without TLS"),
        (b"GET / HTTP/1.0\r\n\r\n", "HTTP"),
        (b"", "SMTP without TLS: it waits for a greeting"),
    ],
)
async def test_what_is_not_tls_on_the_tls_port_is_named(
    tmp_path: Path, certificate: Tls, said: bytes, looks_like: str
) -> None:
    door = listener(tls={**certificate, "mode": "implicit"}, command_timeout=5 if said else 0.2)
    with capture_logs() as events:
        async with running(tmp_path, {"listeners": [door]}) as daemon:
            client = Client(*await asyncio.open_connection("127.0.0.1", port(daemon)))
            client.send(said)
            assert await client.closed()
            async with asyncio.timeout(5):
                while not any(event["event"] == "smtp.quirk" for event in events):
                    await asyncio.sleep(0.01)
            await daemon.intake.quirks.write()
            (row,) = await known_quirks(daemon.store)
            assert (row.client, row.quirk) == ("127.0.0.1", "smtp-on-tls-port")
    named = [(event["peer"], event["looks_like"]) for event in events if event["event"] == "smtp.not_smtp"]
    assert named == [("127.0.0.1", looks_like)]


async def test_handshakes_that_wait_are_limited_as_connections_are(tmp_path: Path, certificate: Tls) -> None:
    door = listener(tls={**certificate, "mode": "implicit"}, max_connections_per_client=2)
    async with running(tmp_path, {"listeners": [door]}) as daemon:
        first, _, third = [Client(*await asyncio.open_connection("127.0.0.1", port(daemon))) for _ in range(3)]
        assert await third.closed()
        first.send(b"NOOP\r\n")
        assert await first.closed()
        client = Client(*await asyncio.open_connection("127.0.0.1", port(daemon), ssl=insecure()))
        assert (await client.answer()).startswith("220")


# ── the report ───────────────────────────────────────────────────────────────────────────────────


async def test_the_log_hears_of_a_habit_once_a_day(tmp_path: Path) -> None:
    now = [1000.0]
    async with running(tmp_path) as daemon:
        book = QuirkBook(daemon.store, lambda: now[0])
        with capture_logs() as events:
            for _ in range(3):
                book.note(Quirk.HELO_EMPTY, client="192.168.1.40", listener="lan")
            now[0] += 86400
            book.note(Quirk.HELO_EMPTY, client="192.168.1.40", listener="lan")
            book.note(Quirk.LF_END, client="192.168.1.40", listener="lan")
        assert [event["quirk"] for event in events] == ["helo-empty", "helo-empty", "lf-end"]
        assert events[0]["what"] == "HELO without a name"
        await book.write()
        await book.write()  # nothing twice
        first, second = await known_quirks(daemon.store)
        assert (first.first_at, first.last_at, first.count) == (1000.0, 87400.0, 4)
        assert (second.first_at, second.count) == (87400.0, 1)


async def test_what_cannot_be_written_is_kept_and_too_many_clients_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.service.quirks.MAX_HELD", 3)
    async with running(tmp_path) as daemon:
        book = QuirkBook(daemon.store)
        for number in range(9):
            book.note(Quirk.HELO_EMPTY, client=f"192.0.2.{number}", listener="lan")
        await daemon.store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE quirks RENAME TO gone"))
        with pytest.raises(Exception, match="quirks"):
            await book.write()
        await daemon.store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE gone RENAME TO quirks"))
        book.note(Quirk.HELO_EMPTY, client="192.0.2.0", listener="lan")
        await book.write()
        assert [(row.client[-1], row.count) for row in await known_quirks(daemon.store)] == [
            ("0", 2),
            ("1", 1),
            ("2", 1),
        ]


async def test_the_command_shows_who_does_what(tmp_path: Path) -> None:
    changes = {"listeners": LISTENERS[:1], "store": {"url": f"sqlite:///{tmp_path}/gateway.db"}}
    async with running(tmp_path, changes) as daemon:
        client = await Client.connect(daemon)
        await client.say("HELO")
    config = ["--config", str(tmp_path / "gateway.yaml")]  # what is held is written at the end
    run = CliRunner().invoke
    told, shown = [await asyncio.to_thread(run, app, ["quirks", *config, *more]) for more in (["--json"], [])]
    (row,) = json.loads(told.stdout)
    assert (row["client"], row["listener"], row["quirk"], row["count"]) == ("127.0.0.1", "lenient", "helo-empty", 1)
    assert row["what"] == words("helo-empty") == "HELO without a name"
    assert shown.stdout.split("\n")[1].startswith("127.0.0.1  lenient   HELO without a name")


def test_every_quirk_has_words_and_a_row_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "deploy" / "devices.md").read_text("utf-8")
    assert set(WORDS) == set(Quirk)
    assert [quirk for quirk in Quirk if f"| `{quirk}` |" not in page] == []
