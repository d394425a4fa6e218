"""Bytes → MIME parts, bounded: no mail may cost more than its size allows, however it is nested.

``compat32`` on purpose: ``email.policy.default`` takes seconds for hostile headers and ten times as long for
honest ones. What senders often write wrongly (a transfer encoding with a comment, a missing semicolon, a boundary
that the header does not name) is mended here, so that all later steps see a proper part. What is plainly well-formed
does not need the library at all: ``wellformed``.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser, Parser
from typing import Any

from gateway.mail import wellformed
from gateway.model import Note
from gateway.verdicts import MAIL_TOO_COMPLEX, Refused

MAX_HEADER_BYTES = 65536
MAX_FIELD_BYTES = 16384
MAX_CONTENT_FIELD_BYTES = 4096
"""Of Content-Type and Content-Disposition: the library takes their parameters apart in quadratic time."""
MAX_FIELDS = 2000
MAX_PARTS = 100
MAX_BOUNDARIES = 20
"""The library compares each line with the boundaries of all levels that it is in."""
MAX_COMPARISONS = 4_000_000
"""Of a line with a boundary: half a second."""

_BLANK_LINE = re.compile(rb"\n\r?\n")
_BOUNDARY = re.compile(rb"boundary[\s*0-9]*=")
_BLANK_BEFORE_COLON = re.compile(
    rb"^(from|to|subject|date|message-id|mime-version|content-[a-z-]{2,25})[ \t]{1,20}:", re.MULTILINE | re.IGNORECASE
)
_PART_BEGINS = re.compile(
    r"^--(\S(?:[^\r\n]{0,68}\S)?)(?<!--)[ \t]*\r?\n(?=Content-|\r?\n)", re.MULTILINE | re.IGNORECASE
)
_LEFTOVER = re.compile(r"^Content-(?:Type|Transfer-Encoding)\s*:", re.MULTILINE | re.IGNORECASE)
_TOKEN = re.compile(r"[\s\"']*([A-Za-z0-9-]+)")
_NO_SEMICOLON = re.compile(r"(\s*[\w.+-]+/[\w.+-]+)(?:\s*\([^()]*\))?[\s,]+(?=[\w*-]+\s*=)")
_ONE_PARAMETER = re.compile(r"[\w.+-]+(?:/[\w.+-]+)?; ?([A-Za-z-]+)=(\"?)([\w.+/:=-]+)\2")
"""There the library would find the same, in ten times as long."""
_ENCODINGS = {"base-64": "base64", "b64": "base64", "quotedprintable": "quoted-printable", "qp": "quoted-printable"}


class _Part(Message):
    """A part whose header is bounded and mended while it is read."""

    _type = ""
    """The library looks for it a dozen times a mail."""

    def set_raw(self, name: str, value: str) -> None:
        if len(self) >= MAX_FIELDS:
            raise Refused(MAIL_TOO_COMPLEX, what="header fields", limit=MAX_FIELDS)
        if len(value) > MAX_FIELD_BYTES:
            raise Refused(MAIL_TOO_COMPLEX, what="header field", limit=MAX_FIELD_BYTES)
        if name[:1] in "Cc":
            value = _mended(name.lower(), value)
            self._type = ""
        super().set_raw(name, value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._type = ""

    def get_content_type(self) -> str:
        self._type = self._type or super().get_content_type()
        return self._type

    def get_param(self, param: str, failobj: Any = None, header: str = "content-type", unquote: bool = True) -> Any:
        if unquote and (only := _ONE_PARAMETER.fullmatch(str(self.get(header, "")))):
            return only[3] if only[1].lower() == param.lower() else failobj
        try:
            return super().get_param(param, failobj, header, unquote)
        except TypeError:  # one parameter whole and in pieces (RFC 2231): the library compares None with a number
            return failobj


def _mended(name: str, value: str) -> str:
    if name in {"content-type", "content-disposition"}:
        if len(value) > MAX_CONTENT_FIELD_BYTES:
            raise Refused(MAIL_TOO_COMPLEX, what="header field", limit=MAX_CONTENT_FIELD_BYTES)
        mended = _NO_SEMICOLON.match(value)
        return f"{mended[1]}; {value[mended.end() :]}" if mended else value
    if name == "content-transfer-encoding" and (token := _TOKEN.match(value)):
        return _ENCODINGS.get(encoding := token[1].lower(), encoding)
    return value


class _Parts:
    """Makes the parts of one mail, and counts them."""

    def __init__(self, made: int = -1) -> None:
        self._made = made  # the library makes one to see how this is called

    def __call__(self, **arguments: object) -> Message:
        self._made += 1
        if self._made > MAX_PARTS:
            raise Refused(MAIL_TOO_COMPLEX, what="parts", limit=MAX_PARTS)
        return _Part(**arguments)  # type: ignore[arg-type]


def parse(raw: bytes) -> Message:
    """Header and parts. Raises ``Refused`` (FORMAT) for a mail beyond the bounds of this module."""
    end = _end_of_header(raw)
    _check_bounds(raw)
    header = raw[:end]
    if codecs.BOM_UTF8 in header:  # of a file that was sent as it is; a relay's fields may stand before it
        header = header.replace(codecs.BOM_UTF8, b"")
    if (b" :" in header or b"\t:" in header) and _BLANK_BEFORE_COLON.search(header):
        # obsolete (RFC 5322 §4.5.8); for the library it ends the header
        header = _BLANK_BEFORE_COLON.sub(rb"\1:", header)
    if len(header) != end:
        raw = header + raw[end:]
    found = wellformed.parse(raw.decode("ascii", "surrogateescape"), _Parts(0))
    return BytesParser(_Parts()).parsebytes(raw) if found is None else found


def _end_of_header(raw: bytes) -> int:
    if raw.startswith((b"\n", b"\r\n")):
        return 0
    if end := _BLANK_LINE.search(raw, 0, MAX_HEADER_BYTES + 4):
        return end.start()
    if len(raw) > MAX_HEADER_BYTES and b":" in raw[:1000].split(b"\n", 1)[0]:
        raise Refused(MAIL_TOO_COMPLEX, what="header", limit=MAX_HEADER_BYTES)
    return min(len(raw), MAX_HEADER_BYTES)


def _check_bounds(raw: bytes) -> None:
    lowered = raw.lower()
    if not (boundaries := lowered.count(b"boundary")):
        return
    boundaries = len(_BOUNDARY.findall(lowered)) if boundaries > MAX_BOUNDARIES else boundaries
    if boundaries > MAX_BOUNDARIES:
        raise Refused(MAIL_TOO_COMPLEX, what="nesting", limit=MAX_BOUNDARIES)
    if len(raw) * boundaries > MAX_COMPARISONS < (raw.count(b"\n") + raw.count(b"\r")) * boundaries:
        raise Refused(MAIL_TOO_COMPLEX, what="lines", limit=MAX_COMPARISONS)


def mend(message: Message) -> Iterator[Note]:
    """Find the parts of a multipart mail whose header names no boundary, or another one than is used."""
    if message.is_multipart() or message.get_content_maintype() != "multipart":
        return
    payload = vars(message)["_payload"]  # get_payload() would decode 8-bit bytes in a charset that may be anything
    if (named := message.get_boundary()) and f"--{named}" in payload:
        return  # as the header says, only empty
    found = _PART_BEGINS.search(payload)
    if found is None:
        if not _LEFTOVER.search(payload):  # else there are parts, which cannot be told apart
            del message["Content-Type"]
            yield Note("mime", "multipart without parts, read as text")
        return
    boundary = found[1].replace("\\", "\\\\").replace('"', '\\"')
    subtype = re.sub(r"[^a-z.-]", "", message.get_content_subtype())
    header = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\n\n'
    inner = Parser(_Parts()).parsestr(header + payload)
    message.set_payload(inner.get_payload())
    yield Note("mime", "boundary found in the text")


def leaves(message: Message) -> Iterator[Message]:
    """The parts of this mail, without those of mails attached to it."""
    if message.is_multipart() and message.get_content_maintype() != "message":
        for part in message.get_payload():
            if isinstance(part, Message):
                yield from leaves(part)
    else:
        yield message
