"""The gateway as a process of its own, and the provider that it sends to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import smtplib
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.sandbox.platform import Platform, Sms
from gateway.sandbox.web import application
from tests.running import write_config

ENVIRONMENT = {**os.environ, "COLUMNS": "120", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": ""}
"""With bytecode, whatever the caller thinks of it: without, each of the hundreds of starts compiles the whole house."""


class Provider:
    """The sandbox on a port of the loopback, its platform in reach of the test."""

    def __init__(self) -> None:
        self.platform = Platform(clock=time.time, rings=self._ring)
        self.port = 0
        self._rang = asyncio.Event()

    def _ring(self, _sms: Sms) -> None:
        self._rang.set()

    @property
    def settings(self) -> dict[str, Any]:
        """The section of gateway.yaml."""
        url = f"http://127.0.0.1:{self.port}/sendsms.php"
        # Not asked for receipts: what is looked at is the way to ``submitted``.
        section = {"driver": "targetsms", "url": url, "user": "corp", "password": "verysecret", "poll": False}
        return {"main": section}

    async def messages(self, count: int, timeout_s: float = 20) -> list[Sms]:
        """What the handsets show, once there are that many."""
        async with asyncio.timeout(timeout_s):
            while len(self.platform.messages) < count:
                self._rang.clear()
                await self._rang.wait()
        return list(self.platform.messages)


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """Listen."""
    sandbox = Provider()
    runner = web.AppRunner(application(sandbox.platform), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sandbox.port = runner.addresses[0][1]
    try:
        yield sandbox
    finally:
        await runner.cleanup()


@dataclass
class Program:
    """A running ``email2sms serve``."""

    config: Path
    process: asyncio.subprocess.Process
    log: list[dict[str, Any]] = field(default_factory=list)
    raw_log: str = ""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _reader: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, config: Path, *wrapper: str) -> Program:
        """Start it and wait until it is ready. ``wrapper`` is a command to run it under."""
        program = await cls.spawn(config, *wrapper)
        await program.event("gateway.ready")
        return program

    @classmethod
    async def spawn(cls, config: Path, *wrapper: str) -> Program:
        """Start it and do not wait: it may be killed while it starts."""
        process = await asyncio.create_subprocess_exec(
            *(*wrapper, sys.executable, "-m", "gateway", "serve", "--config", str(config)),
            stderr=asyncio.subprocess.PIPE,
            env=ENVIRONMENT,
        )
        program = cls(config, process)
        program._reader = asyncio.create_task(program._read())
        return program

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.raw_log += line.decode()
            with suppress(json.JSONDecodeError):
                self.log.append(json.loads(line))
            self._changed.set()
        self._changed.set()

    async def event(self, name: str, count: int = 1, timeout_s: float = 20) -> dict[str, Any]:
        """The log's nth event of that name, once it is there."""
        async with asyncio.timeout(timeout_s):
            while len(found := [event for event in self.log if event["event"] == name]) < count:
                if self._reader is not None and self._reader.done():
                    raise AssertionError(f"ended without {name}:\n{self.raw_log}")
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    def port(self, name: str = "lan") -> int:
        """Of a listener."""
        ready = next(event for event in reversed(self.log) if event["event"] == "gateway.ready")
        return int(ready["listeners"][name].rpartition(":")[2])

    async def mail(self, content: bytes, *recipients: str, sender: str = "alerts@bank.example") -> str:
        """Send a mail with smtplib; the answer to its end, or the refusal before."""
        return await asyncio.to_thread(self._mail, content, recipients, sender)

    def _mail(self, content: bytes, recipients: tuple[str, ...], sender: str) -> str:
        with smtplib.SMTP("127.0.0.1", self.port(), local_hostname="client") as client:
            client.ehlo()
            client.mail(sender)
            for recipient in recipients:
                code, answer = client.rcpt(recipient)
                if code != 250:
                    return f"{code} {answer.decode()}"
            code, answer = client.data(content)
            return f"{code} {answer.decode()}"

    async def kill(self) -> None:
        """kill -9, as a power cut does to a process."""
        self.process.send_signal(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> int:
        """TERM. The exit code."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        async with asyncio.timeout(30):
            code = await self.process.wait()
            if self._reader is not None:
                await self._reader
        return code


@asynccontextmanager
async def program(
    folder: Path, sandbox: Provider, changes: dict[str, Any] | None = None, accounts: list[dict[str, Any]] | None = None
) -> AsyncIterator[Program]:
    """A gateway process in front of the provider; stopped at the end, whatever happens."""
    config = write_config(
        folder, {"providers": sandbox.settings, "log": {"format": "json"}, **(changes or {})}, accounts
    )
    running = await Program.start(config)
    try:
        yield running
    finally:
        await running.stop()


def free_port() -> int:
    """A port of its own for a gateway that is to come back to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def command(*arguments: str, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Run ``email2sms …``: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**ENVIRONMENT, **environment},
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        process.kill()
        raise
    return process.returncode or 0, out.decode(), err.decode()
