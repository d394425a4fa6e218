"""A TCP proxy that misbehaves on demand: before the provider, the smarthost or the database.

async with fault_proxy(port) as proxy:
    proxy.behaviour = Behaviour(cut_answer=0)   # of connections made from now on
    proxy.plan = [SILENT]                       # of the next ones, each once
    await proxy.refuse()                        # nobody listens
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

SOAK = bool(os.environ.get("EMAIL2SMS_SOAK"))
"""The long forms of the tests, for a night."""
HTTP_END = b"\r\n\r\n"
SMTP_END = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a connection does. Nothing set: it passes everything on, both ways."""

    silent: bool = False
    """Accepts, and neither passes on nor answers."""
    cut_request: int | None = None
    """RST after so many bytes of the request have been passed on."""
    request_end: bytes = b""
    """What ends the request that the next ones are about; empty: it counts from the first byte."""
    cut_answer: int | None = None
    """RST after so many bytes of the answer. With 0 the peer has answered, and nobody learns of it."""
    truncate: int | None = None
    """The same with an orderly close."""
    delay_s: float = 0.0
    """Before the answer."""
    slow_s: float = 0.0
    """Between two bytes of the answer."""
    answer: bytes | None = None
    """Instead of the peer's answer; then the connection ends. Needs ``request_end``."""
    forward: bool = False
    """With ``answer``: let the peer have the request and do what it does, and only then lie about it."""


PASS = Behaviour()
SILENT = Behaviour(silent=True)


def http(status: str, body: bytes = b"", *more: str, kind: str = "text/plain") -> bytes:
    """A whole HTTP response."""
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close", *more]
    return "\r\n".join([*head, "", ""]).encode() + body


HTML_502 = http("502 Bad Gateway", b"<html><body><h1>502 Bad Gateway</h1></body></html>", kind="text/html")
GARBAGE = bytes(range(256)) * 4
TEN_MEGABYTES = http("200 OK", b"1" * 10_000_000)


class FaultProxy:
    """One listening port in front of one peer on the loopback."""

    def __init__(self, peer_port: int) -> None:
        self.peer_port = peer_port
        self.port = 0
        self.behaviour = PASS
        self.plan: list[Behaviour] = []
        self.connections = 0
        self.requests: list[bytes] = []
        """What the clients sent, one item for each connection."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def admit(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening, and reset what is open."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        connection = _Connection(self.plan.pop(0) if self.plan else self.behaviour, reader, writer)
        index = len(self.requests)
        self.requests.append(b"")
        try:
            await connection.run(self.peer_port)
        except (OSError, asyncio.CancelledError):
            pass  # the connection is gone, which is what this is about
        finally:
            self.requests[index] = bytes(connection.request)
            connection.reset()
            self._tasks.discard(task)


class _Connection:
    def __init__(self, behaviour: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._behaviour, self._reader, self._writer = behaviour, reader, writer
        self._peer: asyncio.StreamWriter | None = None
        self.request = bytearray()
        self._ended = not behaviour.request_end
        self._answered = 0
        self._cut = self._closed = False

    async def run(self, port: int) -> None:
        if self._behaviour.silent:
            while block := await self._reader.read(65536):
                self.request += block
            return
        peer_reader, self._peer = await asyncio.open_connection("127.0.0.1", port)
        ways = [asyncio.create_task(self._up(self._peer)), asyncio.create_task(self._down(peer_reader))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if not self._cut:
                await asyncio.wait(ways)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _up(self, peer: asyncio.StreamWriter) -> None:
        """Client to peer."""
        behaviour = self._behaviour
        while block := await self._reader.read(65536):
            if self._closed:
                continue
            if behaviour.cut_request is not None:
                block = block[: max(0, behaviour.cut_request - len(self.request))]
            self.request += block
            if behaviour.request_end and behaviour.request_end in self.request:
                self._ended = True
            if behaviour.answer is None or behaviour.forward:
                peer.write(block)
                await peer.drain()
            elif self._ended:
                peer.close()
                await self._close(behaviour.answer)
            if behaviour.cut_request is not None and len(self.request) >= behaviour.cut_request:
                self._cut = True
                return
        with suppress(OSError):
            peer.write_eof()

    async def _down(self, peer: asyncio.StreamReader) -> None:
        """Peer to client."""
        behaviour = self._behaviour
        while (block := await peer.read(65536)) and not self._closed:
            if not self._ended:
                self._writer.write(block)
            elif behaviour.answer is not None:
                return await self._close(behaviour.answer)
            elif not await self._pass(block):
                return None
            await self._writer.drain()
        return await self._close()

    async def _pass(self, block: bytes) -> bool:
        """Part of the answer. False when that was the last of it."""
        behaviour = self._behaviour
        if behaviour.delay_s and not self._answered:
            await asyncio.sleep(behaviour.delay_s)
        limit = behaviour.cut_answer if behaviour.truncate is None else behaviour.truncate
        if limit is not None:
            block = block[: max(0, limit - self._answered)]
        self._answered += len(block)
        for piece in (block[i : i + 1] for i in range(len(block))) if behaviour.slow_s else (block,):
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(behaviour.slow_s)
        if limit is None or self._answered < limit:
            return True
        if behaviour.truncate is None:
            self._cut = True
        else:
            await self._close()
        return False

    async def _close(self, last: bytes = b"") -> None:
        """In order: what was written arrives, then the end. The client is heard until it closes, too."""
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):
            self._writer.write(last)
            await self._writer.drain()
            self._writer.write_eof()

    def reset(self) -> None:
        """RST to both sides. Nothing happens to a side that has closed in order."""
        for writer in (self._writer, self._peer):
            if writer is not None and not writer.is_closing():
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()


@asynccontextmanager
async def fault_proxy(peer_port: int) -> AsyncIterator[FaultProxy]:
    """Listen on a free port of the loopback."""
    proxy = FaultProxy(peer_port)
    await proxy.admit()
    try:
        yield proxy
    finally:
        await proxy.refuse()
