"""What the platform of TargetSMS pushes: receipts as XML or JSON, incoming SMS as GET (smsgate/xmlGateDoc, httpGateDoc;
apidocs.webcom.mobi). It says it again, five times in all, until the ids come back. Nothing is signed: the address is
the secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as Tree
from xml.sax.saxutils import escape

from defusedxml import ElementTree as SafeTree
from defusedxml.common import DefusedXmlException

from gateway.lifecycle import State
from gateway.model import Callback, Incoming, Pushed, Receipt, Response
from gateway.verdicts import FIELDS_MISSING, LINE_NOT_UNDERSTOOD, Refused

STATES = {
    "send": State.SUBMITTED,
    "deliver": State.DELIVERED,
    "read": State.DELIVERED,
    "not_deliver": State.UNDELIVERED,
    "expired": State.EXPIRED,
    "partly_deliver": State.UNCERTAIN,
    "": State.SUBMITTED,
}
"""Seed 002 §3.2. ``partly_deliver`` is called final, yet it means that no status ever came."""

_XML = {"Content-Type": "text/xml; charset=utf-8"}
_JSON = {"Content-Type": "application/json; charset=utf-8"}


def read_push(callback: Callback) -> Pushed:
    """Whatever it is. Raises ``Refused`` (FORMAT)."""
    body = callback.body.strip()
    if body.startswith(b"<"):
        return _xml(body)
    if body:
        return _json(body)
    return _incoming(dict(callback.query))


def receipt(provider_id: object, state: object, time: object) -> Receipt:
    """Of the fields that every face has. Raises ``Refused`` (FORMAT) for a state that nobody knows."""
    word, number = str(state or "").strip(), str(provider_id or "").strip()
    if word.casefold() not in STATES or not number:
        raise Refused(LINE_NOT_UNDERSTOOD, line=1, missing="id_sms, state")
    return Receipt(number[:64], STATES[word.casefold()], word, str(time or "")[:40])


def _xml(body: bytes) -> Pushed:
    try:
        root = SafeTree.fromstring(body)
    except (Tree.ParseError, DefusedXmlException, ValueError, LookupError, RecursionError):
        raise Refused(LINE_NOT_UNDERSTOOD, line=1, missing="state") from None
    said = [receipt(e.get("id_sms"), e.text, e.get("time")) for e in root.iter("state")]
    ids = "".join(f"<id_sms>{escape(item.provider_id)}</id_sms>" for item in said)
    answer = f'<?xml version="1.0" encoding="utf-8"?><response>{ids}</response>'
    return Pushed(tuple(said), answer=Response(200, answer.encode(), _XML))


def _json(body: bytes) -> Pushed:
    try:
        said = [receipt(e.get("id_sms"), e.get("state"), e.get("time")) for e in _objects(json.loads(body))]
    except (ValueError, RecursionError):
        raise Refused(LINE_NOT_UNDERSTOOD, line=1, missing="state") from None
    answer = json.dumps([{"id_sms": item.provider_id} for item in said])
    return Pushed(tuple(said), answer=Response(200, answer.encode(), _JSON))


def _objects(document: Any) -> Iterator[Mapping[str, Any]]:
    for item in document if isinstance(document, list) else [document]:
        if not isinstance(item, dict):
            raise Refused(LINE_NOT_UNDERSTOOD, line=1, missing="state")
        yield item


def _incoming(given: Mapping[str, str]) -> Pushed:
    """``date, prefix, text, smsid, sender, receiver``; the prefix is the first word of the text."""
    missing = [key for key in ("smsid", "sender", "receiver") if not given.get(key)]
    if missing:
        raise Refused(FIELDS_MISSING, missing=", ".join(missing))
    sms = Incoming(
        given["smsid"][:64], given["sender"].lstrip("+"), given["receiver"].lstrip("+"), given.get("text", "")
    )
    return Pushed(incoming=(sms,), answer=Response(200, f"smsid={sms.provider_id}".encode()))
