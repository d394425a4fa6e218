"""What a provider reports to us, read as its description says."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from gateway.lifecycle import State
from gateway.model import Callback, Incoming, Pushed, Receipt, Response
from gateway.providers.declarative.description import CallbackCall, IncomingFields, ReceiptFields
from gateway.providers.declarative.paths import MAX_AMOUNT, MAX_ID, find, first, parse, texts
from gateway.providers.declarative.settings import HttpSettings
from gateway.verdicts import CREDENTIALS_WRONG, FIELDS_MISSING, Refused

MAX_FIELDS = 1000
Pairs = Sequence[tuple[str, str]]


class Callbacks:
    """Reads the callbacks of one account."""

    def __init__(self, call: CallbackCall, states: Mapping[str, str], settings: HttpSettings) -> None:
        self._call = call
        self._states = {word.casefold(): State(state) for word, state in states.items()}
        secret = settings.signing_secret or settings.password
        self._secret = secret.get_secret_value().encode() if secret else b""

    def read(self, callback: Callback) -> Pushed:
        """Raises ``Refused``: AUTH for a wrong signature, FORMAT where there is something, and none of it is
        understood: then the provider tries again, and its log tells."""
        self._check(callback)
        items = self._items(callback)
        receipts = tuple(filter(None, (self._receipt(item, self._call.receipt) for item in items)))
        incoming = tuple(filter(None, (self._incoming(item, self._call.incoming) for item in items)))
        if items and not receipts and not incoming:
            raise Refused(FIELDS_MISSING, missing="id, state")
        return Pushed(receipts, incoming, Response(200, self._call.answer.encode(), {"content-type": "text/plain"}))

    def _items(self, callback: Callback) -> list[Any]:
        match self._call.read:
            case "json":
                tree = _json(callback.body)
                return find(tree, self._call.each) if self._call.each else [tree]
            case "blocks":
                name = self._call.each
                fields = [text for key, text in _fields(callback) if key.partition("[")[0] == name]
                return [text.replace("\r", "").split("\n") for text in fields]
        return [dict(_fields(callback))]

    def _receipt(self, item: Any, fields: ReceiptFields | None) -> Receipt | None:
        if fields is None or not _is_such(item, fields.where):
            return None
        provider_id, word = first(item, fields.id), first(item, fields.state)
        state = self._states.get(word.casefold())
        if not 0 < len(provider_id) <= MAX_ID or state is None:
            return None
        code = first(item, fields.code)
        return Receipt(
            provider_id,
            state,
            raw=word,
            changed_at=first(item, fields.at)[:40],
            price=first(item, fields.price)[:MAX_AMOUNT] or None,
            details={"error": code[:100]} if code else {},
        )

    def _incoming(self, item: Any, fields: IncomingFields | None) -> Incoming | None:
        if fields is None or not _is_such(item, fields.where):
            return None
        sender, told = first(item, fields.sender), texts(item, fields.text)
        if not sender or not told:
            return None
        destination = first(item, fields.destination).removeprefix("+")
        return Incoming(first(item, fields.id)[:MAX_ID], sender.removeprefix("+"), destination, told[0])

    def _check(self, callback: Callback) -> None:
        wanted = self._call.signature
        if wanted is None:
            return
        if wanted.kind == "twilio":
            mac = _mac(self._secret, callback.url.encode() + _twilio(_form(callback)), "sha1")
        else:
            mac = _mac(self._secret, callback.body, "sha256")
        is_hex = wanted.kind != "twilio" and wanted.encoding == "hex"
        expected = mac.hex() if is_hex else base64.b64encode(mac).decode()
        given = callback.headers.get(wanted.header.lower(), "").strip()
        given = given.removeprefix("sha256=").lower() if is_hex else given
        if not self._secret or not hmac.compare_digest(expected.encode(), given.encode(errors="replace")):
            raise Refused(CREDENTIALS_WRONG)


def _mac(secret: bytes, message: bytes, digest: str) -> bytes:
    return hmac.new(secret, message, getattr(hashlib, digest)).digest()


def _twilio(form: Pairs) -> bytes:
    """twilio.com/docs/usage/security: the names sorted, each followed by its value, nothing between."""
    return "".join(name + value for name, value in sorted(form)).encode()


def _is_such(item: Any, where: Mapping[str, Sequence[str]]) -> bool:
    return all(first(item, path) in wanted for path, wanted in where.items())


def _fields(callback: Callback) -> list[tuple[str, str]]:
    return [*callback.query, *_form(callback)]


def _form(callback: Callback) -> list[tuple[str, str]]:
    try:
        text = callback.body.decode("utf-8", "replace")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Refused(FIELDS_MISSING, missing="a form") from None


def _json(body: bytes) -> Any:
    try:
        return parse(body.decode("utf-8", "replace"))
    except ValueError:
        raise Refused(FIELDS_MISSING, missing="JSON") from None
