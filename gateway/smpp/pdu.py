"""PDUs as frozen values: bytes in, PDUs out. SMPP v3.4 issue 1.2, chapters 4 and 5."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

HEADER: Final = struct.Struct(">IIII")
MAX_PDU = 65_536
"""Octets. Nothing in the protocol comes near it, but for a message_payload of its greatest length."""
MAX_SEQUENCE = 0x7FFFFFFF
RESPONSE = 0x80000000
"""This bit tells a response from its request (§5.1.2)."""
VERSION = 0x34


class Command(IntEnum):
    """command_id (§5.1.2.1) of the requests that we know. Their responses have the bit ``RESPONSE``."""

    BIND_RECEIVER = 0x01
    BIND_TRANSMITTER = 0x02
    QUERY_SM = 0x03
    SUBMIT_SM = 0x04
    DELIVER_SM = 0x05
    UNBIND = 0x06
    BIND_TRANSCEIVER = 0x09
    ENQUIRE_LINK = 0x15


GENERIC_NACK = RESPONSE
"""The response to what is no request."""


class Status(IntEnum):
    """command_status (§5.1.3) of those that we say ourselves. ``STATUS_NAMES`` has all."""

    OK = 0x00
    INVALID_LENGTH = 0x02
    INVALID_COMMAND = 0x03
    NOT_BOUND = 0x04
    SYSTEM_ERROR = 0x08
    WRONG_PASSWORD = 0x0E
    WRONG_SYSTEM_ID = 0x0F
    THROTTLED = 0x58
    NOT_NOW = 0x64
    """RX_T_APPN: the receiver cannot take it now; it is to come again."""
    NEVER = 0x66
    """RX_R_APPN: the receiver refuses it for good."""
    QUERY_FAILED = 0x67


STATUS_NAMES = {
    0x01: "RINVMSGLEN",
    0x02: "RINVCMDLEN",
    0x03: "RINVCMDID",
    0x04: "RINVBNDSTS",
    0x05: "RALYBND",
    0x06: "RINVPRTFLG",
    0x07: "RINVREGDLVFLG",
    0x08: "RSYSERR",
    0x0A: "RINVSRCADR",
    0x0B: "RINVDSTADR",
    0x0C: "RINVMSGID",
    0x0D: "RBINDFAIL",
    0x0E: "RINVPASWD",
    0x0F: "RINVSYSID",
    0x11: "RCANCELFAIL",
    0x13: "RREPLACEFAIL",
    0x14: "RMSGQFUL",
    0x15: "RINVSERTYP",
    0x33: "RINVNUMDESTS",
    0x34: "RINVDLNAME",
    0x40: "RINVDESTFLAG",
    0x42: "RINVSUBREP",
    0x43: "RINVESMCLASS",
    0x44: "RCNTSUBDL",
    0x45: "RSUBMITFAIL",
    0x48: "RINVSRCTON",
    0x49: "RINVSRCNPI",
    0x50: "RINVDSTTON",
    0x51: "RINVDSTNPI",
    0x53: "RINVSYSTYP",
    0x54: "RINVREPFLAG",
    0x55: "RINVNUMMSGS",
    0x58: "RTHROTTLED",
    0x61: "RINVSCHED",
    0x62: "RINVEXPIRY",
    0x63: "RINVDFTMSGID",
    0x64: "RX_T_APPN",
    0x65: "RX_P_APPN",
    0x66: "RX_R_APPN",
    0x67: "RQUERYFAIL",
    0xC0: "RINVOPTPARSTREAM",
    0xC1: "ROPTPARNOTALLWD",
    0xC2: "RINVPARLEN",
    0xC3: "RMISSINGOPTPARAM",
    0xC4: "RINVOPTPARAMVAL",
    0xFE: "RDELIVERYFAILURE",
    0xFF: "RUNKNOWNERR",
}


def status_name(status: int) -> str:
    """``ESME_RTHROTTLED (0x58)``; those of vendors have no name."""
    name = STATUS_NAMES.get(status)
    return f"ESME_{name} (0x{status:02X})" if name else f"command_status 0x{status:02X}"


class Tag(IntEnum):
    """Optional parameters (§5.3.2), and those of SMSC.ru from 0x2000 on."""

    RECEIPTED_MESSAGE_ID = 0x001E
    SAR_MSG_REF_NUM = 0x020C
    SAR_TOTAL_SEGMENTS = 0x020E
    SAR_SEGMENT_SEQNUM = 0x020F
    SC_INTERFACE_VERSION = 0x0210
    NETWORK_ERROR_CODE = 0x0423
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427
    SMSC_COST = 0x2000
    SMSC_PARTS = 0x2002


@dataclass(frozen=True, slots=True)
class Tlv:
    """An optional parameter: at most 65,535 octets."""

    tag: int
    value: bytes


# ── bodies ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Nothing:
    """unbind, enquire_link, their responses, generic_nack."""


@dataclass(frozen=True, slots=True)
class Bind:
    """bind_transceiver and the like. Strings are Latin-1 everywhere, without a NUL."""

    system_id: str
    password: str
    system_type: str = ""
    interface_version: int = VERSION
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""

    def __repr__(self) -> str:
        return f"Bind(system_id={self.system_id!r})"


@dataclass(frozen=True, slots=True)
class Bound:
    """The response to a bind."""

    system_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """submit_sm and deliver_sm."""

    service_type: str = ""
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""
    dest_ton: int = 0
    dest_npi: int = 0
    destination: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority: int = 0
    schedule: str = ""
    validity: str = ""
    registered_delivery: int = 0
    replace_if_present: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()

    def tlv(self, tag: Tag) -> bytes | None:
        """The first of this tag."""
        return next((item.value for item in self.tlvs if item.tag == tag), None)

    @property
    def octets(self) -> bytes:
        """The text, wherever it stands."""
        return self.short_message or self.tlv(Tag.MESSAGE_PAYLOAD) or b""


@dataclass(frozen=True, slots=True)
class Taken:
    """submit_sm_resp and deliver_sm_resp. Many leave out everything when they refuse."""

    message_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """query_sm."""

    message_id: str
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Queried:
    """query_sm_resp."""

    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A body that is not what its command says, or of a command that we do not know."""

    raw: bytes


Body = Nothing | Bind | Bound | Message | Taken | Query | Queried | Unreadable


@dataclass(frozen=True, slots=True)
class Pdu:
    """One of them, whole. ``sequence`` ties a response to its request."""

    command: int
    sequence: int
    body: Body = Nothing()
    status: int = 0

    @property
    def is_response(self) -> bool:
        """Otherwise it wants one."""
        return bool(self.command & RESPONSE)

    def answer(self, body: Body | None = None, status: int = Status.OK) -> Pdu:
        """The response to this request."""
        return Pdu(self.command | RESPONSE, self.sequence, Nothing() if body is None else body, status)


class Malformed(ValueError):
    """A value that has no place on the wire, or bytes that are no body."""


class Garbage(ValueError):
    """The stream is no SMPP, or cannot be followed any more: the connection must be closed."""


BYTE, OCTETS = 0, -1
"""In the layouts: an integer of one octet; an octet of length and so many octets. Any other number: a C-Octet String
of at most so many octets with its NUL (§3.1)."""
_TLVS = "tlvs"
_LAYOUTS: dict[type[Body], tuple[tuple[str, int], ...]] = {
    Nothing: (),
    Bind: (
        ("system_id", 65),  # 16 and 9 by the book; providers give longer ones out
        ("password", 65),
        ("system_type", 13),
        ("interface_version", BYTE),
        ("addr_ton", BYTE),
        ("addr_npi", BYTE),
        ("address_range", 41),
    ),
    Bound: (("system_id", 16), (_TLVS, 0)),
    Message: (
        ("service_type", 6),
        ("source_ton", BYTE),
        ("source_npi", BYTE),
        ("source", 21),
        ("dest_ton", BYTE),
        ("dest_npi", BYTE),
        ("destination", 21),
        ("esm_class", BYTE),
        ("protocol_id", BYTE),
        ("priority", BYTE),
        ("schedule", 17),
        ("validity", 17),
        ("registered_delivery", BYTE),
        ("replace_if_present", BYTE),
        ("data_coding", BYTE),
        ("sm_default_msg_id", BYTE),
        ("short_message", OCTETS),
        (_TLVS, 0),
    ),
    Taken: (("message_id", 65), (_TLVS, 0)),
    Query: (("message_id", 65), ("source_ton", BYTE), ("source_npi", BYTE), ("source", 21)),
    Queried: (("message_id", 65), ("final_date", 17), ("message_state", BYTE), ("error_code", BYTE)),
}
_BODIES: dict[int, type[Body]] = {
    GENERIC_NACK: Nothing,
    Command.BIND_RECEIVER: Bind,
    Command.BIND_TRANSMITTER: Bind,
    Command.BIND_TRANSCEIVER: Bind,
    Command.BIND_RECEIVER | RESPONSE: Bound,
    Command.BIND_TRANSMITTER | RESPONSE: Bound,
    Command.BIND_TRANSCEIVER | RESPONSE: Bound,
    Command.SUBMIT_SM: Message,
    Command.DELIVER_SM: Message,
    Command.SUBMIT_SM | RESPONSE: Taken,
    Command.DELIVER_SM | RESPONSE: Taken,
    Command.QUERY_SM: Query,
    Command.QUERY_SM | RESPONSE: Queried,
    Command.UNBIND: Nothing,
    Command.UNBIND | RESPONSE: Nothing,
    Command.ENQUIRE_LINK: Nothing,
    Command.ENQUIRE_LINK | RESPONSE: Nothing,
}

_MAY_BE_EMPTY: dict[int, Body] = {
    Command.BIND_RECEIVER | RESPONSE: Bound(),
    Command.BIND_TRANSMITTER | RESPONSE: Bound(),
    Command.BIND_TRANSCEIVER | RESPONSE: Bound(),
    Command.SUBMIT_SM | RESPONSE: Taken(),
    Command.DELIVER_SM | RESPONSE: Taken(),
    Command.QUERY_SM | RESPONSE: Queried(),
}
"""A refusal need not have a body (§4.4.2)."""


# ── writing ──────────────────────────────────────────────────────────────────────────────────


def encode(pdu: Pdu) -> bytes:
    """Raises ``Malformed`` for what does not fit."""
    body = _encode_body(pdu.body)
    length = HEADER.size + len(body)
    if length > MAX_PDU:
        raise Malformed(f"a PDU of {length} octets")
    return HEADER.pack(length, pdu.command, pdu.status, pdu.sequence) + body


def _encode_body(body: Body) -> bytes:
    if isinstance(body, Unreadable):
        return body.raw
    return b"".join(_encode_field(name, size, getattr(body, name)) for name, size in _LAYOUTS[type(body)])


def _encode_field(name: str, size: int, value: object) -> bytes:
    if name == _TLVS:
        assert isinstance(value, tuple)
        return b"".join(_encode_tlv(item) for item in value)
    if isinstance(value, int):
        return _octet(name, value)
    if isinstance(value, bytes):
        if len(value) > 254:
            raise Malformed(f"{name} of {len(value)} octets")
        return _octet(name, len(value)) + value
    raw = _latin1(name, str(value))
    if len(raw) >= size or b"\0" in raw:
        raise Malformed(f"{name} is longer than {size - 1} octets, or has a NUL")
    return raw + b"\0"


def _latin1(name: str, value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise Malformed(f"{name} has characters that are not in Latin-1") from None


def _octet(name: str, value: int) -> bytes:
    if not 0 <= value <= 255:
        raise Malformed(f"{name} is {value}")
    return bytes((value,))


def _encode_tlv(item: Tlv) -> bytes:
    if len(item.value) > 0xFFFF or not 0 <= item.tag <= 0xFFFF:
        raise Malformed(f"parameter {item.tag} of {len(item.value)} octets")
    return struct.pack(">HH", item.tag, len(item.value)) + item.value


# ── reading ──────────────────────────────────────────────────────────────────────────────────


class Reader:
    """The stream of one connection. ``feed`` it, then take what is whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Bytes as they came, in any pieces."""
        self._buffer += chunk

    def pdus(self) -> Iterator[Pdu]:
        """Those that are whole. Raises ``Garbage`` after the last that could be followed."""
        while len(self._buffer) >= HEADER.size:
            length = HEADER.unpack_from(self._buffer)[0]
            if not HEADER.size <= length <= MAX_PDU:
                raise Garbage(f"a PDU of {length} octets")
            if len(self._buffer) < length:
                return
            raw = bytes(self._buffer[:length])
            del self._buffer[:length]
            yield decode(raw)


def decode(raw: bytes) -> Pdu:
    """One whole PDU; its length has been believed already."""
    _, command, status, sequence = HEADER.unpack_from(raw)
    return Pdu(command, sequence, _decode_body(command, raw[HEADER.size :]), status)


def _decode_body(command: int, raw: bytes) -> Body:
    kind = _BODIES.get(command)
    if kind is None:
        return Unreadable(raw)
    if not raw and command in _MAY_BE_EMPTY:
        return _MAY_BE_EMPTY[command]
    try:
        return _read_body(kind, raw)
    except Malformed:
        return Unreadable(raw)


def _read_body(kind: type[Body], raw: bytes) -> Body:
    fields: dict[str, Any] = {}
    at = 0
    for name, size in _LAYOUTS[kind]:
        if name == _TLVS:
            fields[name], at = tuple(_tlvs(raw[at:])), len(raw)
        elif size == BYTE:
            fields[name], at = _slice(raw, at, 1)[0], at + 1
        elif size == OCTETS:
            length = _slice(raw, at, 1)[0]
            fields[name], at = _slice(raw, at + 1, length), at + 1 + length
        else:
            end = raw.find(b"\0", at)
            if end < 0:
                raise Malformed(f"{name} has no end")
            fields[name], at = raw[at:end].decode("latin-1"), end + 1
    return kind(**fields)


def _slice(raw: bytes, at: int, length: int) -> bytes:
    if at + length > len(raw):
        raise Malformed("the body is too short")
    return raw[at : at + length]


def _tlvs(raw: bytes) -> Iterator[Tlv]:
    at = 0
    while at < len(raw):
        tag, length = struct.unpack(">HH", _slice(raw, at, 4))
        yield Tlv(tag, _slice(raw, at + 4, length))
        at += 4 + length
