"""The text after DATA: up to CRLF.CRLF and nothing else, bounded in memory.

aiosmtpd reads line by line and bounds neither lines nor the whole (reliability §3.2, A and B); this reads in
blocks into one buffer.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.smtp.stream import Stream

DISCARD = 4
"""How many times the limit is read and thrown away before a client that does not stop is cut off."""
_END = b"\r\n.\r\n"
_LF_END = re.compile(rb"\r?\n\.\r?\n")
_LINE_END = re.compile(rb"\r\n|\r|\n")


class TooLarge(Exception):
    """More than the limit. ``ended``: the client has finished and listens for the answer."""

    def __init__(self, *, ended: bool) -> None:
        super().__init__()
        self.ended = ended


class Crowded(Exception):
    """Too much is being received at this moment."""


async def read_data(
    stream: Stream, limit: int, *, lf_ends: bool, fits: Callable[[int], bool] = lambda size: True
) -> bytes:
    """The raw text, dots still stuffed. What was pipelined behind it stays in the stream.

    ``lf_ends``: a trusted device that ends its lines in LF may end the text so, too. ``fits`` is asked before so
    many bytes are held. Raises ``TooLarge``, ``Crowded``, and ``asyncio.IncompleteReadError`` when the client goes
    away.
    """
    held = bytearray(b"\r\n")  # a dot in the first line has a line end before it, too
    searched, discarded = 0, 0
    while True:
        span = _find_end(held, searched, lf_ends)
        if span is not None:
            start, end = span
            stream.unread(held[end:])
            if discarded or start > limit:  # two bytes before the text, two of its last line end behind it
                raise TooLarge(ended=True)
            del held[start:]
            return bytes(held[2:]) + b"\r\n" if start > 0 else b""
        if len(held) > limit + len(_END):
            discarded += len(held) - len(_END)
            if discarded > DISCARD * limit:
                raise TooLarge(ended=False)
            del held[: -len(_END)]
        searched = max(0, len(held) - len(_END))
        block = await stream.block()
        if not fits(len(held) + len(block)):
            raise Crowded
        held += block


def _find_end(held: bytearray, start: int, lf_ends: bool) -> tuple[int, int] | None:
    if lf_ends:
        match = _LF_END.search(held, start)
        return match.span() if match else None
    found = held.find(_END, start)
    return (found, found + len(_END)) if found >= 0 else None


def has_bare_line_ends(raw: bytes) -> bool:
    """A CR or LF that stands alone: what servers disagree about, and so what SMTP smuggling is made of."""
    pairs = raw.count(b"\r\n")
    return raw.count(b"\n") != pairs or raw.count(b"\r") != pairs


def normalised(raw: bytes) -> bytes:
    """Every line end CRLF."""
    return _LINE_END.sub(b"\r\n", raw)


def unstuffed(raw: bytes) -> bytes:
    """Without the dots that the client doubled (RFC 5321 §4.5.2)."""
    if b"\r\n." not in raw and not raw.startswith(b"."):
        return raw
    return (b"\r\n" + raw).replace(b"\r\n.", b"\r\n")[2:]
