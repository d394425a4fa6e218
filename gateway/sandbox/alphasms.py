"""The wire format of AlphaSMS: POST ``/api/xml.php``, GET or POST ``/api/http.php``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from xml.etree import ElementTree as Tree
from xml.sax.saxutils import quoteattr

from defusedxml import ElementTree as SafeTree

from gateway.sandbox.platform import Answer, Platform, Sms

BAD_LOGIN, BAD_FORMAT = 202, 201
"""Of a whole request."""
WRONG_ID, SENDER, RECIPIENT, LENGTH, DUPLICATE = 201, 202, 203, 204, 208
"""Of one SMS."""
_CODES = {"send": 101, "deliver": 102, "expired": 103, "not_deliver": 105, "partly_deliver": 107}
_HTTP_CODES = {"send": 2, "deliver": 3, "expired": 5, "not_deliver": 96, "partly_deliver": 50}


def xml(platform: Platform, body: bytes) -> Answer:
    """A package."""
    try:
        package = SafeTree.fromstring(body)
    except Tree.ParseError:
        return _package(f"<error>{BAD_FORMAT}</error>")
    if not _may(platform, dict(package.items())):
        return _package(f"<error>{BAD_LOGIN}</error>")
    if (messages := package.find("message")) is not None:
        return _send(platform, list(messages.iterfind("msg")))
    if (wanted := package.find("status")) is not None:
        found = "".join(_status(platform, msg) for msg in wanted.iterfind("msg"))
        return _package(f"<status>{found}</status>")
    if package.find("balance") is not None:
        return _package("<balance><amount>31.168300000000002</amount><currency>UAH</currency></balance>")
    if (prices := package.find("prices")) is not None:
        phones = "".join(f'<phone price="0.28" currency="UAH">{p.text}</phone>' for p in prices.iterfind("phone"))
        return _package(f"<prices>{phones}</prices>")
    return _package(f"<error>{BAD_FORMAT}</error>")


def _may(platform: Platform, given: Mapping[str, str]) -> bool:
    """The sandbox's password is the API key, too."""
    by_login = (given.get("login"), given.get("password")) == (platform.user, platform.password)
    return not platform.user or by_login or given.get("key") == platform.password


def _package(inside: str) -> Answer:
    return Answer(f'<?xml version="1.0" encoding="utf-8"?><package>{inside}</package>')


def _send(platform: Platform, messages: list[Tree.Element]) -> Answer:
    numbers = [_digits(msg.get("recipient", "")) for msg in messages]
    first = messages[0] if messages else Tree.Element("msg")

    def usual() -> str:
        answers = "".join(_taken(platform, msg) for msg in messages)
        return _package(f"<message>{answers}</message>").body

    return platform.sending(first.get("sender", ""), numbers, first.text or "", usual)


def _taken(platform: Platform, msg: Tree.Element) -> str:
    key, error = msg.get("id", ""), _error(platform, msg)
    if error:
        return f'<msg id={quoteattr(key)} sms_id="0" sms_count="1">{error}</msg>'
    sms = platform.deliver(msg.get("sender", ""), _digits(msg.get("recipient", "")), msg.text or "")
    if key:
        platform.keys[key] = sms.id
    return f'<msg id={quoteattr(key)} sms_id="{sms.id}" sms_count="{sms.segments}">1</msg>'


def _error(platform: Platform, msg: Tree.Element) -> int:
    checks = (
        (bool(msg.get("id")) and not msg.get("id", "").isdigit(), WRONG_ID),
        (msg.get("id") in platform.keys, DUPLICATE),
        (not 1 <= len(msg.get("sender", "")) <= 11, SENDER),
        (not 10 <= len(_digits(msg.get("recipient", ""))) <= 15, RECIPIENT),
        (not (msg.text or "").strip(), LENGTH),
    )
    return next((code for fails, code in checks if fails), 0)


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)


def _status(platform: Platform, msg: Tree.Element) -> str:
    sms = platform.find(msg.get("sms_id") or platform.keys.get(msg.get("id", ""), ""))
    name, value = ("id", msg.get("id", "")) if msg.get("id") else ("sms_id", msg.get("sms_id", ""))
    if sms is None:
        return f"<msg {name}={quoteattr(value)}>{WRONG_ID}</msg>"
    at = "" if sms.changed_at is None else f' date_completed="{_iso(sms)}"'
    return f'<msg sms_id="{sms.id}" sms_count="{sms.segments}"{at}>{_CODES[sms.state]}</msg>'


def _iso(sms: Sms) -> str:
    return datetime.fromtimestamp(sms.changed_at or 0, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def http(platform: Platform, given: Mapping[str, str]) -> Answer:
    """``command=…``; answers are ``key:value``."""
    if not _may(platform, given):
        return Answer("errors:Authorization error")
    match given.get("command"):
        case "send":
            number, text = _digits(given.get("to", "")), given.get("message", "")
            return platform.sending(given.get("from", ""), [number], text, lambda: _sent(platform, given, number))
        case "receive":
            sms = platform.find(given.get("id", ""))
            if sms is None:
                return Answer("errors:Unknown message id")
            at = "" if sms.changed_at is None else f" status_time:{_iso(sms)}"
            return Answer(f"status:{sms.state} code:{_HTTP_CODES[sms.state]}{at}")
        case "balance":
            return Answer("balance:31.168300000000002")
        case "price":
            return Answer("price:1.2 currency:UAH")
    return Answer("errors:Unknown command")


def _sent(platform: Platform, given: Mapping[str, str], number: str) -> str:
    if not 1 <= len(given.get("from", "")) <= 11:
        return "errors:Incorrect sender"
    if not 10 <= len(number) <= 15:
        return "errors:Incorrect recipient"
    if not given.get("message"):
        return "errors:Message is empty"
    sms = platform.deliver(given["from"], number, given["message"])
    return f"id:{sms.id}\nsms_count:{sms.segments}\n"
