"""What a mail is made of, for people: its MIME tree, a line for each part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from gateway.mail.choose import choose, unwrapped
from gateway.mail.headers import unfolded
from gateway.verdicts import Refused

MAX_SHOWN = 120
"""Characters of what a mail says of itself."""


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
    return tuple(_parts(message, _chosen(message), 0))


def _chosen(message: Message) -> Message | None:
    try:
        return choose(unwrapped(message, []), [])
    except Refused:
        return None


def _parts(part: Message, chosen: Message | None, depth: int) -> Iterator[Part]:
    content = vars(part)["_payload"]  # get_payload() would decode 8-bit bytes in a charset that may be anything
    yield Part(
        depth=depth,
        type=part.get_content_type()[:MAX_SHOWN],
        charset=_parameter(part, "charset"),
        encoding=_printable(str(part.get("Content-Transfer-Encoding", ""))),
        name=_name(part),
        characters=len(content) if isinstance(content, str) else 0,
        is_text=part is chosen,
    )
    if part.is_multipart():
        for inner in content:
            yield from _parts(inner, chosen, depth + 1)


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
    text = unfolded(text).encode("utf-8", "replace").decode("utf-8").strip()
    return "".join(char if char.isprintable() else "?" for char in text)[:MAX_SHOWN]
