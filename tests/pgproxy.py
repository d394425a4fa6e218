"""A proxy between the gateway and PostgreSQL, whose faults hit connections that are in use, too."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from sqlalchemy import make_url

COMMIT = b"COMMIT;"


class Fate(Enum):
    """What becomes of the answer to a COMMIT. The server has got it in any case."""

    PASS = auto()
    KEEP = auto()
    """Kept back until ``release``."""
    CUT = auto()
    """Once it is there, so that all is committed, the connection dies instead."""


@dataclass(eq=False)
class Line:
    """One connection."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    said: bytearray = field(default_factory=bytearray)
    """By the client since its last COMMIT."""
    fate: Fate = Fate.PASS

    def cut(self) -> None:
        """RST, to the program; the server sees an end, as of a client that died."""
        sock: socket.socket = self.client.get_extra_info("socket")
        if not self.client.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.client.transport.abort()
        self.server.transport.abort()


class PgProxy:
    """``port`` on the loopback, in front of the server of ``url``."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.port = 0
        self.lines: set[Line] = set()
        self.commits = 0
        self.at_commit: Callable[[Line], Fate] = lambda line: Fate.PASS
        """Asked before a COMMIT is passed on."""
        self.kept = asyncio.Event()
        """An answer is kept back: all is committed, and the program does not know."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """For the gateway."""
        there = self._url.set(host="127.0.0.1", port=self.port).difference_update_query(["host", "port"])
        return there.render_as_string(hide_password=False)

    async def admit(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening, and cut what is open."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self) -> None:
        """What is open."""
        for line in list(self.lines):
            line.cut()

    def silence(self) -> None:
        """Nothing passes any more, neither way, and nothing is closed."""
        self._flowing.clear()

    def speak(self) -> None:
        """What was kept back in ``silence`` passes now."""
        self._flowing.set()

    def release(self) -> None:
        """The answers to COMMIT that were kept back arrive."""
        for line in self.lines:
            line.fate = Fate.PASS

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass(reader, client)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            client.transport.abort()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        there, server = await self._connect()
        line = Line(client, server)
        self.lines.add(line)
        ways = [asyncio.create_task(self._up(reader, line)), asyncio.create_task(self._down(there, line))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.lines.discard(line)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            server.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._url.query.get("host") or self._url.host or "127.0.0.1", self._url.port or 5432
        if str(host).startswith("/"):
            return await asyncio.open_unix_connection(str(Path(str(host)) / f".s.PGSQL.{port}"))
        return await asyncio.open_connection(str(host), port)

    async def _up(self, reader: asyncio.StreamReader, line: Line) -> None:
        while block := await reader.read(65536):
            await self._flowing.wait()
            line.said += block
            if COMMIT in line.said:
                self.commits += 1
                line.fate = self.at_commit(line)
                line.said.clear()
            line.server.write(block)
            await line.server.drain()

    async def _down(self, there: asyncio.StreamReader, line: Line) -> None:
        while block := await there.read(65536):
            await self._flowing.wait()
            if line.fate is Fate.CUT:
                line.cut()
                return
            while line.fate is Fate.KEEP:
                self.kept.set()
                await asyncio.sleep(0.01)
            line.client.write(block)
            await line.client.drain()
        with suppress(OSError):
            line.client.write_eof()


@asynccontextmanager
async def pg_proxy(url: str) -> AsyncIterator[PgProxy]:
    """Listen on a free port of the loopback."""
    proxy = PgProxy(url)
    await proxy.admit()
    try:
        yield proxy
    finally:
        proxy.speak()
        await proxy.refuse()
