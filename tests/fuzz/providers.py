"""Accounts of every driver and preset that HTTP has, and providers that answer them, and call them, in any way.

The first byte of an input chooses the account, the second the HTTP status or how a callback is made, the third what
the call was about; then comes what the provider says.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
import re
import time
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import yaml
from yarl import URL

from gateway.dialects.reply import ReplyDialect
from gateway.model import (
    Balance,
    Callback,
    Deferred,
    Incoming,
    Pushed,
    Receipt,
    Rejected,
    Response,
    Submitted,
    Uncertain,
)
from gateway.providers import BalanceQuery, CallbackReader, Driver, PriceQuery, StatusQuery
from gateway.providers.declarative.settings import presets
from gateway.providers.http import MAX_ANSWER_BYTES, HttpUpstream
from gateway.providers.registry import Surroundings, connect, kinds
from gateway.providers.storable import storable
from gateway.replies.forward import forward
from gateway.sandbox.platform import Platform
from gateway.service.callbacks import Callbacks, Reporter
from gateway.service.receipts import Receipts
from gateway.testing import _is_sound, attempt
from gateway.verdicts import REASONS, Refusal, Refused

TABLES = Path(__file__).parents[1] / "providers"
SECRET = "s3cr+t&<x>"
TOKEN = "0123456789abcdef"
CALLBACK_URL = f"https://sms.example.com/callbacks/main/{TOKEN}"
STATUSES = (200, 200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 408, 429, 500, 502, 503, 100, 599)
MAX_ID = 200
MAX_WORDS = 300
PATIENCE_S = 3.0
"""Seconds of the processor, slowed down by the fuzzer, for one answer."""
SHOUTED = 0xFF
"""As the third byte: what is said is said until an answer may be no longer."""


@cache
def accounts() -> dict[str, HttpUpstream]:
    """By driver or preset."""
    own: dict[str, dict[str, Any]] = {
        "targetsms": {"driver": "targetsms", "url": "https://sms.example/get/", "user": "corp", "password": SECRET},
        "targetsms-json": {"driver": "targetsms-json", "user": "corp", "password": SECRET},
        "alphasms": {"driver": "alphasms", "key": SECRET, "group": 3},
        "alphasms-http": {"driver": "alphasms", "face": "http", "login": "380", "password": SECRET},
        "smsc": {"driver": "smsc-http", "login": "corp", "password": SECRET},
        "smsc-signed": {"driver": "smsc-http", "key": SECRET, "callback_secret": SECRET},
    }
    own["targetsms-groups"] = {**own["targetsms"], "group": 3}
    own["targetsms-json"]["url"] = "https://sms.example/sendsmsjson.php"
    for preset in presets():
        given = yaml.safe_load((TABLES / "http" / f"{preset}.yaml").read_text("utf-8"))["settings"]
        own[preset] = {"driver": "http", "preset": preset, "password": SECRET, **given}
    return {name: _connected(settings) for name, settings in own.items()}


def _connected(settings: dict[str, Any]) -> HttpUpstream:
    kind = next(kind for kind in kinds() if kind.name == settings["driver"])
    around = Surroundings(Platform(clock=lambda: 0.0), CALLBACK_URL, "main")
    upstream = connect(kind.settings.model_validate({**settings, "callback_token": TOKEN}), around)
    assert isinstance(upstream, HttpUpstream)
    return upstream


# ── answers ──────────────────────────────────────────────────────────────────────────────────


def answer(data: bytes) -> None:
    """What a provider answers: an outcome for each attempt, a receipt, a balance, or a refusal; and soon."""
    if len(data) < 3:
        return
    names, body = list(accounts()), data[3:]
    if data[2] == SHOUTED and body:
        body = (body * (MAX_ANSWER_BYTES // len(body)))[:MAX_ANSWER_BYTES]
    driver, status = accounts()[names[data[0] % len(names)]].driver, STATUSES[data[1] % len(STATUSES)]
    _read(driver, Response(status, body), repeats=bool(data[2] & 1), count=1 + data[2] % 3)


def _read(driver: Driver, response: Response, *, repeats: bool, count: int) -> None:
    group = min(count, driver.traits.group)
    attempts = [attempt(f"791012345{number:02}", repeats=repeats) for number in range(group)]
    began = time.thread_time()
    outcomes = driver.read_submit(attempts, response)
    assert time.thread_time() - began < PATIENCE_S
    assert len(outcomes) == len(attempts)
    for outcome in outcomes:
        _is_fit(outcome)
        _is_sound(outcome, response.status)
        if isinstance(outcome, Submitted) and not repeats and "held" not in outcome.remark:
            assert outcome.provider_id or "seen" in outcome.remark, outcome
    readings: list[Callable[[], object]] = []
    if isinstance(driver, StatusQuery):
        readings += [lambda: driver.read_status("SM17", response), lambda: driver.read_status("7", response)]
    if isinstance(driver, BalanceQuery):
        readings.append(lambda: driver.read_balance(response))
    if isinstance(driver, PriceQuery):
        readings.append(lambda: driver.read_price(response))
    for reading in readings:
        _is_fit(_told(reading))


def _told(reading: Callable[[], object]) -> object:
    began = time.thread_time()
    try:
        return reading()
    except Refused as refused:
        assert refused.refusal.reason.key in REASONS
        return refused.refusal
    finally:
        assert time.thread_time() - began < PATIENCE_S


def _is_fit(told: Any) -> None:
    """It can be stored, and shown. Words for people hold no secret; an id is what the provider says that it is."""
    told = storable(told)
    shown = repr(told)
    shown.encode()
    match told:
        case Submitted(provider_id=provider_id, parts=parts, cost=cost):
            assert all(0 < len(one) <= MAX_ID for one in (provider_id or "x", *parts))
            assert len(cost) <= MAX_WORDS
        case Receipt(provider_id=provider_id, raw=raw, changed_at=changed_at, price=price, details=details):
            assert 0 < len(provider_id) <= MAX_ID
            for words in (raw, changed_at, price or "", *details.values()):
                assert len(words) <= MAX_WORDS, told
        case Incoming(provider_id=provider_id):
            assert len(provider_id) <= MAX_ID
        case Balance(amount=amount, currency=currency):
            assert Decimal(amount).is_finite()
            assert len(amount + currency) < 100
        case Rejected() | Deferred() | Uncertain() | Refusal():
            assert len(shown) < 1000, shown
            assert SECRET not in shown, shown


# ── callbacks ────────────────────────────────────────────────────────────────────────────────


class _Desk(Receipts):
    """Looks at what would be written down, and at the mail that would be sent."""

    def __init__(self) -> None:
        pass

    async def take(self, provider: str, pushed: Pushed) -> None:
        for receipt in pushed.receipts:
            _is_fit(receipt)
        for sms in storable(pushed).incoming:
            _is_fit(sms)
            _is_proper(sms)


def _is_proper(sms: Incoming) -> None:
    answers_to = ReplyDialect("answers.example.com", "key")
    to, reply_to = "ops@bank.example", answers_to.address(sms.sender, sms.destination)
    mail = forward(
        sms,
        "Q",
        to=to,
        reply_to=reply_to,
        sender="sms@sms.example.com",
        hostname="sms.example.com",
        language="ru",
        now=0.0,
    ).message
    head = mail.partition(b"\r\n\r\n")[0].lower()
    assert head.count(b"\r\nto:") <= 1
    assert b"\r\nbcc:" not in head


def call(data: bytes) -> None:
    """What a provider reports: taken or refused. The first line is the query, the second the signature."""
    if len(data) < 3:
        return
    reporting = {name: made for name, made in accounts().items() if isinstance(made.driver, CallbackReader)}
    name = list(reporting)[data[0] % len(reporting)]
    query, _, rest = data[3:].partition(b"\n")
    given, _, body = rest.partition(b"\n")
    said = re.sub("[^!-~]|#", "", query.decode("latin-1"))  # all else is aiohttp's own 400
    pairs = tuple(URL.build(path="/", query_string=said, encoded=True).query.items())
    url = f"?{said}" if said else ""
    signature = _twilio(CALLBACK_URL + url, body) if data[1] & 1 else given.decode("utf-8", "surrogateescape")
    headers = {"x-twilio-signature": signature}
    callbacks = Callbacks({"main": Reporter("main", reporting[name], CALLBACK_URL)}, _Desk())
    token = TOKEN if data[1] & 6 else said[:16]
    response = asyncio.run(callbacks.take("main", token, Callback("POST", url, pairs, headers, body)))
    assert response.status in (200, 400, 403, 404), response


def _twilio(url: str, body: bytes) -> str:
    try:
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        form = []
    message = url + "".join(name + value for name, value in sorted(form))
    return base64.b64encode(hmac.new(SECRET.encode(), message.encode(), hashlib.sha1).digest()).decode()


# ── what they begin with ─────────────────────────────────────────────────────────────────────


def answers() -> list[bytes]:
    """Those of the tables."""
    found = []
    for number, name in enumerate(accounts()):
        file = {
            "targetsms": "targetsms/answers",
            "targetsms-groups": "targetsms/groups",
            "targetsms-json": "targetsms-json/answers",
            "alphasms": "alphasms/xml",
            "alphasms-http": "alphasms/http",
            "smsc": "smsc/answers",
            "smsc-signed": "smsc/answers",
        }.get(name, f"http/{name}")
        table = yaml.safe_load((TABLES / f"{file}.yaml").read_text("utf-8"))
        rows = table if isinstance(table, list) else _rows(table)
        found += [bytes([number, 0, 0]) + _said(row) for row in rows if "says" in row or "json" in row]
    return found


def _rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    asked = [table.get(part, {}).get("answers", []) for part in ("status", "balance")]
    return [*table["answers"], *(row for rows in asked for row in rows)]


def _said(row: dict[str, Any]) -> bytes:
    return (json.dumps(row["json"], ensure_ascii=False) if "json" in row else str(row["says"])).encode()


def calls() -> list[bytes]:
    """Those of the tables, and of the manuals."""
    reporting = [name for name, made in accounts().items() if isinstance(made.driver, CallbackReader)]
    found = []
    for number, name in enumerate(reporting):
        bodies = [
            (b"", b'<?xml version="1.0"?><r><state id_sms="1" time="2026-01-01">deliver</state></r>'),
            (b"", b'[{"id_sms": "1", "state": "deliver"}]'),
            (b"smsid=1&sender=79101234567&receiver=7999&text=x", b""),
            (b"", b"id=1&phone=79101234567&status=1&time=x&md5=0123"),
            (b"", b"id=1&phone=79101234567&mes=x&to=7999"),
        ]
        if name in presets():
            rows = yaml.safe_load((TABLES / "http" / f"{name}.yaml").read_text("utf-8")).get("callbacks", [])
            bodies = [(urlencode(row.get("query", {})).encode(), _body(row)) for row in rows]
        found += [bytes([number, 3, 0]) + query + b"\n\n" + body for query, body in bodies]
    return found


def _body(row: dict[str, Any]) -> bytes:
    if "json" in row:
        return json.dumps(row["json"]).encode()
    return str(row.get("body", urlencode(row.get("form", {})))).encode()


_NUMBER = re.compile(rb"[0-9]+")
_WORD = re.compile(rb'"[^"]*"|>[^<]*<|=[^&]*|:[^\s]*|[0-9]+')
_NASTY = (
    b'"\\u0000"', b'"\\ud800"', b"null", b"true", b"[]", b"{}", b"-1", b"1e9999999", b"1e-9999999", b"NaN", b"9" * 5000,
    b"9" * 25, b'"' + b"x" * 5000 + b'"', b">" + b"x" * 5000 + b"<", b"=" + b"x" * 5000, b"=%00", b"=%ff%00", b"=\xff",
    b":\xff", b":" + b"9" * 5000, "²".encode(), "١".encode(), SECRET.encode(), b'"' + SECRET.encode() + b'"', b"",
    b">&#1;<", b"><![CDATA[x]]><", b"i:99999999999999999999;", b's:5:"x";', b"a:9999999:{", b"O:1:", b"d:1e999;",
)  # fmt: skip


def damage(data: bytes, chance: random.Random) -> bytes:
    """One of the values is another, or the whole is said of somebody else's account."""
    head, body = bytearray(data[:3].ljust(3, b"\0")), data[3:]
    for _ in range(chance.choice([1, 1, 2, 3])):
        found = list((_NUMBER if chance.random() < 0.3 else _WORD).finditer(body))
        match chance.randrange(6):
            case 0 | 1 | 2 | 3 if found:
                hit, new = chance.choice(found), chance.choice(_NASTY)
                body = body[: hit.start()] + new + body[hit.end() :]
            case 4 if found:
                hit = chance.choice(found)
                body = body[: hit.start()] + body[hit.start() : hit.end()] * 2 + body[hit.end() :]
            case _:
                head[chance.randrange(3)] = chance.randrange(256)
    return bytes(head) + body
