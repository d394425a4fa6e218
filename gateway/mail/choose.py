"""Which part of a mail is its text."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.message import Message

from gateway.mail import smime, structure, tnef
from gateway.model import Note
from gateway.verdicts import MAIL_ENCRYPTED, NO_READABLE_TEXT, Refused

TEXT_TYPES = frozenset({"text/plain", "text/html"})

_PGP = frozenset({"application/pgp-encrypted", "multipart/encrypted"})
_MARKUP = re.compile(rb"<[^<>]*>|&nbsp;")


def unwrapped(message: Message, notes: list[Note]) -> Message:
    """What S/MIME signed as a whole, or the mail itself. Raises ``Refused`` (FORMAT) as ``structure.parse`` does."""
    if message.get_content_type() not in smime.TYPES:
        return message
    inner = smime.signed(payload(message))
    if inner is None:
        return message
    notes.append(Note("mime", "S/MIME signature left out, not checked"))
    body = structure.parse(inner)
    notes += structure.mend(body)
    return body


def choose(message: Message, notes: list[Note]) -> Message | None:
    """The text part, by order: one that is shown, winmail.dat, an attached one, an empty one."""
    if not message.is_multipart():
        return message if _is_text(message) or _has_words(message) else None
    texts = [part for part in structure.leaves(message) if _is_text(part)]
    found = (_first(message, fits) for fits in (_is_shown, _has_words, _is_filled))
    # a part without a header is false
    chosen = next((part for part in found if part is not None), texts[0] if texts else None)
    if chosen is not None:
        values: dict[str, str | int] = {"type": chosen.get_content_type()}
        if ignored := [part.get_content_type() for part in texts if part is not chosen]:
            values["ignored"] = ", ".join(ignored)
        notes.append(Note("mime", "part chosen", values))
    return chosen


def why_none(message: Message) -> Refused:
    """What to raise for a mail without a text."""
    types = [part.get_content_type() for part in (message, *structure.leaves(message))]
    if any(kind in smime.TYPES for kind in types):
        return Refused(MAIL_ENCRYPTED, how="S/MIME")
    if any(kind in _PGP for kind in types):
        return Refused(MAIL_ENCRYPTED, how="PGP")
    found = dict.fromkeys(types[1:])  # without the wrapper
    return Refused(NO_READABLE_TEXT, type=", ".join(list(found)[:3])[:100])


def payload(part: Message) -> bytes:
    """The bytes of a part, its transfer encoding undone."""
    decoded = part.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def _first(message: Message, fits: Callable[[Message], bool]) -> Message | None:
    """The first part that fits; of alternatives (RFC 2046 §5.1.4) the plain one."""
    if message.get_content_maintype() == "message":
        return None
    if not message.is_multipart():
        return message if fits(message) else None
    is_alternative = message.get_content_subtype() == "alternative"
    found: Message | None = None
    for inner in message.get_payload():
        part = _first(inner, fits) if isinstance(inner, Message) else None
        if part is not None and (not is_alternative or part.get_content_type() == "text/plain"):
            return part
        found = part if found is None else found
    return found


def _is_text(part: Message) -> bool:
    return not part.is_multipart() and part.get_content_type() in TEXT_TYPES


def _has_words(part: Message) -> bool:
    return tnef.is_tnef(part) and tnef.body(payload(part)) is not None


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment"


def _is_shown(part: Message) -> bool:
    return not _is_attached(part) and _is_filled(part)


def _is_filled(part: Message) -> bool:
    return _is_text(part) and _has_content(part)


def _has_content(part: Message) -> bool:
    data = payload(part)
    if part.get_content_type() == "text/html":
        data = _MARKUP.sub(b"", data)
    return bool(data.strip(b" \t\r\n\xa0"))
