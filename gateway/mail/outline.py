"""What a mail is made of, for people: its MIME tree, a line for each part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message

from gateway.mail.choose import choose, unwrapped
from gateway.mail.headers import unfolded
from gateway.model import Note
from gateway.sms.numbers import masked
from gateway.verdicts import Refused

MAX_SHOWN = 120
"""Characters of what a mail says of itself."""
MADE_OF = "made of"
"""What a note says that holds the tree."""
LEFT_OUT = "further parts"
"""How many parts such a note leaves out."""
MAX_NOTED = 30
"""Parts in such a note: no mail may fill the store with its boundaries."""

_TOKEN = re.compile(r"[\w!#$&^.+/-]{1,120}", re.ASCII)
_NUMBERED = re.compile(r"\d+(?:\.\d+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """One part, or what holds others."""

    depth: int
    type: str
    charset: str
    """As declared; empty: not at all."""
    encoding: str
    """Content-Transfer-Encoding as declared; empty: not at all."""
    name: str
    """Of an attachment."""
    characters: int
    """Of its coded content; of what holds others: 0."""
    is_text: bool
    """This is the part that is read."""


def outline(message: Message) -> tuple[Part, ...]:
    """The parts in their order. Never raises for what a mail may hold."""
    chosen = _chosen(message)
    return tuple(
        Part(
            depth=depth,
            type=part.get_content_type()[:MAX_SHOWN],
            charset=_parameter(part, "charset"),
            encoding=_encoding(part),
            name=_name(part),
            characters=_characters(part),
            is_text=part is chosen,
        )
        for depth, part in _walk(message, 0)
    )


def made_of(message: Message, chosen: Message | None) -> Note:
    """The same for the trail: ``2.1`` is the first part of the second one, ``0`` the mail itself. Without the names of
    attachments: those are words of the sender, and a trail has none. Never raises for what a mail may hold."""
    values: dict[str, str | int] = {}
    counts: list[int] = []
    left_out = 0
    for depth, part in _walk(message, 0):
        if len(values) >= MAX_NOTED:
            left_out += 1
            continue
        counts = [*counts[:depth], 0][:depth]
        if counts:
            counts[-1] += 1
        values[".".join(map(str, counts)) or "0"] = _line(part, is_text=part is chosen)
    return Note("mime", MADE_OF, {**values, LEFT_OUT: left_out} if left_out else values)


def _line(part: Message, *, is_text: bool) -> str:
    """Made of each mail with several parts as it comes in: what takes time is asked only where it is there."""
    words = [_token(part.get_content_type())]
    if "charset" in str(part.get("Content-Type", "")).lower() and (charset := _parameter(part, "charset")):
        words.append(f"charset={_token(charset)}")
    if encoding := _encoding(part):
        words.append(f"encoding={_token(encoding)}")
    if size := _characters(part):
        words.append(f"bytes={size}")
    return "; ".join([*words, "read"] if is_text else words)


def _token(text: str) -> str:
    """As RFC 2045 allows it. What is no such word may be anything."""
    return masked(text) if _TOKEN.fullmatch(text) else "?"


def noted(values: Mapping[str, str | int]) -> tuple[Part, ...]:
    """The parts of such a note."""
    found = sorted((key for key in values if _NUMBERED.fullmatch(key)), key=lambda key: [*map(int, key.split("."))])
    return tuple(_part(0 if key == "0" else key.count(".") + 1, str(values[key])) for key in found)


def _part(depth: int, line: str) -> Part:
    kind, *words = line.split("; ")
    said = dict(word.split("=", 1) for word in words if "=" in word)
    size = said.get("bytes", "")
    return Part(
        depth=depth,
        type=kind,
        charset=said.get("charset", ""),
        encoding=said.get("encoding", ""),
        name="",
        characters=int(size) if size.isdecimal() else 0,
        is_text="read" in words,
    )


def _chosen(message: Message) -> Message | None:
    try:
        return choose(unwrapped(message, []), [])
    except Refused:
        return None


def _walk(part: Message, depth: int) -> Iterator[tuple[int, Message]]:
    yield depth, part
    if part.is_multipart():
        for inner in part.get_payload():
            if isinstance(inner, Message):
                yield from _walk(inner, depth + 1)


def _characters(part: Message) -> int:
    content = vars(part)["_payload"]  # get_payload() would decode 8-bit bytes in a charset that may be anything
    return len(content) if isinstance(content, str) else 0


def _encoding(part: Message) -> str:
    return _printable(str(part.get("Content-Transfer-Encoding", "")))


def _parameter(part: Message, name: str) -> str:
    value = part.get_param(name)
    if isinstance(value, tuple):  # RFC 2231: (charset, language, value)
        value = value[2]
    return _printable(str(value or "").strip("'\""))


def _name(part: Message) -> str:
    try:
        return _printable(part.get_filename("") or "")
    except (LookupError, ValueError):  # a charset that nobody knows
        return ""


def _printable(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text.strip()[:MAX_SHOWN]
    text = unfolded(text).encode("utf-8", "replace").decode("utf-8").strip()
    if text.isprintable():
        return text[:MAX_SHOWN]
    return "".join(char if char.isprintable() else "?" for char in text)[:MAX_SHOWN]
