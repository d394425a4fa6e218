"""The stream by itself: what a transport does with it, and what its reader sees."""

from __future__ import annotations

import asyncio

import pytest

from gateway.smtp.stream import LINE, Stream


class Transport(asyncio.Transport):
    """Notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True
        self.written = b""

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


def connected() -> tuple[Stream, Transport]:
    stream, transport = Stream(asyncio.get_running_loop()), Transport()
    stream.connection_made(transport)
    return stream, transport


async def test_no_more_is_taken_than_somebody_reads() -> None:
    stream, transport = connected()
    lines = 2 * LINE // 1000 + 1
    for _ in range(lines):
        assert transport.reads
        stream.data_received(b"x" * 999 + b"\n")
    assert not transport.reads
    for _ in range(lines):
        assert len(await stream.line()) == 1000
    waiting = asyncio.create_task(stream.line())
    await asyncio.sleep(0)
    assert transport.reads
    stream.data_received(b"one\r\ntwo")
    assert await waiting == b"one\r\n"


async def test_a_line_that_is_too_long_is_none_and_the_next_is_one() -> None:
    stream, _ = connected()
    stream.data_received(b"x" * LINE + b"\n" + b"y" * (LINE + 1) + b"\nNOOP\r\n")
    assert len(await stream.line()) == LINE + 1
    with pytest.raises(asyncio.LimitOverrunError):
        await stream.line()
    assert await stream.skip_line(10 * LINE)
    assert await stream.line() == b"NOOP\r\n"
    stream.data_received(b"z" * 3 * LINE)
    assert not await stream.skip_line(3 * LINE)


async def test_what_was_said_before_the_end_is_read_and_of_a_broken_connection_nothing() -> None:
    stream, _ = connected()
    stream.data_received(b"QUIT\r\n")
    stream.eof_received()
    assert await stream.line() == b"QUIT\r\n"
    with pytest.raises(asyncio.IncompleteReadError):
        await stream.line()
    stream, _ = connected()
    stream.data_received(b"DATA\r\n")
    stream.connection_lost(ConnectionResetError("by peer"))
    with pytest.raises(ConnectionResetError, match="by peer"):
        await stream.line()


async def test_who_does_not_read_is_waited_for_until_he_is_gone() -> None:
    stream, transport = connected()
    stream._out += b"250 OK\r\n"
    stream.pause_writing()
    flushing = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    assert (transport.written, flushing.done()) == (b"250 OK\r\n", False)
    stream.resume_writing()
    await flushing
    stream.pause_writing()
    flushing = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    stream.connection_lost(None)
    with pytest.raises(ConnectionResetError):
        await flushing
