"""winmail.dat: the body of a mail that Outlook and Exchange packed away (MS-OXTNEF, MS-OXRTFCP).

Written here because the known library (tnefparse, of 2021) copies the rest of the file for each attribute, opens
attached mails and every attachment too, and logs. Only the body is looked for, in one pass.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from gateway.verdicts import MAIL_TOO_COMPLEX, NO_READABLE_TEXT, Refused

TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
DAMAGED = "winmail.dat, damaged"
MAX_ATTRIBUTES = 2000
MAX_RTF_BYTES = 500_000
"""Half a second of work."""

_SIGNATURE = 0x223E9F78
_MESSAGE_LEVEL = 1
_BODY, _PROPERTIES, _CODE_PAGE = 0x800C, 0x9003, 0x9007

_PR_BODY, _PR_RTF, _PR_HTML, _PR_INTERNET_CODE_PAGE = 0x1000, 0x1009, 0x1013, 0x3FDE
_STRING8, _UNICODE = 0x001E, 0x001F
_VARIABLE = frozenset({0x000D, _STRING8, _UNICODE, 0x0102})
_FIXED = {0x0002: 4, 0x0003: 4, 0x0004: 4, 0x000A: 4, 0x000B: 4, 0x0001: 4} | dict.fromkeys((5, 6, 7, 0x14, 0x40), 8)
_FIXED[0x0048] = 16
_SEVERAL, _NAMED = 0x1000, 0x8000

_LZFU, _STORED = b"LZFu", b"MELA"
_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    + b"\r\n"
    + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""What the window holds at the start, MS-OXRTFCP §2.1.2.1."""
_WINDOW = 4096


@dataclass(frozen=True, slots=True)
class Body:
    """The best body of those that are there, still in bytes."""

    type: str
    """text/plain, text/html or text/rtf, which is still compressed."""
    data: bytes
    code_page: int
    """Windows's number of the charset; 0: not said."""


def is_tnef(part: Message) -> bool:
    """By its type, or by its name where a relay took the type away."""
    kind = part.get_content_type()
    return kind in TYPES or (
        kind == "application/octet-stream" and (part.get_filename() or "").strip().lower() == "winmail.dat"
    )


def body(data: bytes) -> Body | None:
    """None for what is no TNEF, or holds no body. Raises ``Refused`` (FORMAT) for more than anybody writes."""
    try:
        return _best(data)
    except (struct.error, IndexError, zlib.error):
        return None


def _best(data: bytes) -> Body | None:
    code_page, properties, plain = 0, dict[int, tuple[int, bytes]](), b""
    for name, value in _attributes(data):
        if name == _CODE_PAGE:
            (code_page,) = struct.unpack_from("<I", value)
        elif name == _BODY:
            plain = value
        elif name == _PROPERTIES:
            properties = dict(_properties(value))
    kind, text = properties.get(_PR_BODY, (_STRING8, plain))
    if kind == _UNICODE and text.strip(b"\0"):
        return Body("text/plain", text.removesuffix(b"\0\0"), 1200)
    kind_of_html, html = properties.get(_PR_HTML, (_STRING8, b""))
    if html.strip(b"\0"):
        of_html = struct.unpack("<I", properties.get(_PR_INTERNET_CODE_PAGE, (3, bytes(4)))[1][:4])[0]
        return Body("text/html", html.rstrip(b"\0"), 1200 if kind_of_html == _UNICODE else of_html)
    if rtf := properties.get(_PR_RTF, (0, b""))[1]:
        return Body("text/rtf", rtf, code_page)
    text = text.rstrip(b"\0")
    return Body("text/plain", text, code_page) if text else None


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    (signature,) = struct.unpack_from("<I", data)
    if signature != _SIGNATURE:
        return
    at = 6
    for _ in range(MAX_ATTRIBUTES):
        if at + 11 > len(data):
            return
        level, name, _kind, length = struct.unpack_from("<BHHI", data, at)
        if level == _MESSAGE_LEVEL:
            yield name, data[at + 9 : at + 9 + length]
        at += 9 + length + 2
    raise Refused(MAIL_TOO_COMPLEX, what="winmail.dat", limit=MAX_ATTRIBUTES)


def _properties(data: bytes) -> Iterator[tuple[int, tuple[int, bytes]]]:
    (count,) = struct.unpack_from("<I", data)
    at = 4
    for _ in range(min(count, MAX_ATTRIBUTES)):
        if at + 4 > len(data):
            return
        kind, name = struct.unpack_from("<HH", data, at)
        at += 4
        if name >= _NAMED:
            (by_name,) = struct.unpack_from("<I", data, at + 16)
            at += 20
            (length,) = struct.unpack_from("<I", data, at)
            at += 4 + (_padded(length) if by_name else 0)
        values, single = 1, kind & ~_SEVERAL
        if kind & _SEVERAL or single in _VARIABLE:
            (values,) = struct.unpack_from("<I", data, at)
            at += 4
        if values > MAX_ATTRIBUTES:
            raise Refused(MAIL_TOO_COMPLEX, what="winmail.dat", limit=MAX_ATTRIBUTES)
        for _value in range(values):
            size = _FIXED.get(single, 0)
            if single in _VARIABLE:
                (size,) = struct.unpack_from("<I", data, at)
                at += 4
            elif not size:
                return  # of no known size: what follows cannot be found
            yield name, (single, data[at : at + size])
            at += _padded(size)


def _padded(length: int) -> int:
    return length + -length % 4


def decompressed(data: bytes) -> bytes:
    """RTF as a ``Body`` of text/rtf holds it (MS-OXRTFCP §3.1).

    Raises ``Refused`` (FORMAT) for more than anybody writes, and for what is damaged.
    """
    if len(data) < 16:
        raise Refused(NO_READABLE_TEXT, type=DAMAGED)
    packed, size, kind, checksum = struct.unpack_from("<II4sI", data)
    content = data[16 : packed + 4]
    if max(size, len(content)) > MAX_RTF_BYTES:
        raise Refused(MAIL_TOO_COMPLEX, what="winmail.dat", limit=MAX_RTF_BYTES)
    if kind == _STORED:
        return content[:size]
    if kind != _LZFU or zlib.crc32(content, 0xFFFFFFFF) ^ 0xFFFFFFFF != checksum:
        raise Refused(NO_READABLE_TEXT, type=DAMAGED)
    out = bytearray(_DICTIONARY)
    start = len(out)
    at = 0
    while at < len(content) and len(out) - start < size:
        flags = content[at]
        at += 1
        for bit in range(8):
            if at >= len(content):
                break
            if not flags >> bit & 1:
                out.append(content[at])
                at += 1
                continue
            reference = int.from_bytes(content[at : at + 2], "big")
            at += 2
            offset, length = reference >> 4, (reference & 15) + 2
            distance = (len(out) - offset) % _WINDOW
            if distance == 0:  # the end mark: a reference to where the next byte would go
                return bytes(out[start : start + size])
            for _ in range(length):
                source = len(out) - distance
                out.append(out[source] if source >= 0 else 0x20)
    return bytes(out[start : start + size])
