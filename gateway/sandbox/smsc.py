"""The wire format of SMSC.ru: ``/sys/send.php``, ``/sys/status.php``, ``/sys/balance.php``, all four formats."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.sandbox.platform import Answer, Platform

_STATUS = {"send": 0, "deliver": 1, "expired": 3, "not_deliver": 20, "partly_deliver": -3}
_WORDS = {1: "parameters error", 2: "authorise error", 7: "invalid number", 9: "duplicate request, wait a minute"}


def send(platform: Platform, given: Mapping[str, str]) -> Answer:
    """One or more phones, one text, one id."""
    if not _may(platform, given):
        return _error(given, 2)
    numbers = [number.strip() for number in given.get("phones", "").replace(";", ",").split(",") if number.strip()]
    text = given.get("mes", "")
    return platform.sending(given.get("sender", ""), numbers, text, lambda: _sent(platform, given, numbers).body)


def _sent(platform: Platform, given: Mapping[str, str], numbers: list[str]) -> Answer:
    asks_only = "hlr" in given or "ping" in given
    if not numbers or not (given.get("mes") or asks_only):
        return _error(given, 1)
    if any(not number.lstrip("+").isdigit() or not 10 <= len(number.lstrip("+")) <= 15 for number in numbers):
        return _error(given, 7)
    if platform.repeated(sorted(given.items())):
        return _error(given, 9)
    delivered = [platform.deliver(given.get("sender", ""), number, given.get("mes", "")) for number in numbers]
    sms_id, count = delivered[0].id, sum(sms.segments for sms in delivered)
    match given.get("fmt"):
        case "1":
            return Answer(f"{sms_id},{count},1.40,31.20")
        case "2":
            return Answer(f"<result><id>{sms_id}</id><cnt>{count}</cnt><cost>1.40</cost></result>")
        case "3":
            return Answer(json.dumps({"id": int(sms_id), "cnt": count, "cost": "1.40", "balance": "31.20"}))
    return Answer(f"OK - {count} SMS, ID - {sms_id}")


def status(platform: Platform, given: Mapping[str, str]) -> Answer:
    """Of one message, by id and phone."""
    if not _may(platform, given):
        return _error(given, 2)
    sms = platform.find(given.get("id", ""))
    code = _STATUS[sms.state] if sms is not None and sms.destination == given.get("phone") else -3
    at = int(sms.changed_at or sms.at) if sms is not None else 0
    match given.get("fmt"):
        case "1":
            return Answer(f"{code},{at},0")
        case "2":
            return Answer(f"<result><status>{code}</status><last_timestamp>{at}</last_timestamp></result>")
        case "3":
            return Answer(json.dumps({"status": code, "last_timestamp": at, "err": 0, "cost": "1.40"}))
    return Answer(f"Status = {code}, check_time = {at}")


def balance(platform: Platform, given: Mapping[str, str]) -> Answer:
    """Of the account."""
    if not _may(platform, given):
        return _error(given, 2)
    amount, currency = platform.balance.split()
    if given.get("fmt") == "3":
        return Answer(json.dumps({"balance": amount, "currency": currency}))
    if given.get("fmt") == "2":
        return Answer(f"<balance>{amount}</balance>")
    return Answer(amount)


def _may(platform: Platform, given: Mapping[str, str]) -> bool:
    by_login = (given.get("login"), given.get("psw")) == (platform.user, platform.password)
    return not platform.user or by_login or given.get("apikey") == platform.password


def _error(given: Mapping[str, str], code: int) -> Answer:
    match given.get("fmt"):
        case "1":
            return Answer(f"0,-{code}")
        case "2":
            return Answer(f"<result><error>{_WORDS[code]}</error><error_code>{code}</error_code></result>")
        case "3":
            return Answer(json.dumps({"error": _WORDS[code], "error_code": code}))
    return Answer(f"ERROR = {code} ({_WORDS[code]})")
