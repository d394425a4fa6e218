"""Who speaks before the greeting is no mail server: RFC 5321 §3.1 makes the client wait."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios


async def first_words(transport: asyncio.BaseTransport, reader: asyncio.StreamReader, pause_s: float) -> bytes:
    """What an untrusted client has said without being asked, or says within the pause. Empty: it waits."""
    if pause_s:
        try:
            async with asyncio.timeout(pause_s):
                return await reader.read(1024)
        except TimeoutError:
            return b""
    if reader._buffer or _is_waiting(transport):  # type: ignore[attr-defined]
        return await reader.read(1024)
    return b""


def _is_waiting(transport: asyncio.BaseTransport) -> bool:
    """Whether the kernel has bytes that nobody has read; with TLS they may be the handshake's."""
    bound = transport.get_extra_info("socket")
    if bound is None or transport.get_extra_info("ssl_object") is not None:
        return False
    try:
        return bool(struct.unpack("i", fcntl.ioctl(bound.fileno(), termios.FIONREAD, b"\0\0\0\0"))[0])
    except OSError:
        return False
