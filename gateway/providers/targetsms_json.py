"""TargetSMS and its white labels, the JSON face: POST ``/sendsmsjson.php`` (smsgate/jsonGateDoc). The better one: no
limit for the length of a text, and each SMS has a number of ours (``client_id_sms``) by which the platform knows a
repetition and answers with the first one's id, so a lost answer can be asked for again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from gateway.model import (
    Attempt,
    Balance,
    Callback,
    Deferred,
    Outcome,
    Pushed,
    Receipt,
    Request,
    Response,
    Scope,
    Submitted,
    Uncertain,
)
from gateway.providers import Traits, client_id
from gateway.providers.targetsms import (
    DUPLICATE_WINDOW_S,
    MAX_VALUE,
    SEEN,
    ErrorText,
    Fate,
    PlatformSettings,
    find_error,
    known,
    refused,
)
from gateway.providers.targetsms_push import read_push, receipt
from gateway.providers.web_answers import quoted, unreadable
from gateway.strict import TimeZone
from gateway.verdicts import PROVIDER_UNKNOWN_ANSWER, Refused

REMEMBERED_S = 24 * 3600.0
"""So long a lost answer is asked for. The documentation names no end of the platform's own memory."""
ID_BITS = 53
MAX_ID = 40
"""``client_id_sms`` is "a number"; so large a one is exact in every JSON reader."""
HTTP_OK = 200
_ALREADY_SENT = 18
_FIELDS = ("login", "password")


class TargetSmsJsonSettings(PlatformSettings):
    """``driver: targetsms-json``."""

    driver: Literal["targetsms-json"]
    url: str = Field(pattern=r"^https?://", description="The address of sendsmsjson.php.")
    group: int = Field(1, ge=1, le=100, description="Destinations of one text in one request; each has its own answer.")
    timezone: TimeZone = Field("Europe/Moscow", description="Of the times that the platform understands.")
    hand_over_early: bool = Field(
        False, description="Give scheduled SMS to the platform at once, with their time, instead of keeping them here."
    )

    def schedules(self) -> bool:
        """As the setting says."""
        return self.hand_over_early


class TargetSmsJson:
    """Documents out, documents in; all numbers come as strings."""

    def __init__(self, settings: TargetSmsJsonSettings, callback_url: str = "") -> None:
        self.traits = Traits(group=settings.group, repeat_within_s=REMEMBERED_S, keyed=True)
        self._settings = settings
        self._zone = ZoneInfo(settings.timezone)
        secret = settings.secret
        self._secrets = (secret, json.dumps(secret)[1:-1])

    def submit(self, attempts: Sequence[Attempt]) -> Request:
        """One message, an ``abonent`` for each attempt."""
        job = attempts[0].job
        message: dict[str, Any] = {"type": "sms", "sender": job.originator, "text": job.text}
        if self._settings.translite:
            message["translite"] = "1"
        message["abonent"] = [self._abonent(number, attempt) for number, attempt in enumerate(attempts, 1)]
        return self._request(type="sms", message=[message])

    def _abonent(self, number: int, attempt: Attempt) -> dict[str, str]:
        job = attempt.job
        times = {"validity_period": self._time(job.expires_at)}
        if job.send_at is not None:
            times["time_send"] = self._time(job.send_at)
        key = str(client_id(job.key, ID_BITS))
        return {"phone": job.destination, "number_sms": str(number), "client_id_sms": key, **times}

    def _time(self, at: float) -> str:
        return datetime.fromtimestamp(at, self._zone).strftime("%Y-%m-%d %H:%M")

    def read_submit(self, attempts: Sequence[Attempt], response: Response) -> list[Outcome]:
        """Each attempt by its ``number_sms``; what is not answered is uncertain."""
        said = quoted(response.text, self._secrets, tuple(attempt.job.destination for attempt in attempts))
        document = _document(response)
        if document is None or not 200 <= response.status < 300:
            return [self._in_words(attempt, response, said) for attempt in attempts]
        if isinstance(error := document.get("error"), str):
            return [self._in_words(attempt, Response(HTTP_OK, error.encode()), said) for attempt in attempts]
        answers = {str(entry.get("number_sms")): entry for entry in _entries(document, "sms")}
        return [self._outcome(attempt, answers.get(str(number)), said) for number, attempt in enumerate(attempts, 1)]

    def _outcome(self, attempt: Attempt, entry: Mapping[str, Any] | None, said: str) -> Outcome:
        if entry is None:
            return Uncertain("the answer does not name this SMS")
        action, sms_id = str(entry.get("action", "")).strip(), str(entry.get("id_sms") or "").strip()
        if action.casefold() == "send" and sms_id.isascii() and sms_id.isdigit() and len(sms_id) <= MAX_ID:
            return Submitted(sms_id)
        if action.casefold() in {"send", ""}:
            return Uncertain(f"no id for this SMS: {said}")
        return self._in_words(attempt, Response(HTTP_OK, action.encode()), said)

    def _in_words(self, attempt: Attempt, answer: Response, said: str) -> Outcome:
        row = find_error(answer.text) if answer.status < 500 else None
        if row is None:
            return unreadable(answer, said)
        if row.fate is Fate.DUPLICATE:
            return _seen(attempt, row, said)
        return known(attempt, row, said)

    def status(self, provider_id: str, destination: str) -> Request:
        """``type: state``."""
        return self._request(type="state", get_state=[provider_id])

    def read_status(self, provider_id: str, response: Response) -> Receipt:
        """Raises ``Refused`` (MSG)."""
        document = self._answer(response)
        entry = next((e for e in _entries(document, "state") if str(e.get("id_sms")) == provider_id), None)
        if entry is None:
            raise refused("", self._quote(response))
        try:
            said = receipt(provider_id, entry.get("state"), entry.get("time"))
        except Refused:
            raise refused(str(entry.get("state")), self._quote(response)) from None
        parts, price = str(entry.get("num_parts") or ""), str(entry.get("price") or "")
        return Receipt(
            said.provider_id,
            said.state,
            said.raw,
            said.changed_at,
            segments=int(parts) if parts.isascii() and parts.isdigit() and len(parts) < 6 else None,
            price=price[:MAX_VALUE] or None,
        )

    def balance(self) -> Request:
        """``type: balance``."""
        return self._request(type="balance")

    def read_balance(self, response: Response) -> Balance:
        """The packages are alternatives, no sum. Raises ``Refused`` (MSG)."""
        document = self._answer(response)
        money = document.get("money")
        if not isinstance(money, dict) or "value" not in money:
            raise refused("", self._quote(response))
        packages = {str(e.get("area", "")): str(e.get("number", "")) for e in _entries(document, "sms")}
        amount = str(money["value"])
        if re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", amount) is None:
            raise refused("", self._quote(response))
        return Balance(amount, str(money.get("currency", ""))[:10], packages)

    def read_callback(self, callback: Callback) -> Pushed:
        """Raises ``Refused`` (FORMAT)."""
        return read_push(callback)

    def _request(self, **document: Any) -> Request:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if self._settings.token is not None:
            headers["Authorization"] = f"Bearer {self._settings.secret}"
        else:
            security = {"login": self._settings.user, "password": self._settings.secret}
            document = {"security": security, **document}
        return Request("POST", self._settings.url, headers, json.dumps(document).encode(), self._secrets)

    def _answer(self, response: Response) -> dict[str, Any]:
        document = _document(response)
        if document is None:
            raise Refused(PROVIDER_UNKNOWN_ANSWER, code=0, text=self._quote(response))
        if (error := document.get("error")) is not None:
            raise refused(str(error), self._quote(response))
        return document

    def _quote(self, response: Response) -> str:
        return quoted(response.text, self._secrets)


def _seen(attempt: Attempt, row: ErrorText, said: str) -> Outcome:
    """The platform has this SMS, by its number, or has had this document within the last minute. When that minute is
    over, the next repetition is answered with the id."""
    if row.number == _ALREADY_SENT:
        return Submitted(None, remark=SEEN)
    if attempt.repeats:
        return Uncertain(f"asked again too soon: {said}")
    return Deferred(Scope.JOB, said, after_s=DUPLICATE_WINDOW_S)


def _document(response: Response) -> dict[str, Any] | None:
    try:
        document = json.loads(response.text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _entries(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    listed = document.get(key)
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
