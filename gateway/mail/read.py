"""Bytes → ``ReceivedEmail``: which part is the text, and in which charset it is written.

Two steps, because the sender is judged before the body is decoded: ``open_mail`` parses the MIME structure
and the header, ``read`` decodes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from gateway.mail import automatic, headers, html, pgp, rtf, structure, tnef
from gateway.mail.charset import decode, of_code_page
from gateway.mail.choose import TEXT_TYPES, choose, payload, unwrapped, why_none
from gateway.mail.flowed import SIGNATURE, unflow
from gateway.mail.outline import made_of
from gateway.model import Note, ReceivedEmail
from gateway.verdicts import CHARSET_UNDECODABLE, MAIL_ENCRYPTED, MAIL_TOO_COMPLEX, NO_READABLE_TEXT, Refusal, Refused

MAX_TEXT_BYTES = 2_000_000
"""Of the one part that is read; pictures inside HTML count. Attachments may be of any size."""

_USUAL_FIELDS = frozenset(
    {"from", "to", "subject", "date", "message-id", "mime-version", "content-type", "received", "reply-to"}
)
_SAFE_FIELDS = {
    name.lower(): name for name in ("From", "To", "Cc", "Date", "Message-ID", "X-Mailer", "User-Agent", "Content-Type")
}
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/\s]|(?<=\S)[^\S\r\n]+(?=\S)")
"""Any other character, or a blank between two of a line: a footer's words are letters too."""
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]*+\r?+\n)*+[A-Za-z0-9+/]*+\s*+")
"""Without such damage: found in a tenth of the time."""
_MESSAGE_ID = re.compile(r"<[\x21-\x3b\x3d\x40-\x7e]{1,248}>")
_SPACES = {0x00A0: " ", 0x202F: " ", 0x2007: " "} | dict.fromkeys((0xFEFF, 0x200B, 0x2060, 0x00AD, 0x0000))
_SPECIAL = re.compile(f"[{''.join(map(chr, _SPACES))}]")


@dataclass(frozen=True, slots=True)
class OpenedMail:
    """A parsed mail whose text is not decoded yet."""

    message: Message
    from_addresses: tuple[str, ...]
    message_id: str
    automatic: str
    notes: tuple[Note, ...]


def open_mail(raw: bytes) -> OpenedMail:
    """Parse header and structure. Raises ``Refused`` (FORMAT) for a mail beyond the bounds of ``structure``."""
    message = structure.parse(raw)
    notes: list[Note] = []
    if not message.is_multipart() and not any(key.lower() in _USUAL_FIELDS for key in message.keys()):  # noqa: SIM118
        # `echo text | curl smtp://…`: what looks like a field ("Alarm: …") is the text's first line.
        if message.keys():
            notes.append(Note("mime", "no header, all of it is text"))
        message = structure.parse(b"\n" + raw.lstrip(b"\r\n"))
    because = automatic.why(message)
    notes += structure.mend(message)
    ids = headers.raw(message, "Message-ID")
    message_id = ids[0].strip() if ids else ""
    return OpenedMail(
        message=message,
        from_addresses=headers.addresses(headers.raw(message, "From")),
        message_id=message_id if _MESSAGE_ID.fullmatch(message_id) else "",
        automatic=because,
        notes=tuple(notes),
    )


def read(mail: OpenedMail, undeclared: str) -> ReceivedEmail:
    """Choose and decode the text. ``undeclared`` is the dialect's charset for texts that declare none.

    Raises ``Refused``, with the notes that were made here: CHARSET for a text that cannot be decoded, FORMAT when there
    is no text part.
    """
    notes: list[Note] = []
    try:
        return _read(mail, undeclared, notes)
    except Refused as refused:
        refused.notes = tuple(notes)
        raise


def _read(mail: OpenedMail, undeclared: str, notes: list[Note]) -> ReceivedEmail:
    message = mail.message
    body = unwrapped(message, notes)
    why_this: list[Note] = []
    part = choose(body, why_this)
    notes += [made_of(body, part), *why_this] if body.is_multipart() else why_this
    if part is None:
        raise why_none(body)
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
        notes=(*mail.notes, *notes),
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
    found: dict[str, list[str]] = {}
    for key, value in message.raw_items():
        if (name := _SAFE_FIELDS.get(key.lower())) is not None:
            found.setdefault(name, []).append(value)
    for name in _SAFE_FIELDS.values():
        for value in found.get(name, [])[:3]:
            text = headers.unfolded(value)
            if not text.isascii():
                text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            yield name, text[:500]


# ── its text ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Words:
    """The bytes of a text and what they are."""

    type: str
    data: bytes
    declared: str | None
    code_page: int = 0
    """Of RTF."""


def _words(part: Message, notes: list[Note]) -> _Words:
    kind = part.get_content_type()
    if kind in TEXT_TYPES:
        _check(part)
        return _Words(kind, payload(part), _param(part, "charset"))
    body = tnef.body(payload(part))
    if body is None:
        raise Refused(NO_READABLE_TEXT, type=tnef.DAMAGED)
    notes.append(Note("mime", "text found in winmail.dat", {"type": body.type}))
    return _Words(body.type, body.data, of_code_page(body.code_page) if body.code_page else None, body.code_page)


def _check(part: Message) -> None:
    """Refuse what is longer than any text, and base64 that the standard library decodes around the damage.

    Missing padding is harmless; what follows the padding (a scanner's footer) is no base64 and is left out.
    """
    coded = vars(part)["_payload"]  # get_payload() would decode 8-bit bytes in a charset that may be anything
    if not isinstance(coded, str):
        return
    if len(coded) > MAX_TEXT_BYTES:
        raise Refused(MAIL_TOO_COMPLEX, what="text", limit=MAX_TEXT_BYTES)
    if str(part.get("Content-Transfer-Encoding", "")).strip().lower() != "base64":
        return
    letters = coded.partition("=")[0]
    damage = None if _BASE64.fullmatch(letters) else _NOT_BASE64.search(letters)
    if damage or len("".join(letters.split())) % 4 == 1:
        raise Refused(CHARSET_UNDECODABLE, charset="base64", position=damage.start() if damage else len(letters))


def _text(part: Message, undeclared: str, notes: list[Note]) -> tuple[str, str]:
    """The text, and the charset that it rightly declares: old mailers write the raw subject in it too."""
    words = _words(part, notes)
    if part.defects:
        notes.append(Note("mime", "defects", {"names": ", ".join(type(d).__name__ for d in part.defects)}))
    if words.type == "text/rtf":
        notes.append(Note("mime", "RTF turned to text"))
        return _own_words(rtf.to_text(tnef.decompressed(words.data), words.code_page), SIGNATURE, notes), ""
    declared = words.declared or (html.charset(words.data) if words.type == "text/html" else None)
    result = decode(words.data, declared, undeclared)
    notes.append(Note("charset", result.charset, {"declared": words.declared or "none", "why": result.why}))
    text = result.text.replace("\r\n", "\n").replace("\r", "\n")
    if words.type == "text/html":
        text = html.to_text(text)
        notes.append(Note("mime", "HTML turned to text"))
    elif (_param(part, "format") or "").lower() == "flowed":
        text = unflow(text, delete_space=(_param(part, "delsp") or "").lower() == "yes")
        notes.append(Note("mime", "flowed lines joined"))
    # the blank of "-- " does not survive HTML
    text = _own_words(text, "--" if words.type == "text/html" else SIGNATURE, notes)
    return text, result.charset if result.why == "declared" and not _is_ascii(result.charset) else ""


def _own_words(text: str, mark: str, notes: list[Note]) -> str:
    """Without armour, signature and special spaces. Raises ``Refused`` (FORMAT) for an encrypted text."""
    if "-----BEGIN PGP " in text:
        if pgp.is_encrypted(text):
            raise Refused(MAIL_ENCRYPTED, how="PGP")
        if (signed := pgp.unsigned(text)) is not None:
            text = signed
            notes.append(Note("mime", "PGP signature left out, not checked"))
    body, signature, below = text.partition(f"\n{mark}\n")
    if signature:
        notes.append(Note("mime", "signature cut off at '-- '", {"lines": below.count("\n") + 1}))
    tidy = _tidy(body)
    if tidy != body:
        notes.append(Note("mime", "special spaces replaced"))
    return tidy


def _is_ascii(charset: str) -> bool:
    return codecs.lookup(charset).name == "ascii"


def _tidy(text: str) -> str:
    """No-break spaces become spaces; byte order marks, zero-width spaces, soft hyphens and NULs go."""
    return text.translate(_SPACES) if _SPECIAL.search(text) else text


def _param(part: Message, name: str) -> str | None:
    value = part.get_param(name)
    if isinstance(value, tuple):  # RFC 2231: (charset, language, value)
        value = value[2]
    return str(value).strip().strip("'\"") if value else None
