"""Bytes → ``ReceivedEmail``: which part is the text, and in which charset it is written.

Two steps, because the sender is judged before the body is decoded: ``open_mail`` parses the MIME structure
and the header, ``read`` decodes. ``compat32`` on purpose: ``email.policy.default`` takes seconds for hostile
headers and ten times as long for honest ones.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser

from gateway.mail import automatic, headers, html
from gateway.mail.charset import decode
from gateway.mail.flowed import SIGNATURE, unflow
from gateway.model import Note, ReceivedEmail
from gateway.verdicts import CHARSET_UNDECODABLE, MAIL_TOO_COMPLEX, NO_READABLE_TEXT, Refusal, Refused

MAX_HEADER_BYTES = 65536
MAX_FIELD_BYTES = 16384
MAX_PARTS = 100
MAX_BOUNDARIES = 20
"""Nesting is bounded through the number of boundaries: each level needs its own."""

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_USUAL_FIELDS = frozenset(
    {"from", "to", "subject", "date", "message-id", "mime-version", "content-type", "received", "reply-to"}
)
_SAFE_FIELDS = ("From", "To", "Cc", "Date", "Message-ID", "X-Mailer", "User-Agent", "Content-Type")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/\s]|(?<=\S)[^\S\r\n]+(?=\S)")
"""Any other character, or a blank between two of a line: a footer's words are letters too."""
_MESSAGE_ID = re.compile(r"<[\x21-\x3b\x3d\x40-\x7e]{1,248}>")
_SPACES = {0x00A0: " ", 0x202F: " ", 0x2007: " "} | dict.fromkeys((0xFEFF, 0x200B, 0x2060, 0x00AD, 0x0000))


@dataclass(frozen=True, slots=True)
class OpenedMail:
    """A parsed mail whose text is not decoded yet."""

    message: Message
    from_addresses: tuple[str, ...]
    message_id: str
    automatic: str
    notes: tuple[Note, ...]


def open_mail(raw: bytes) -> OpenedMail:
    """Parse header and structure. Raises ``Refused`` (FORMAT) for a mail beyond the bounds of this module."""
    _check_bounds(raw)
    message = BytesParser().parsebytes(raw)
    notes: list[Note] = []
    if not message.is_multipart() and not any(key.lower() in _USUAL_FIELDS for key in message.keys()):  # noqa: SIM118
        # `echo text | curl smtp://…`: what looks like a field ("Alarm: …") is the text's first line.
        if message.keys():
            notes.append(Note("mime", "no header, all of it is text"))
        message = BytesParser().parsebytes(b"\n" + raw.lstrip(b"\r\n"))
    ids = headers.raw(message, "Message-ID")
    message_id = ids[0].strip() if ids else ""
    return OpenedMail(
        message=message,
        from_addresses=headers.addresses(headers.raw(message, "From")),
        message_id=message_id if _MESSAGE_ID.fullmatch(message_id) else "",
        automatic=automatic.why(message),
        notes=tuple(notes),
    )


def _check_bounds(raw: bytes) -> None:
    end = _HEADER_END.search(raw, 0, MAX_HEADER_BYTES + 4)
    header = raw[: end.start()] if end else raw[: MAX_HEADER_BYTES + 4]
    if end is None and len(raw) > MAX_HEADER_BYTES and b":" in raw[:1000].split(b"\n", 1)[0]:
        raise Refused(MAIL_TOO_COMPLEX, what="header", limit=MAX_HEADER_BYTES)
    if len(header) > MAX_FIELD_BYTES and any(len(f) > MAX_FIELD_BYTES for f in re.split(rb"\r?\n(?![ \t])", header)):
        raise Refused(MAIL_TOO_COMPLEX, what="header field", limit=MAX_FIELD_BYTES)
    lowered_boundaries = raw.count(b"boundary=") + raw.count(b"BOUNDARY=") + raw.count(b"Boundary=")
    if lowered_boundaries > MAX_BOUNDARIES:
        raise Refused(MAIL_TOO_COMPLEX, what="nesting", limit=MAX_BOUNDARIES)
    if lowered_boundaries and raw.count(b"\n--") > 2 * MAX_PARTS:
        raise Refused(MAIL_TOO_COMPLEX, what="parts", limit=MAX_PARTS)


def read(mail: OpenedMail, undeclared: str) -> ReceivedEmail:
    """Choose and decode the text. ``undeclared`` is the dialect's charset for texts that declare none.

    Raises ``Refused``: CHARSET for a text that cannot be decoded, FORMAT when there is no text part.
    """
    message = mail.message
    notes = list(mail.notes)
    part = _choose(message, notes)
    if part is None:
        raise Refused(NO_READABLE_TEXT, type=message.get_content_type())
    text, declared = _text(part, undeclared, notes)
    subject, fault = _subject(message, declared or undeclared)
    if fault is not None:
        notes.append(Note("mime", "subject not decoded", {"why": fault.reason.key}))
    return ReceivedEmail(
        subject=subject,
        text=text,
        from_addresses=mail.from_addresses,
        message_id=mail.message_id,
        automatic=mail.automatic,
        safe_headers=tuple(_safe_headers(message)),
        notes=tuple(notes),
        subject_fault=fault,
    )


def _subject(message: Message, undeclared: str) -> tuple[str, Refusal | None]:
    """The subject, or why it cannot be read: only a dialect that reads it refuses the mail for that."""
    subjects = headers.raw(message, "Subject")
    try:
        return _tidy(headers.decoded(subjects[0], undeclared)).strip() if subjects else "", None
    except Refused as refused:
        return "", refused.refusal


def _safe_headers(message: Message) -> Iterator[tuple[str, str]]:
    for name in _SAFE_FIELDS:
        for value in headers.raw(message, name)[:3]:
            yield name, value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:500]


# ── which part ───────────────────────────────────────────────────────────────────────────────


def _choose(message: Message, notes: list[Note]) -> Message | None:
    if not message.is_multipart():
        return message if _is_text(message) else None
    texts = [part for part in _leaves(message) if _is_text(part)]
    chosen = (
        _first(message, lambda part: _has_content(part) and not _is_attached(part))
        or _first(message, _has_content)
        or next(iter(texts), None)
    )
    if chosen is not None:
        values: dict[str, str | int] = {"type": chosen.get_content_type()}
        if ignored := [part.get_content_type() for part in texts if part is not chosen]:
            values["ignored"] = ", ".join(ignored)
        notes.append(Note("mime", "part chosen", values))
    return chosen


def _leaves(message: Message) -> Iterator[Message]:
    """The parts of this mail, without those of mails attached to it."""
    if message.get_content_maintype() == "message":
        return
    if message.is_multipart():
        for part in message.get_payload():
            if isinstance(part, Message):
                yield from _leaves(part)
    else:
        yield message


def _first(message: Message, fits: Callable[[Message], bool]) -> Message | None:
    """The first text that fits; of alternatives (RFC 2046 §5.1.4) the plain one."""
    if message.get_content_maintype() == "message":
        return None
    if not message.is_multipart():
        return message if _is_text(message) and fits(message) else None
    found = (_first(part, fits) for part in message.get_payload() if isinstance(part, Message))
    candidates = (part for part in found if part is not None)
    if message.get_content_subtype() != "alternative":
        return next(candidates, None)
    alternatives = list(candidates)
    plain = (part for part in alternatives if part.get_content_type() == "text/plain")
    return next(plain, None) or next(iter(alternatives), None)


def _is_text(part: Message) -> bool:
    return not part.is_multipart() and part.get_content_type() in {"text/plain", "text/html"}


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment"


def _has_content(part: Message) -> bool:
    data = _payload(part)
    if part.get_content_type() == "text/html":
        data = re.sub(rb"<[^>]*>|&nbsp;", b"", data)
    return bool(data.strip(b" \t\r\n\xa0"))


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


# ── its text ─────────────────────────────────────────────────────────────────────────────────


def _check_base64(part: Message) -> None:
    """Refuse what the standard library decodes around the damage: the text would be sent garbled.

    Missing padding is harmless; what follows the padding (a scanner's footer) is no base64 and is left out.
    """
    payload = vars(part)["_payload"]  # get_payload() would decode 8-bit bytes in a charset that may be anything
    if str(part.get("Content-Transfer-Encoding", "")).strip().lower() != "base64" or not isinstance(payload, str):
        return
    letters = payload.partition("=")[0]
    damage = _NOT_BASE64.search(letters)
    if damage or len("".join(letters.split())) % 4 == 1:
        raise Refused(CHARSET_UNDECODABLE, charset="base64", position=damage.start() if damage else len(letters))


def _text(part: Message, undeclared: str, notes: list[Note]) -> tuple[str, str]:
    """The text, and the charset that it rightly declares: old mailers write the raw subject in it too."""
    _check_base64(part)
    data = _payload(part)
    is_html = part.get_content_type() == "text/html"
    declared = _param(part, "charset") or (html.charset(data) if is_html else None)
    result = decode(data, declared, undeclared)
    notes.append(Note("charset", result.charset, {"declared": _param(part, "charset") or "none", "why": result.why}))
    if part.defects:
        notes.append(Note("mime", "defects", {"names": ", ".join(type(d).__name__ for d in part.defects)}))
    text = result.text.replace("\r\n", "\n").replace("\r", "\n")
    if is_html:
        text = html.to_text(text)
        notes.append(Note("mime", "HTML turned to text"))
    elif (_param(part, "format") or "").lower() == "flowed":
        text = unflow(text, delete_space=(_param(part, "delsp") or "").lower() == "yes")
        notes.append(Note("mime", "flowed lines joined"))
    body, signature, below = text.partition("\n--\n" if is_html else f"\n{SIGNATURE}\n")
    if signature:
        notes.append(Note("mime", "signature cut off at '-- '", {"lines": below.count("\n") + 1}))
    tidy = _tidy(body)
    if tidy != body:
        notes.append(Note("mime", "special spaces replaced"))
    return tidy, result.charset if result.why == "declared" and not _is_ascii(result.charset) else ""


def _is_ascii(charset: str) -> bool:
    return codecs.lookup(charset).name == "ascii"


def _tidy(text: str) -> str:
    """No-break spaces become spaces; byte order marks, zero-width spaces, soft hyphens and NULs go."""
    return text if text.isascii() and "\0" not in text else text.translate(_SPACES)


def _param(part: Message, name: str) -> str | None:
    value = part.get_param(name)
    if isinstance(value, tuple):  # RFC 2231: (charset, language, value)
        value = value[2]
    return str(value).strip().strip("'\"") if value else None
