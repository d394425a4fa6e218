"""deliver_sm → what it says: a receipt, or an SMS from a subscriber. Pure.

``id:… sub: dlvrd: submit date: done date: stat: err: text:`` is only a convention (SMPP v3.4, appendix B): fields are
missing, dates have ten or twelve digits, errors are no numbers. The parameters are believed first. SMSC.ru writes the
result of an HLR request in the same way (seed 003).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from gateway.lifecycle import State
from gateway.model import Incoming, Receipt
from gateway.smpp.pdu import Message, Queried, Tag
from gateway.smpp.text import taken_apart
from gateway.sms import channels

_TYPE, _RECEIPT, _ON_THE_WAY = 0x3C, 0x04, 0x20
"""Of esm_class (§5.2.12): which message type; an SMSC delivery receipt; an intermediate notification."""

STATES = {
    0: State.SUBMITTED,  # scheduled (5.0)
    1: State.SUBMITTED,
    2: State.DELIVERED,
    3: State.EXPIRED,
    4: State.UNDELIVERED,
    5: State.UNDELIVERED,
    6: State.SUBMITTED,  # "read by customer service"; in practice: on the way
    7: State.UNCERTAIN,
    8: State.UNDELIVERED,
    9: State.UNDELIVERED,  # skipped (5.0)
}
"""message_state (§5.2.28)."""
_NAMES = ("SCHEDUL", "ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD", "SKIPPED")
_WORDS = {
    "SCHED": 0,
    "ENROU": 1,
    "BUFFE": 1,
    "DELIV": 2,
    "EXPIR": 3,
    "DELET": 4,
    "UNDEL": 5,
    "FAILE": 5,
    "ACCEP": 6,
    "UNKNO": 7,
    "REJEC": 8,
    "SKIPP": 9,
}
"""By their first letters: DELIVRD is DELIVERED to some."""

_TEXT = re.compile(r"(?:^|\s)text:", re.IGNORECASE)
_FIELD = re.compile(r"(?:^|\s)(id|sub|dlvrd|submit[ _]date|done[ _]date|stat|err):", re.IGNORECASE)
_DATE = re.compile(r"[0-9]{10}(?:[0-9]{2})?")


class NotUnderstood(ValueError):
    """A receipt without an id or a state."""


def is_receipt(message: Message) -> bool:
    """By its type, or because it names the SMS. Never by its words: anybody can write those in an SMS."""
    named = message.tlv(Tag.RECEIPTED_MESSAGE_ID) is not None
    return named or message.esm_class & _TYPE in (_RECEIPT, _ON_THE_WAY)


def read_receipt(message: Message, *, id_format: str = "as_is", smsc: bool = False) -> Receipt:
    """Raises ``NotUnderstood``. ``smsc``: the parameters of SMSC.ru mean what it says."""
    # ASCII whatever the coding says, and not GSM 7-bit, where "_" and "@" are others. Some write UCS-2.
    octets = taken_apart(message)[0]
    text = octets.decode("utf-16-be" if octets[:1] == b"\0" else "latin-1", "replace")
    said = fields(text)
    named = (message.tlv(Tag.RECEIPTED_MESSAGE_ID) or b"").rstrip(b"\0").decode("latin-1") or said.get("id", "")
    provider_id = same_id(named, by_receipt=True, id_format=id_format)
    state, word = _state(message, said.get("stat", ""))
    if not provider_id:
        raise NotUnderstood("no id")
    cost = (message.tlv(Tag.SMSC_COST) or b"") if smsc else b""
    parts = (message.tlv(Tag.SMSC_PARTS) or b"") if smsc else b""
    return Receipt(
        provider_id[:64],
        state,
        word,
        _moment(said.get("done date", "")),
        segments=int.from_bytes(parts, "big") or None,
        price=cost.rstrip(b"\0").decode("latin-1") or None,
        details=_details(message, said, text),
    )


def fields(text: str) -> dict[str, str]:
    """Of a receipt's text; keys in lower case. What follows ``text:`` is the SMS itself and says nothing."""
    if start := _TEXT.search(text):
        text = text[: start.start()]
    found = list(_FIELD.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)] * bool(found)
    return {
        match[1].casefold().replace("_", " "): text[match.end() : end].strip().partition(" ")[0]
        for match, end in zip(found, ends, strict=True)
    }


def _state(message: Message, word: str) -> tuple[State, str]:
    raw = message.tlv(Tag.MESSAGE_STATE)
    number = raw[0] if raw else _WORDS.get(word.upper()[:5])
    if number not in STATES:
        raise NotUnderstood(f"state {word[:20] or number!r}")
    return STATES[number], word[:20] or _NAMES[number]


def _details(message: Message, said: Mapping[str, str], text: str) -> dict[str, str]:
    found = dict(channels.hlr(_TEXT.split(text)[0]))
    found["err"] = said.get("err", "")[:20]
    network = message.tlv(Tag.NETWORK_ERROR_CODE) or b""
    if len(network) == 3 and not found["err"].strip("0"):
        found["err"] = str(int.from_bytes(network[1:], "big"))
    return {key: value[:100] for key, value in found.items() if value.strip("0") or key not in ("err",)}


def _moment(date: str) -> str:
    """YYMMDDhhmm, with seconds or without; of a clock that nobody knows. Others as they stand."""
    if _DATE.fullmatch(date):
        try:
            form = "%y%m%d%H%M%S" if len(date) == 12 else "%y%m%d%H%M"
            return datetime.strptime(date, form).isoformat(" ")
        except ValueError:
            pass
    return date[:40]


def same_id(written: str, *, by_receipt: bool, id_format: str) -> str:
    """An id in one form, whoever wrote it: decimal where the receipts' form differs from the answers'."""
    if id_format == "as_is":
        return written
    is_hex = (id_format == "hex") is by_receipt
    try:
        return str(int(written, 16 if is_hex else 10))
    except ValueError:
        return written


def id_of_answer(provider_id: str, *, id_format: str) -> str:
    """How the provider wrote it in its answer; leading zeros are lost."""
    return f"{int(provider_id):X}" if id_format == "dec" and provider_id.isdigit() else provider_id


def read_queried(provider_id: str, queried: Queried) -> Receipt:
    """The answer to query_sm (§4.8.2)."""
    state = STATES.get(queried.message_state, State.SUBMITTED)
    known = queried.message_state < len(_NAMES)
    word = _NAMES[queried.message_state] if known else str(queried.message_state)
    details = {"err": str(queried.error_code)} if queried.error_code else {}
    return Receipt(provider_id, state, word, _moment(queried.final_date[:12]), details=details)


def incoming(message: Message, text: str, sms_id: str) -> Incoming:
    """An SMS from a subscriber. The protocol gives it no id, so it gets one of ours: one that comes again, because our
    acknowledgement was lost, cannot be told from a subscriber who says the same twice."""
    return Incoming(sms_id, message.source.removeprefix("+"), message.destination.removeprefix("+"), text)
