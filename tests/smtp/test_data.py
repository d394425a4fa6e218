"""The reader of DATA by itself: however the network cuts it, the same text comes out."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smtp.data import TooLarge, normalised, read_data, unstuffed
from gateway.smtp.stream import Stream

PIECES = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"..", b"\0", b"text", b"\r\n.\r\n", b"\n.\n"]), max_size=25
)
CUTS = st.lists(st.integers(1, 9), max_size=60)


async def fed(sent: bytes, cuts: list[int], limit: int, *, lf_ends: bool) -> tuple[bytes | TooLarge | None, bytes]:
    """What is read, and what stays in the stream. None: the text has no end."""
    stream = Stream(asyncio.get_running_loop())

    async def feed() -> None:
        rest = sent
        for cut in cuts:
            stream.data_received(rest[:cut]) if rest else None
            rest = rest[cut:]
            await asyncio.sleep(0)
        stream.data_received(rest) if rest else None
        stream.eof_received()

    feeder = asyncio.create_task(feed())
    try:
        found: bytes | TooLarge | None = await read_data(stream, limit, lf_ends=lf_ends)
    except TooLarge as too_large:
        found = too_large
    except asyncio.IncompleteReadError:
        found = None
    await feeder
    return found, await stream.block() if stream.has_bytes else b""


@given(pieces=PIECES, cuts=CUTS, lf_ends=st.booleans())
def test_cuts_change_nothing(pieces: list[bytes], cuts: list[int], lf_ends: bool) -> None:
    stream = b"".join(pieces) + b"\r\n.\r\nQUIT\r\n"
    found, left = asyncio.run(fed(stream, cuts, 10_000, lf_ends=lf_ends))
    end = re.search(rb"\r?\n\.\r?\n" if lf_ends else rb"\r\n\.\r\n", b"\r\n" + stream)
    assert end is not None
    text = (b"\r\n" + stream)[2 : end.start()]
    assert found == (text + b"\r\n" if end.start() else b"")
    assert left == (b"\r\n" + stream)[end.end() :]


@given(size=st.integers(0, 400), cuts=CUTS)
def test_the_limit_is_exact_and_the_session_goes_on(size: int, cuts: list[int]) -> None:
    found, left = asyncio.run(fed(b"x" * size + b"\r\n.\r\nNOOP\r\n", cuts, 200, lf_ends=False))
    assert left == b"NOOP\r\n"
    if size + 2 <= 200:
        assert found == b"x" * size + b"\r\n"
    else:
        assert isinstance(found, TooLarge)
        assert found.ended


@pytest.mark.parametrize("stream", [b"", b"text", b"text\r\n", b"text\r\n.", b"text\r\n.\r"])
async def test_a_text_without_end_is_no_mail(stream: bytes) -> None:
    found, _ = await fed(stream, [1] * 20, 1000, lf_ends=False)
    assert found is None


async def test_a_text_that_does_not_stop_is_given_up() -> None:
    found, _ = await fed(b"x" * 5000, [], 100, lf_ends=False)
    assert isinstance(found, TooLarge)
    assert not found.ended


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"..a\r\n...\r\nb..\r\n", b".a\r\n..\r\nb..\r\n"),
        (b".\r\n", b"\r\n"),
        (b"a\r\n.b\r\n", b"a\r\nb\r\n"),
        (b"a\n..b\r\n", b"a\n..b\r\n"),
    ],
)
def test_dots(raw: bytes, clean: bytes) -> None:
    assert unstuffed(raw) == clean


def test_line_ends() -> None:
    assert normalised(b"a\nb\rc\r\nd\r\r\n\n") == b"a\r\nb\r\nc\r\nd\r\n\r\n\r\n"
