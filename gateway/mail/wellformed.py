"""A mail without any oddity, taken apart as the library would do it, for a tenth of the time.

``email.parser`` goes line by line and compiles a pattern for each boundary. Here the header is one pattern and the
boundaries are searched. Whatever has two ways to be understood, or a defect, is left to the library:
``tests/unit/test_wellformed.py`` compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from email.message import Message

_FIELD = re.compile(r"^([!-9;-~]++):[ \t]*+([^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*+)\r?\n", re.MULTILINE)
_BLANK_LINE = re.compile(r"\n\r?\n")
_AFTER_BOUNDARY = re.compile(r"(--)?[ \t]*+(?:\r\n?|\n|\Z)")
_PLAIN_ENCODINGS = frozenset({"7bit", "8bit", "binary"})
"""All that a multipart may have."""


class _Odd(Exception):
    """For the library."""


def parse(text: str, make: Callable[[], Message]) -> Message | None:
    """The parts, each begun by ``make``; without preambles and epilogues. None: something is odd."""
    if "\r--" in text:  # a boundary behind a bare CR
        return None
    try:
        return _part(text, 0, len(text), make)
    except _Odd:
        return None


def _part(text: str, start: int, end: int, make: Callable[[], Message]) -> Message:
    """What stands there is a mail, or a part behind the line of its boundary."""
    blank = _BLANK_LINE.search(text, max(start - 1, 0), end)
    pieces = _FIELD.split(text[start : blank.start() + 1]) if blank else ["no body"]
    if blank is None or any(pieces[::3]):  # between two fields
        raise _Odd
    part = make()
    for name, value in zip(pieces[1::3], pieces[2::3], strict=True):
        part.set_raw(name, value)
    main = part.get_content_maintype()
    if main == "message":
        raise _Odd
    if main == "multipart":
        for first, last in _between_boundaries(text, blank.end(), end, _boundary(part)):
            part.attach(_part(text, first, last, make))
    else:
        body = text[blank.end() : end]
        # the line end before a boundary is part of that
        part.set_payload(body.removesuffix("\n").removesuffix("\r") if start else body)
    return part


def _boundary(part: Message) -> str:
    boundary = part.get_boundary()
    is_coded = str(part.get("Content-Transfer-Encoding", "8bit")).lower() not in _PLAIN_ENCODINGS
    if boundary is None or "\n" in boundary or is_coded or part.get_content_subtype() == "digest":
        raise _Odd
    return boundary


def _between_boundaries(text: str, start: int, end: int, boundary: str) -> Iterator[tuple[int, int]]:
    """Where each part begins and ends."""
    mark = f"\n--{boundary}"
    found: list[tuple[int, int]] = []
    begins = 0
    at = text.find(mark, start - 1, end)
    while at >= 0:
        if line := _AFTER_BOUNDARY.match(text, at + len(mark), end):
            if begins:
                found.append((begins, at + 1))
            begins = line.end()
            if line[1]:
                break
        at = text.find(mark, at + len(mark), end)
    if at < 0 or not found:  # not closed, or nothing in it
        raise _Odd
    return iter(found)
