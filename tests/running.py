"""A gateway in the test's own loop, on free ports, with the sandbox's handsets behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from gateway.daemon import Daemon
from gateway.sandbox.platform import Sms
from gateway.settings.load import load

LOOPBACK = ["127.0.0.0/8"]
ACCOUNT: dict[str, Any] = {
    "login": "test_user",
    "password": "qwerty12",
    "api_keys": ["0a1b2c"],
    "phone": "79101234567",
    "senders": ["alerts@bank.example", "*@ops.bank.example"],
    "originators": ["My Bank"],
    "lists": {"12345": ["79101234567", "79102345678"]},
    "stop_list": ["79161234567"],
}
SETTINGS: dict[str, Any] = {
    "server": {"hostname": "sms.example.com"},
    "listeners": [{"name": "lan", "bind": "127.0.0.1:0", "trust": LOOPBACK, "on_refusal": "reject"}],
    "dialects": {
        "template": {"addresses": ["emailtosms@sms.example.com", "email2sms@sms.example.com"]},
        "address": {"domains": ["sms.example.com"]},
    },
    "providers": {"main": {"driver": "sandbox"}},
    "routes": [{"providers": ["main"]}],
}


def write_config(
    folder: Path, changes: dict[str, Any] | None = None, accounts: list[dict[str, Any]] | None = None
) -> Path:
    """The usual configuration with some sections replaced."""
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, **(changes or {})}, allow_unicode=True), "utf-8")
    listed = {"accounts": [ACCOUNT] if accounts is None else accounts}
    (folder / "accounts.yaml").write_text(yaml.safe_dump(listed, allow_unicode=True), "utf-8")
    return path


def listener(**changes: Any) -> dict[str, Any]:
    """One listener for ``changes["listeners"]``."""
    return {"name": "lan", "bind": "127.0.0.1:0", "trust": LOOPBACK, "on_refusal": "reject", **changes}


@asynccontextmanager
async def running(
    folder: Path, changes: dict[str, Any] | None = None, accounts: list[dict[str, Any]] | None = None
) -> AsyncIterator[Daemon]:
    """Start, and stop at the end."""
    daemon = Daemon(load(write_config(folder, changes, accounts)))
    await daemon.start()
    try:
        yield daemon
    finally:
        while _clients:
            _clients.pop().close()
        await daemon.stop()


def port(daemon: Daemon, index: int = 0) -> int:
    """Of the listener."""
    return int(daemon.listeners[index].where.rpartition(":")[2])


async def handsets(daemon: Daemon, count: int) -> list[Sms]:
    """The messages on the handsets, once there are ``count``."""
    arrived = asyncio.Event()
    daemon.platform.rings = lambda sms: arrived.set()
    async with asyncio.timeout(10):
        while len(daemon.platform.messages) < count:
            arrived.clear()
            await arrived.wait()
    return list(daemon.platform.messages)


_clients: list[Client] = []
"""Open connections; closed when the gateway stops."""


class Client:
    """A raw SMTP client: sends what it is told, shows what it gets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        _clients.append(self)

    @classmethod
    async def connect(cls, daemon: Daemon, index: int = 0) -> Client:
        """Connect and read the banner."""
        client = cls(*await asyncio.open_connection("127.0.0.1", port(daemon, index)))
        await client.answer()
        return client

    async def answer(self) -> str:
        """One reply; the lines of a longer one joined by newlines. Empty when the connection has ended."""
        lines = []
        async with asyncio.timeout(10):
            while line := await self.reader.readline():
                lines.append(line.decode("ascii").rstrip("\r\n"))
                if line[3:4] != b"-":
                    break
        return "\n".join(lines)

    def send(self, raw: bytes | str) -> None:
        """Exactly these bytes."""
        self.writer.write(raw.encode() if isinstance(raw, str) else raw)

    async def say(self, line: str) -> str:
        """One command, and its reply."""
        self.send(line + "\r\n")
        return await self.answer()

    async def mail(self, content: bytes, *recipients: str, sender: str = "alerts@bank.example") -> str:
        """A whole mail; the reply to its end. ``content`` has CRLF line ends and no lines that begin with a dot."""
        await self.say(f"MAIL FROM:<{sender}>")
        for recipient in recipients:
            await self.say(f"RCPT TO:<{recipient}>")
        await self.say("DATA")
        self.send(content + b"\r\n.\r\n")
        return await self.answer()

    async def closed(self) -> bool:
        """Whether the server has closed, after everything is read."""
        async with asyncio.timeout(10):
            try:
                while await self.reader.read(4096):
                    pass
            except ConnectionError:
                pass
        return True

    def close(self) -> None:
        """Close."""
        self.writer.close()


def template(
    text: str = "Привет", *, numbers: str = "79101234567", password: str = "qwerty12", more: str = ""
) -> bytes:
    """A mail of the template dialect, in windows-1251, with declared charset."""
    return (
        "From: alerts@bank.example\r\nTo: emailtosms@sms.example.com\r\nSubject: x\r\n"
        f"{more}Content-Type: text/plain; charset=windows-1251\r\n\r\n"
        f"SmsUser=test_user\r\nPassword={password}\r\nSourceAddress=My Bank\r\nPhoneNumber={numbers}\r\n{text}"
    ).encode("cp1251")


def subject_mail(subject: str, text: str = "Hello", *, more: str = "") -> bytes:
    """A mail of the address dialect."""
    head = f"From: alerts@bank.example\r\nSubject: {subject}\r\n{more}"
    return f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}".encode()
