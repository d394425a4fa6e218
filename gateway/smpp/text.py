"""Texts in PDUs: the alphabets, where long ones are cut, and how the pieces say that they belong together.

3GPP TS 23.038 (GSM 7-bit; SMPP carries it one septet an octet), TS 23.040 §9.2.3.24 (user data header).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gsmcodecs.charmaps import GSMCHARMAPS

from gateway.smpp.pdu import Malformed, Message, Tag, Tlv
from gateway.sms import segments

ESCAPE = 0x1B
UDHI = 0x40
"""In esm_class: the text begins with a user data header."""
FLASH = 0x10
"""In data_coding, with the alphabet's bits: message class 0, shown and not kept (TS 23.038 §4)."""
MAX_PARTS = 255

_FROM_GSM = {code: chr(char) for char, code in GSMCHARMAPS[0]["locking"]["encode"].items()}
_FROM_GSM_EXTENSION = {
    code: chr(char) for char, code in GSMCHARMAPS[0]["singleShift"]["encode"].items() if char != 0xA0
}


class Alphabet(StrEnum):
    """What octets are characters of."""

    GSM7 = "gsm7"
    LATIN1 = "latin1"
    UCS2 = "ucs2"


Codings = Mapping[Alphabet, int]
"""Which data_coding means which alphabet to this provider. Only those are used for sending."""


class Long(StrEnum):
    """How a text goes out that does not fit into one SMS."""

    UDH = "udh"
    SAR = "sar"
    PAYLOAD = "payload"


SIZES = {Alphabet.GSM7: (160, 153), Alphabet.LATIN1: (140, 134), Alphabet.UCS2: (140, 134)}
"""Octets in a single SMS, and in each part of a long one."""
_STANDARD = {0: "gsm7", 1: "latin-1", 3: "latin-1", 6: "iso8859-5", 7: "iso8859-8", 8: "utf-16-be"}
"""SMPP v3.4 §5.2.19."""
_CODECS = {Alphabet.GSM7: "gsm7", Alphabet.LATIN1: "latin-1", Alphabet.UCS2: "utf-16-be"}


def decode_gsm7(octets: bytes) -> str:
    """As a handset shows it: an unknown escape is the character without it, an octet above 127 is a question mark."""
    chars, escaped = [], False
    for code in octets:
        if code == ESCAPE and not escaped:
            escaped = True
            continue
        basic = _FROM_GSM.get(code, "?")
        chars.append(_FROM_GSM_EXTENSION.get(code, basic) if escaped else basic)
        escaped = False
    return "".join(chars)


_ENCODE: dict[Alphabet, Callable[[str], bytes]] = {
    Alphabet.GSM7: segments.encode,
    Alphabet.LATIN1: lambda text: text.encode("latin-1"),
    Alphabet.UCS2: lambda text: text.encode("utf-16-be", "replace"),
}


def alphabet_of(text: str, codings: Codings) -> Alphabet:
    """The first that the provider knows and that has every character: GSM 7-bit, Latin-1, UCS-2."""
    for alphabet in (Alphabet.GSM7, Alphabet.LATIN1):
        if alphabet in codings:
            try:
                _ENCODE[alphabet](text)
            except UnicodeError:
                continue
            return alphabet
    return Alphabet.UCS2


def decode_text(octets: bytes, data_coding: int, codings: Codings) -> str:
    """By the provider's own table, else by the standard's. Never fails: what is unknown becomes U+FFFD."""
    coding = data_coding
    if data_coding & 0xF0 == 0xF0:  # with a class, which matters to handsets only: TS 23.038 §4
        coding = data_coding & 0x04
    elif data_coding & 0xD0 == FLASH:
        coding = data_coding & 0x0C
    ours = {code: _CODECS[alphabet] for alphabet, code in codings.items()}
    codec = ours.get(coding) or _STANDARD.get(coding, "latin-1")
    if codec == "gsm7":
        return decode_gsm7(octets)
    return octets.decode(codec, "replace")


# ── long texts ───────────────────────────────────────────────────────────────────────────────


def compose(
    message: Message,
    text: str,
    codings: Codings,
    long: Long,
    reference: int,
    *,
    flash: bool,
    national: Sequence[str] = (),
) -> list[Message]:
    """The PDUs that carry the text, in their order. ``reference`` tells the parts of one text from those of another,
    ``national`` names 7-bit tables that may be used. Raises ``Malformed`` for a text that has too many parts."""
    if national and long is Long.UDH and Alphabet.GSM7 in codings:
        found = segments.segment(text, national)
        if found.tables != segments.DEFAULT:
            message = replace(message, data_coding=codings[Alphabet.GSM7] | (FLASH if flash else 0))
            return _in_national(message, found, reference)
    alphabet = alphabet_of(text, codings)
    message = replace(message, data_coding=codings[alphabet] | (FLASH if flash else 0))
    octets, (single, part) = _ENCODE[alphabet](text), SIZES[alphabet]
    if len(octets) <= single:
        return [replace(message, short_message=octets)]
    if long is Long.PAYLOAD:
        return [_added(message, Tlv(Tag.MESSAGE_PAYLOAD, octets))]
    pieces = _cut(text, _ENCODE[alphabet], part)
    if len(pieces) > MAX_PARTS:
        raise Malformed(f"a text of {len(pieces)} parts")
    mark = _with_header if long is Long.UDH else _with_sar
    return [mark(message, piece, reference, len(pieces), number) for number, piece in enumerate(pieces, 1)]


def _in_national(message: Message, found: segments.Segmentation, reference: int) -> list[Message]:
    """Each part names its tables in its header: elements 0x24 (single shift) and 0x25 (locking shift), TS 23.040
    §9.2.3.24.15 and 16."""
    total = len(found.segments)
    if total > MAX_PARTS:
        raise Malformed(f"a text of {total} parts")
    shifts = ((0x24, found.tables.shift), (0x25, found.tables.locking))
    tables = b"".join(bytes((element, 1, table)) for element, table in shifts if table)
    made = []
    for number, piece in enumerate(found.segments, 1):
        place = bytes((0, 3, reference & 0xFF, total, number)) if total > 1 else b""
        header = bytes((len(place + tables),)) + place + tables
        octets = header + segments.encode(piece, found.tables)
        made.append(replace(message, esm_class=message.esm_class | UDHI, short_message=octets))
    return made


def _cut(text: str, encode: Callable[[str], bytes], size: int) -> list[bytes]:
    """Escape pairs and surrogate pairs are never torn apart."""
    pieces = [b""]
    for char in text:
        octets = encode(char)
        if len(pieces[-1]) + len(octets) > size:
            pieces.append(b"")
        pieces[-1] += octets
    return pieces


def _with_header(message: Message, piece: bytes, reference: int, total: int, number: int) -> Message:
    header = bytes((5, 0, 3, reference & 0xFF, total, number))
    return replace(message, esm_class=message.esm_class | UDHI, short_message=header + piece)


def _with_sar(message: Message, piece: bytes, reference: int, total: int, number: int) -> Message:
    return _added(
        replace(message, short_message=piece),
        Tlv(Tag.SAR_MSG_REF_NUM, struct.pack(">H", reference & 0xFFFF)),
        Tlv(Tag.SAR_TOTAL_SEGMENTS, bytes((total,))),
        Tlv(Tag.SAR_SEGMENT_SEQNUM, bytes((number,))),
    )


def _added(message: Message, *tlvs: Tlv) -> Message:
    return replace(message, tlvs=(*message.tlvs, *tlvs))


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a long text: which text of this sender it belongs to, and its place, from 1."""

    reference: int
    total: int
    number: int


def taken_apart(message: Message) -> tuple[bytes, Part | None]:
    """The octets of the text without a header, and its place if it is a piece of a longer one."""
    octets = message.octets
    if message.esm_class & UDHI and octets:
        length = octets[0] + 1
        return octets[length:], _sound(_from_header(octets[1:length]))
    return octets, _sound(_from_sar(message))


def _from_header(header: bytes) -> Part | None:
    """Information elements 0 and 8: concatenated short messages, with a reference of 8 or 16 bits."""
    at = 0
    while at + 2 <= len(header):
        element, length = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + length]
        if (element, len(value)) in ((0, 3), (8, 4)):
            return Part(int.from_bytes(value[:-2], "big"), value[-2], value[-1])
        at += 2 + length
    return None


def _from_sar(message: Message) -> Part | None:
    values = [message.tlv(tag) for tag in (Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM)]
    if not all(values):
        return None
    return Part(*(int.from_bytes(value or b"", "big") for value in values))


def _sound(part: Part | None) -> Part | None:
    return part if part is not None and 1 < part.total <= MAX_PARTS and 1 <= part.number <= part.total else None
