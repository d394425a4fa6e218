"""The platform's JSON face: POST ``/sendsmsjson.php``, all types in one address."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.sandbox.platform import Answer, Platform
from gateway.sandbox.targetsms import BAD_LOGIN, DUPLICATE, moscow, wrong

BAD_DOCUMENT = "Неправильный формат JSON документа"


def post(platform: Platform, body: bytes, token: str) -> Answer:
    """``token`` stands in the Authorization header; it is the sandbox's password, too."""
    try:
        document = json.loads(body)
        kind = document["type"]
    except (ValueError, KeyError, TypeError):
        return _answer(error=BAD_DOCUMENT)
    security = document.get("security", {})
    by_login = (security.get("login"), security.get("password")) == (platform.user, platform.password)
    if platform.user and not by_login and token != platform.password:
        return _answer(error=BAD_LOGIN)
    match kind:
        case "sms":
            return _send(platform, document)
        case "state":
            return _answer(state=[_state(platform, sms_id) for sms_id in document.get("get_state", [])])
        case "balance":
            value, currency = platform.balance.split()
            packages = [{"area": "МТС", "number": "323"}, {"area": "Мегафон", "number": "178"}]
            return _answer(money={"currency": currency, "value": value}, sms=packages)
    return _answer(error=BAD_DOCUMENT)


def _answer(**document: Any) -> Answer:
    return Answer(json.dumps(document, ensure_ascii=False))


def _send(platform: Platform, document: Mapping[str, Any]) -> Answer:
    message = document["message"][0]
    numbers = [abonent["phone"] for abonent in message["abonent"]]

    def usual() -> str:
        keys = {abonent.get("client_id_sms") for abonent in message["abonent"]}
        if not keys & platform.keys.keys() and platform.repeated(document):
            return _answer(error=DUPLICATE).body
        return _answer(sms=[_taken(platform, message, abonent) for abonent in message["abonent"]]).body

    return platform.sending(message.get("sender", ""), numbers, message.get("text", ""), usual)


def _taken(platform: Platform, message: Mapping[str, Any], abonent: Mapping[str, str]) -> dict[str, str]:
    number, key = abonent.get("number_sms", ""), abonent.get("client_id_sms", "")
    given = {"sadr": message.get("sender", ""), "text": message.get("text", "")}
    if error := wrong(given, [abonent["phone"]]):
        return {"number_sms": number, "action": error}
    sms_id = platform.keys.get(key) or platform.deliver(given["sadr"], abonent["phone"], given["text"]).id
    if key:
        platform.keys[key] = sms_id
    return {"number_sms": number, "id_sms": sms_id, "parts": "1", "action": "send"}


def _state(platform: Platform, sms_id: str) -> dict[str, str]:
    sms = platform.find(sms_id)
    if sms is None:
        return {"id_sms": sms_id, "state": "Error_Invalid_SMS_ID"}
    changed = "" if sms.changed_at is None else moscow(sms.changed_at)
    return {"id_sms": sms.id, "time": changed, "state": sms.state, "num_parts": str(sms.segments), "price": "1.15"}
