"""A gateway with a door of each kind, and clients that say anything to it.

The first byte of an input chooses the door, the second how the rest is said; then come the client's bytes, and the end
of what it sends.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
import subprocess
import tempfile
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import uvloop

from gateway.daemon import Daemon
from gateway.settings.load import load
from tests.running import LOOPBACK, listener, port, template, write_config

PATIENCE_S = 30.0
"""A client that has said that it says no more has all answers long before. (libFuzzer is less patient.)"""
MAX_RECIPIENTS = 3
DOORS = ("stranger", "lenient", "trusted", "lmtp", "proxied", "xclient", "tls", "unix")
_FORGIVING = {"lenient", "unix"}
_FROM_PROXY = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n"
_GO_AHEAD = b"220 2.0.0 go ahead\r\n"
_LINE = re.compile(rb"[2-5][0-9]{2}[ -][ -~]*")
_END = re.compile(rb"(?=\r\n\.\r\n)")
_LENIENT_END = re.compile(rb"(?=\r?\n\.\r?\n)")
_FAULTS = {"smtp.fault", "mail.fault"}


class Gateway:
    """Starts at once, in a loop of its own that runs only while somebody talks."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._socket = folder / "mail.sock"
        self._faults: list[str] = []
        self._before = structlog.get_config()
        structlog.configure(processors=[self._overhear])
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self._faults.append(repr(context)))
        changes = {
            "listeners": self._doors(folder),
            # Nobody is shut out, and nothing leaves: what is fuzzed is the door.
            "defence": {"attempts": 10**9, "attempts_per_day": 10**9, "tarpit": 0},
            "providers": {"main": {"driver": "sandbox", "rate": 0.001}},
        }
        self._daemon = Daemon(load(write_config(folder, changes)))
        self._loop.run_until_complete(self._daemon.start())

    def _doors(self, folder: Path) -> list[dict[str, Any]]:
        small = {"max_message_bytes": 4096, "max_recipients": MAX_RECIPIENTS, "max_errors": 5}
        public = {"trust": [], "accept_unverified": True, **small}
        front = {**public, "trust": ["192.0.2.0/24"], "proxies": LOOPBACK}
        return [
            listener(name="stranger", **public),
            listener(name="lenient", lenient=True, **small),
            listener(name="trusted", **small),
            listener(name="lmtp", protocol="lmtp", **small),
            listener(name="proxied", proxy_protocol=True, **front),
            listener(name="xclient", xclient=True, xclient_login=True, **front),
            listener(name="tls", tls=_certificate(folder), **public),
            listener(name="unix", bind=f"unix:{self._socket}", lenient=True, **small),
        ]

    def _overhear(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        if event["event"] in _FAULTS or "exc_info" in event:
            self._faults.append(repr(event))
        raise structlog.DropEvent

    def hear(self, data: bytes) -> bytes:
        """One client, and then a decent one. What the first has heard."""
        if len(data) < 3:
            return b""
        return self._loop.run_until_complete(self._hear(DOORS[data[0] % len(DOORS)], data[1], data[2:]))

    async def _hear(self, door: str, manner: int, said: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            heard, whole = await self._say(door, said, manner)
            self._is_proper(door, said, heard, whole=whole)
            quit_ = b"QUIT\r\n" if door != "proxied" else _FROM_PROXY + b"QUIT\r\n"
            greeting, _ = await self._say(door, quit_, 1)
            assert greeting.startswith(b"220 sms.example.com "), greeting
            await self._is_empty()
        assert not self._faults, self._faults
        return heard

    async def _say(self, door: str, said: bytes, manner: int) -> tuple[bytes, bool]:
        """What came back, and whether all of it did."""
        reader, writer = await self._connect(door)
        heard = b""
        try:
            if manner & 1 and door != "proxied":
                heard = await reader.readline()
            for piece in _pieces(said, manner >> 1 & 3):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            writer.write_eof()
            while block := await reader.read(65536):
                heard += block
        except OSError:  # cut off in the middle of a word
            return heard, False
        finally:
            writer.close()
        return heard, True

    async def _connect(self, door: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if door == "unix":
            return await asyncio.open_unix_connection(self._socket)
        return await asyncio.open_connection("127.0.0.1", port(self._daemon, DOORS.index(door)))

    def _is_proper(self, door: str, said: bytes, heard: bytes, *, whole: bool) -> None:
        heard = heard.partition(_GO_AHEAD)[0] if door == "tls" else heard  # then TLS speaks
        lines = heard.split(b"\r\n")
        rest = lines.pop()
        assert not (rest and whole), heard
        for line in lines:
            assert _LINE.fullmatch(line), line
            assert len(line) <= 510, line
        ends = len((_LENIENT_END if door in _FORGIVING else _END).findall(said))
        taken = [number for number, line in enumerate(lines) if b"queued as" in line]
        at_once = MAX_RECIPIENTS if door == "lmtp" else 1
        assert len(taken) <= ends * at_once, (said, heard)
        for number in taken:
            assert any(line.startswith(b"354 ") for line in lines[max(0, number - at_once) : number]), heard

    async def _is_empty(self) -> None:
        """Every session has given its place and its memory back."""
        for door in self._daemon.listeners:
            while door._connections.sessions:
                await asyncio.sleep(0.001)
            assert door._terms.budget._held == 0

    def close(self) -> None:
        """For tests; the fuzzer's process just ends."""
        self._loop.run_until_complete(self._daemon.stop())
        self._loop.close()
        structlog.configure(**self._before)
        self._folder.cleanup()


def _certificate(folder: Path) -> dict[str, str]:
    key, cert = str(folder / "tls.key"), str(folder / "tls.crt")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*command, "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=x"], check=True, capture_output=True
    )
    return {"certificate": cert, "key": key}


def _pieces(said: bytes, manner: int) -> Sequence[bytes]:
    """All at once, line by line, in halves, or in sevens."""
    match manner:
        case 1:
            return said.splitlines(keepends=True)
        case 2:
            return [said[: len(said) // 2], said[len(said) // 2 :]]
        case 3 if len(said) < 2000:
            return [said[start : start + 7] for start in range(0, len(said), 7)]
    return [said]


# ── what they say ────────────────────────────────────────────────────────────────────────────

_MAIL = template("one\r\n..two").replace(b"\r\n.", b"\r\n..")
_PLAIN = base64.b64encode(b"\0test_user\0qwerty12")
COMMANDS = [
    b"EHLO client",
    b"HELO client",
    b"LHLO client",
    b"EHLO",
    "HELO камера".encode(),
    b"HELO \xea\xe0\xec\xe5\xf0\xe0",
    b"MAIL FROM:<alerts@bank.example>",
    b"MAIL FROM:<>",
    b"mail from: alerts@bank.example",
    b"MAIL FROM:<alerts@bank.example> SIZE=99 BODY=8BITMIME SMTPUTF8",
    b"MAIL FROM:<a@b.example> SIZE=99999999999999999999999999999",
    b"MAIL FROM:<a@b.example> RET=HDRS ENVID=x XJUNK=1 JUNK",
    "MAIL FROM:<я@пример.рф> SMTPUTF8".encode(),
    b"RCPT TO:<emailtosms@sms.example.com>",
    b"RCPT TO:<79101234567@sms.example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x",
    b"RCPT TO:79101234567; 79102345678",
    b'RCPT TO:<"sms:79101234567"@sms.example.com>',
    b"RCPT TO:<@a,@b:emailtosms@sms.example.com> NOTIFY=NEVER",
    b"RCPT TO:<nobody@elsewhere.example>",
    b"RCPT TO:<>",
    b"DATA",
    b"DATA now",
    b"BDAT 20",
    b"BDAT 0 LAST",
    b".",
    b"..",
    b"RSET",
    b"NOOP x",
    b"VRFY root",
    b"EXPN staff",
    b"HELP",
    b"QUIT",
    b"STARTTLS",
    b"STARTTLS now",
    b"AUTH PLAIN " + _PLAIN,
    b"AUTH PLAIN",
    b"AUTH PLAIN =",
    b"auth plain " + _PLAIN[:9] + b" " + _PLAIN[9:],
    _PLAIN,
    b"AUTH LOGIN",
    b"AUTH LOGIN dGVzdF91c2Vy",
    b"dGVzdF91c2Vy",
    b"cXdlcnR5MTIK",
    b"cXdlcnR5MTI=",
    b"AUTH CRAM-MD5",
    b"dGVzdF91c2VyIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw",
    b"AUTH PLAIN " + base64.b64encode(b"\xff\0\xfe\0\xfd"),
    b"AUTH GSSAPI x",
    b"*",
    b"XCLIENT ADDR=192.0.2.9 HELO=x LOGIN=test_user",
    b"XCLIENT ADDR=[UNAVAILABLE] NAME=+D0+9F",
    b"XCLIENT ADDR=IPV6:2001:db8::1 PROTO=ESMTP",
    _FROM_PROXY.rstrip(),
    b"PROXY UNKNOWN",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2",
    b"PROXY TCP4 192.0.2.7 x 99999 -1",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\x9c\x40\0\x19",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x2f" + b"\x20\1\x0d\xb8" * 9 + b"\1\0\2ab\4\0\4\0\0\0\0",
    b"\x16\x03\x01\0\xa5\1\0\0\xa1\x03\x03",
    b"GET / HTTP/1.1",
    b"Subject: x",
    _MAIL,
    _MAIL.replace(b"\r\n", b"\n"),
    b"",
]
ENDS = [*[b"\r\n"] * 12, b"\n", b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\0\r\n", b" \r\n", b""]
_EHLO, _FROM, _TO, _END_OF_MAIL = b"EHLO client", COMMANDS[6], COMMANDS[13], b"."
_WHOLE = [_FROM, _TO, b"DATA", _MAIL, _END_OF_MAIL]
TALKS = [
    [_EHLO, *_WHOLE, b"QUIT"],
    [_EHLO, b"AUTH PLAIN " + _PLAIN, *_WHOLE, *_WHOLE, b"QUIT"],
    [b"LHLO client", _FROM, _TO, *_WHOLE[1:]],
    [b"HELO", b"mail from: alerts@bank.example", b"RCPT TO:79101234567; 79102345678", b"DATA", _MAIL, _END_OF_MAIL],
    [_FROM_PROXY.rstrip(), _EHLO, *_WHOLE],
    [b"XCLIENT ADDR=192.0.2.9 HELO=x LOGIN=test_user", _EHLO, *_WHOLE],
    [_EHLO, b"STARTTLS", _FROM],
    [b"AUTH LOGIN", b"dGVzdF91c2Vy", b"cXdlcnR5MTI=", b"AUTH CRAM-MD5", b"dGVzdF91c2VyIDAw"],
    [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0EHLO x"],
]


def good(door: str) -> bytes:
    """A dialogue in which a mail is taken there."""
    first = {"lmtp": [b"LHLO client"], "proxied": [_FROM_PROXY.rstrip(), _EHLO], "xclient": [TALKS[5][0], _EHLO]}
    said = b"\r\n".join([*first.get(door, [_EHLO]), *_WHOLE]) + b"\r\n"
    return bytes([DOORS.index(door), 1]) + said


def seeds() -> list[bytes]:
    """Good dialogues at each door."""
    talks = [b"\r\n".join(talk) + b"\r\n" for talk in TALKS]
    return [bytes([door, manner]) + talk for door in range(len(DOORS)) for talk in talks for manner in (1, 3)]


def damage(data: bytes, chance: random.Random) -> bytes:
    """One of the things that clients do, to one line of a dialogue."""
    head, lines = bytearray(data[:2].ljust(2, b"\1")), data[2:].splitlines(keepends=True) or [b""]
    for _ in range(chance.choice([1, 1, 2, 4])):
        at = chance.randrange(len(lines))
        match chance.randrange(10):
            case 0 | 1 | 2:
                lines.insert(at, chance.choice(COMMANDS) + chance.choice(ENDS))
            case 3 if len(lines) > 1:
                del lines[at]
            case 4:
                lines.insert(at, chance.choice(lines))
            case 5:
                lines[at] = lines[at].rstrip(b"\r\n") + chance.choice(ENDS)
            case 6:
                lines[at] = lines[at].swapcase()
            case 7:
                cut = chance.randrange(len(lines[at]) + 1)
                junk = chance.choice(
                    [chance.randbytes(5), b"\0", b"\xff", b" ", b"\t", b"=", b"<", b">", b"\xe2\x80\xae"]
                )
                lines[at] = lines[at][:cut] + junk + lines[at][cut:]
            case 8:
                lines[at] = lines[at].rstrip(b"\r\n") + b"x" * chance.choice([500, 2050, 5000, 13000]) + b"\r\n"
            case 9:
                head[chance.randrange(2)] = chance.randrange(8)
    return bytes(head) + b"".join(lines)
