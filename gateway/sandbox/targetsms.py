"""The wire format of seed 002: GET ``/sendsms.php`` and ``/get/``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone

import phpserialize

from gateway.sandbox.platform import Answer, Platform

DUPLICATE = "error: Попытка отправки более одного одинакового запроса в течение минуты"
BAD_LOGIN = "Неправильный логин или пароль"


def get(platform: Platform, query: Iterable[tuple[str, str]], provider: str = "") -> Answer:
    """A GET request, its query already percent-decoded. ``provider``: the account that makes it, if that is known."""
    given = dict(query)
    if platform.user and (given.get("user"), given.get("pwd")) != (platform.user, platform.password):
        return Answer(BAD_LOGIN)
    if "balance" in given:
        return Answer(f"{platform.balance}\nРоссия:361,МТС:1,Мегафон:1,BeeLine:1,Остальные:1")
    if "smsid" in given:
        return _status(platform, given["smsid"], detailed=given.get("detail") == "1")
    numbers = [part.strip() for part in given.get("dadr", "").split(",") if part.strip()]
    originator, text = given.get("sadr", ""), given.get("text", "")
    return platform.sending(originator, numbers, text, lambda: _submit(platform, given, numbers, provider))


def _submit(platform: Platform, given: Mapping[str, str], numbers: list[str], provider: str) -> str:
    if platform.repeated(sorted(given.items())):
        return DUPLICATE
    if error := wrong(given, numbers):
        return error
    return ",".join(platform.deliver(given["sadr"], number, given["text"], provider).id for number in numbers)


def _status(platform: Platform, sms_id: str, *, detailed: bool) -> Answer:
    sms = platform.find(sms_id)
    if sms is None:
        return Answer("Error_Invalid_SMS_ID")
    if not detailed:
        return Answer(sms.state)
    changed = "" if sms.changed_at is None else moscow(sms.changed_at)
    fields = {
        "id_sms": sms.id,
        "time_change_state": changed,
        "state_sms": sms.state,
        "num_parts": str(sms.segments),
        "price": "1.15",
    }
    return Answer(phpserialize.dumps(fields).decode("utf-8"))


def wrong(given: Mapping[str, str], numbers: list[str]) -> str:
    """The sentence with which the platform refuses an SMS; empty when it takes it."""
    originator = given.get("sadr", "")
    if not originator:
        return "Нет отправителя."
    if len(originator) > (15 if originator.isdigit() else 11):
        return "Отправитель не должен превышать 15 символов для цифровых номеров и 11 символов для буквенно-числовых."
    if not numbers:
        return "Укажите номер телефона."
    if any(len(number) > 15 or not re.fullmatch(r"\d+", number) for number in numbers):
        return "Номер телефона должен быть меньше 15 символов."
    if not given.get("text"):
        return "Нет текста сообщения."
    return ""


def moscow(at: float) -> str:
    """The platform's time."""
    return datetime.fromtimestamp(at, UTC).astimezone(timezone(timedelta(hours=3))).strftime("%Y-%m-%d %H:%M:%S")
