"""A client's bytes, in and out: lines and blocks that are waited for, replies that are held back until there is room.

For the doors what ``asyncio.StreamReader`` and ``StreamWriter`` are for everybody, with what SMTP needs and no more: an
idle client takes 4 kB instead of 7, and leaves nothing to the garbage collector.
"""

from __future__ import annotations

import asyncio
from typing import cast

LINE = 12288
"""RFC 4954 §4: what AUTH may take. No line is longer, and no more than twice as much is held unread."""


class Stream(asyncio.Protocol):
    """One connection's. One reader at a time."""

    transport: asyncio.Transport | None = None
    """None: the client has not come yet, or has gone."""
    _tls = False
    _ended = False
    """The client sends no more."""
    _error: Exception | None = None
    """Why the connection has broken."""
    _more: asyncio.Future[None] | None = None
    """Somebody waits for bytes."""
    _room: asyncio.Future[None] | None = None
    """There is none: the client does not read what it is sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._in = bytearray()
        self._out = bytearray()

    # ── from the transport ───────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's only looks like one

    def data_received(self, data: bytes) -> None:
        """Bytes."""
        self._in += data
        if len(self._in) > 2 * LINE and self.transport is not None:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The client sends no more; it may still listen for the answer to what it has sent. Not so with TLS."""
        self._ended = True
        self._wake()
        return not self._tls

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone. What is left of a broken connection is not read."""
        self.transport = None
        self._ended = True
        if error is not None:
            self._error = error
            self._in.clear()
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._room = self.loop.create_future()

    def resume_writing(self) -> None:
        """It does again, or never will."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _wake(self) -> None:
        more, self._more = self._more, None
        if more is not None and not more.done():
            more.set_result(None)

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    @property
    def has_bytes(self) -> bool:
        """Whether anything has come that nobody has read."""
        return bool(self._in)

    @property
    def has_line(self) -> bool:
        """Whether the client has said more already."""
        return b"\n" in self._in

    async def line(self) -> bytes:
        """The next, with its LF. Raises ``asyncio.LimitOverrunError`` for one that is too long, which stays,
        ``asyncio.IncompleteReadError`` and ``OSError`` when the client is gone."""
        searched = 0
        while (end := self._in.find(b"\n", searched)) < 0 and len(self._in) <= LINE:
            searched = len(self._in)
            await self._wait()
        if end < 0 or end > LINE:
            raise asyncio.LimitOverrunError("line too long", len(self._in))
        line = bytes(self._in[: end + 1])
        del self._in[: end + 1]
        return line

    async def skip_line(self, limit: int) -> bool:
        """Throw the rest of a line away; False: so many bytes of it have not ended it."""
        while (end := self._in.find(b"\n")) < 0:
            limit -= len(self._in)
            self._in.clear()
            if limit <= 0:
                return False
            await self._wait()
        del self._in[: end + 1]
        return True

    async def block(self) -> bytes:
        """All that has come, at least a byte. Raises as ``line`` does."""
        if not self._in:
            await self._wait()
        block = bytes(self._in)
        self._in.clear()
        return block

    def unread(self, rest: bytes | bytearray) -> None:
        """Give back what belongs to the next reader."""
        self._in[:0] = rest

    async def _wait(self) -> None:
        if self._ended:
            raise self._error or asyncio.IncompleteReadError(b"", None)
        if self.transport is not None:
            self.transport.resume_reading()
        self._more = self.loop.create_future()
        await self._more

    # ── writing ──────────────────────────────────────────────────────────────────────────────

    def write_out(self) -> None:
        """Send what is held back."""
        if self.transport is not None:
            self.transport.write(bytes(self._out))
        self._out.clear()

    async def flush(self) -> None:
        """Send what is held back, and wait while the client does not read. Raises ``OSError`` when it is gone."""
        self.write_out()
        if self._room is not None:
            await self._room
        if self.transport is None:
            raise ConnectionResetError
