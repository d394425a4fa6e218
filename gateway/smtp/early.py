"""Who speaks before the greeting is no mail server: RFC 5321 §3.1 makes the client wait."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios

from gateway.smtp.stream import Stream


async def first_words(stream: Stream, pause_s: float) -> bytes:
    """What an untrusted client has said without being asked, or says within the pause. Empty: it waits."""
    try:
        if pause_s:
            async with asyncio.timeout(pause_s):
                return await stream.block()
        if stream.has_bytes or _is_waiting(stream.transport):
            return await stream.block()
    except (TimeoutError, asyncio.IncompleteReadError):
        pass
    return b""


def _is_waiting(transport: asyncio.BaseTransport | None) -> bool:
    """Whether the kernel has bytes that nobody has read; with TLS they may be the handshake's."""
    bound = transport.get_extra_info("socket") if transport is not None else None
    if transport is None or bound is None or transport.get_extra_info("ssl_object") is not None:
        return False
    try:
        return bool(struct.unpack("i", fcntl.ioctl(bound.fileno(), termios.FIONREAD, b"\0\0\0\0"))[0])
    except OSError:
        return False
