"""SMSC.ru and its clones (smsc.ua, smsc.kz, smscentre.com, …) on HTTP: ``/sys/send.php``, ``status.php``,
``balance.php``. Facts: smsc.ru/api/http.

Answers come in four formats (``fmt``); whichever is asked for, all four are understood, for errors of the web face come
in the plainest. Error 9 has several causes (an identical SMS within a minute, too many requests at one time), so it
proves nothing about a lost answer: that stays uncertain.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, ClassVar, Literal, Self
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import Field, SecretStr, model_validator

from gateway.lifecycle import State
from gateway.model import (
    Attempt,
    Balance,
    Callback,
    Channel,
    Deferred,
    Incoming,
    Job,
    Outcome,
    Pushed,
    Receipt,
    Rejected,
    Request,
    Response,
    Scope,
    Submitted,
    Uncertain,
)
from gateway.providers import ProviderSettings, Traits
from gateway.providers.web_answers import quoted, unreadable
from gateway.sms.channels import COMMENT, neutral, telegram_code
from gateway.verdicts import (
    CREDENTIALS_WRONG,
    FIELDS_MISSING,
    PROVIDER_CLOSED,
    PROVIDER_NUMBER,
    PROVIDER_REFUSED,
    PROVIDER_UNKNOWN_ANSWER,
    Reason,
    Refusal,
    Refused,
)

DUPLICATE_WINDOW_S = 70.0
"""A minute, says the documentation; ten seconds more, for its clock starts when the request arrives."""


class SmscSettings(ProviderSettings):
    """``driver: smsc-http``. Give login and password, or an API key."""

    driver: Literal["smsc-http"]
    url: str = Field("https://smsc.ru/sys/", pattern=r"^https?://[^?#]+$", description="The folder of send.php.")
    login: str | None = Field(None, min_length=1, description="Login.")
    password: SecretStr | None = Field(None, description="Its password.")
    password_file: str | None = Field(None, description="A file whose first line is the password.")
    key: SecretStr | None = Field(None, description="API key, instead of login and password.")
    key_file: str | None = Field(None, description="A file whose first line is the key.")
    fmt: Literal[0, 1, 2, 3] = Field(3, description="Format of the answers: text, numbers, XML, JSON.")
    callback_secret: SecretStr | None = Field(
        None, description="The secret that SMSC.ru signs its callbacks with, as set in the cabinet."
    )
    callback_secret_file: str | None = Field(None, description="A file whose first line is that secret.")
    hand_over_early: bool = Field(
        False, description="Give scheduled SMS to SMSC.ru at once, with their time, instead of keeping them here."
    )

    channels: ClassVar[frozenset[Channel]] = frozenset(Channel)

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        by_login = self.login is not None and self.password is not None
        if (self.key is None) is not by_login or (self.key is not None and (self.login or self.password)):
            raise ValueError("give either login and password, or key")
        return self

    @property
    def credential(self) -> dict[str, str]:
        """As the API names it."""
        if self.key is not None:
            return {"apikey": self.key.get_secret_value()}
        assert self.login is not None
        assert self.password is not None
        return {"login": self.login, "psw": self.password.get_secret_value()}

    def schedules(self) -> bool:
        """As the setting says."""
        return self.hand_over_early


# ── what it says ─────────────────────────────────────────────────────────────────────────────


class Fate(Enum):
    """What an error means for the job."""

    REJECT = auto()
    REROUTE = auto()
    STOP = auto()
    LATER = auto()


@dataclass(frozen=True, slots=True)
class Error:
    """One row of the documentation's table."""

    fate: Fate
    text: str
    reason: Reason = PROVIDER_REFUSED
    alert: bool = False


ERRORS: Mapping[int, Error] = {
    1: Error(Fate.REJECT, "wrong parameters", alert=True),
    2: Error(Fate.STOP, "wrong login or password, or this address may not send"),
    3: Error(Fate.STOP, "no money"),
    4: Error(Fate.STOP, "this address is blocked for a while: too many errors"),
    5: Error(Fate.REJECT, "wrong date"),
    6: Error(Fate.REJECT, "text or sender name forbidden"),
    7: Error(Fate.REJECT, "wrong number", PROVIDER_NUMBER),
    8: Error(Fate.REROUTE, "no way to this number", PROVIDER_CLOSED),
    9: Error(Fate.LATER, "more than one identical request within a minute, or too many at one time"),
}
STATES: Mapping[int, State] = {
    -3: State.UNCERTAIN,
    -2: State.UNDELIVERED,
    -1: State.SUBMITTED,
    0: State.SUBMITTED,
    1: State.DELIVERED,
    2: State.DELIVERED,
    3: State.EXPIRED,
    4: State.DELIVERED,
    20: State.UNDELIVERED,
    22: State.UNDELIVERED,
    23: State.UNDELIVERED,
    24: State.UNDELIVERED,
    25: State.UNDELIVERED,
}
"""-3 not found, -2 stopped, -1 waits, 0 with the operator, 1 delivered, 2 read, 3 expired, 4 link clicked, 20
impossible, 22 wrong number, 23 forbidden, 24 no money, 25 number out of reach."""

MAX_VALUE = 100
"""Characters of a price or a detail."""
_TEXT_ERROR = re.compile(r"ERROR\s*=\s*(\d+)")
_TEXT_OK = re.compile(r"OK\s*-\s*\d+\s*SMS,\s*ID\s*-\s*(\d+)(?:.*?COST\s*-\s*([\d.]+))?", re.IGNORECASE | re.DOTALL)
_NUMBERS = re.compile(r"(\d+),(-?\d+)(?:,([\d.]+))?(?:,(-?[\d.]+))?")
_XML = re.compile(r"<(id|cnt|cost|balance|error_code|status|error)>([^<]*)</\1>")
_AMOUNT = r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?"
_ID = re.compile(r"[1-9][0-9]{0,19}")


def fields(text: str) -> Mapping[str, str]:
    """An answer to ``send.php`` in any of the formats; ``error_code`` in it is a refusal. Empty: not understood."""
    text = text.strip()
    if text.startswith("{"):
        return _json(text)
    if text.startswith("<"):
        return dict(_XML.findall(text))
    if match := _TEXT_ERROR.match(text):
        return {"error_code": match[1]}
    if match := _TEXT_OK.match(text):
        return {"id": match[1], "cost": match[2] or ""}
    if match := _NUMBERS.fullmatch(text):
        if match[2].startswith("-"):
            return {"error_code": match[2][1:]}
        return {"id": match[1], "cost": match[3] or ""}
    return {}


def _json(text: str) -> Mapping[str, str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {key: str(value) for key, value in document.items() if not isinstance(value, dict | list)}


# ── the driver ───────────────────────────────────────────────────────────────────────────────

_WAYS: Mapping[Channel, dict[str, str]] = {
    Channel.SMS: {},
    Channel.FLASH: {"flash": "1"},
    Channel.EMAIL: {"mail": "1"},
    Channel.CALL: {"call": "1"},
    Channel.VIBER: {"viber": "1"},
    Channel.SOC: {"soc": "1"},
    Channel.TELEGRAM: {"tg": "1"},
    Channel.BOT: {},
    Channel.HLR: {"hlr": "1"},
    Channel.PING: {"ping": "1"},
}
_DETAILS = {Channel.EMAIL: "subj", Channel.CALL: "voice", Channel.BOT: "bot"}


class Smsc:
    """POST, so that no secret stands in a web server's log; texts in UTF-8."""

    def __init__(self, settings: SmscSettings, callback_url: str = "") -> None:
        self.traits = Traits(duplicate_window_s=DUPLICATE_WINDOW_S)
        self._url = settings.url if settings.url.endswith("/") else f"{settings.url}/"
        self._credential = settings.credential
        self._secret = next(reversed(self._credential.values()))
        self._secrets = (self._secret, quote(self._secret, safe=""))
        self._fmt = str(settings.fmt)
        signing = settings.callback_secret
        self._signing = signing.get_secret_value() if signing is not None else None

    def submit(self, attempts: Sequence[Attempt]) -> Request:
        """One destination. Raises ``Refused`` (FORMAT) for a Telegram code that is none."""
        job = attempts[0].job
        parameters = {"phones": job.destination, "sender": job.originator, "cost": "3", **_WAYS[job.channel]}
        if job.channel not in (Channel.HLR, Channel.PING):
            parameters["mes"] = _text(job)
        if name := _DETAILS.get(job.channel):
            detail = " ".join(job.detail.split())
            parameters[name] = f"@{detail.removeprefix('@')}" if job.channel is Channel.BOT else detail
        if job.send_at is not None:
            parameters["time"] = f"0{int(job.send_at)}"
        return self._request("send.php", charset="utf-8", **parameters)

    def read_submit(self, attempts: Sequence[Attempt], response: Response) -> list[Outcome]:
        """An id, or a number of ``ERRORS``."""
        said = quoted(response.text, self._secrets, (attempts[0].job.destination,))
        answer = fields(response.text)
        if not 200 <= response.status < 300 or not answer:
            return [unreadable(response, said)]
        if "error_code" in answer:
            return [_of_error(answer["error_code"], said)]
        if _ID.fullmatch(answer.get("id", "")):
            return [Submitted(answer["id"], cost=answer.get("cost", "")[:MAX_VALUE])]
        if "error" in answer:
            return [Rejected(Refusal(PROVIDER_UNKNOWN_ANSWER, {"code": 0, "text": said}), alert=True)]
        return [Uncertain(f"no id: {said}")]

    def status(self, provider_id: str, destination: str) -> Request:
        """It wants to hear the number, too."""
        return self._request("status.php", id=provider_id, phone=destination, charset="utf-8", all="1")

    def read_status(self, provider_id: str, response: Response) -> Receipt:
        """Raises ``Refused`` (MSG)."""
        text = response.text.strip()
        answer = dict(fields(text))
        if not answer.get("status") and (match := re.fullmatch(r"(-?\d+),([\d.]*)(?:,(\d+))?.*", text, re.DOTALL)):
            answer = {"status": match[1], "last_timestamp": match[2], "err": match[3] or ""}
        if not answer.get("status") and (match := re.match(r"Status\s*=\s*(-?\d+)", text, re.IGNORECASE)):
            answer = {"status": match[1]}
        if "error_code" in answer:
            raise self._refused(answer["error_code"], text)
        return self._receipt(provider_id, answer, text)

    def balance(self) -> Request:
        """What is left."""
        return self._request("balance.php", cur="1")

    def read_balance(self, response: Response) -> Balance:
        """Raises ``Refused`` (MSG)."""
        text = response.text.strip()
        answer = fields(text)
        if "error_code" in answer:
            raise self._refused(answer["error_code"], text)
        match = re.fullmatch(rf"({_AMOUNT})(?:[,\s]+([A-Za-z]{{3}}))?", text)
        amount, currency = (match[1], match[2]) if match else (answer.get("balance", ""), answer.get("currency"))
        if not re.fullmatch(_AMOUNT, amount):
            raise self._refused("", text)
        return Balance(amount, (currency or "RUR")[:10])

    def read_callback(self, callback: Callback) -> Pushed:
        """A form: ``id, phone, status, time, err`` of a receipt, ``id, phone, mes, to`` of an incoming SMS, signed by
        MD5 or SHA-1 where a secret is set. The names are from memory of smsc.ru/api/http/miscellaneous/callback and
        have not been checked there. Raises ``Refused`` (AUTH, FORMAT)."""
        body = callback.body.decode("utf-8", "replace")
        given = {**dict(callback.query), **dict(parse_qsl(body, keep_blank_values=True))}
        if "mes" in given and given.get("to"):
            self._check(given, "phone", "mes", "to")
            sms = Incoming(given.get("id", "")[:64], given.get("phone", "").lstrip("+"), given["to"], given["mes"])
            return Pushed(incoming=(sms,))
        if not given.get("id") or not given.get("status"):
            raise Refused(FIELDS_MISSING, missing="id, status")
        self._check(given, "id", "phone", "status")
        return Pushed((self._receipt(given["id"][:64], given, body),))

    def _check(self, given: Mapping[str, str], *names: str) -> None:
        if self._signing is None:
            return
        signed = ":".join([*(given.get(name, "") for name in names), self._signing]).encode()
        for method in ("sha1", "md5"):
            wanted = hashlib.new(method, signed, usedforsecurity=False).hexdigest()
            if hmac.compare_digest(wanted.encode(), given.get(method, "").lower().encode()):
                return
        raise Refused(CREDENTIALS_WRONG)

    def _receipt(self, provider_id: str, answer: Mapping[str, str], said: str) -> Receipt:
        code = answer.get("status", "")
        if not re.fullmatch(r"-?\d{1,3}", code) or int(code) not in STATES:
            raise self._refused("", said)
        details = {key: answer[key][:MAX_VALUE] for key in _TOLD if answer.get(key)}
        if details.get("err") in {"0", "000"}:
            del details["err"]
        at = answer.get("last_timestamp") or answer.get("ts") or ""
        when = answer.get("last_date") or answer.get("time") or (_iso(at) if at.isdigit() else "")
        cost = answer.get("cost", "")[:MAX_VALUE] or None
        return Receipt(provider_id, STATES[int(code)], code, when[:40], price=cost, details=details)

    def _refused(self, code: str, said: str) -> Refused:
        error = _error(code)
        if error is None:
            return Refused(PROVIDER_UNKNOWN_ANSWER, code=0, text=quoted(said, self._secrets))
        return Refused(PROVIDER_REFUSED, code=int(code), text=error.text)

    def _request(self, script: str, **parameters: str) -> Request:
        given: dict[str, Any] = {**self._credential, "fmt": self._fmt, **parameters}
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        body = urlencode(given, quote_via=quote, safe="").encode()
        return Request("POST", f"{self._url}{script}", headers, body, self._secrets)


_TOLD = ("err", "imsi", "msc", "mcc", "mnc", "cn", "net", "rcn", "rnet", "country", "operator", "region")


def _text(job: Job) -> str:
    if job.channel is Channel.TELEGRAM:
        return telegram_code(job.text)
    text, comment = neutral(job.text), " ".join(job.comment.split())
    return f"{text}{COMMENT}{comment}" if comment else text


def _iso(stamp: str) -> str:
    try:
        return datetime.fromtimestamp(int(stamp), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def _error(code: str) -> Error | None:
    return ERRORS.get(int(code)) if code.isascii() and code.isdigit() and len(code) < 6 else None


def _of_error(code: str, said: str) -> Outcome:
    error = _error(code)
    if error is None:
        return Rejected(Refusal(PROVIDER_UNKNOWN_ANSWER, {"code": 0, "text": said}), alert=True)
    match error.fate:
        case Fate.STOP:
            return Deferred(Scope.PROVIDER, error.text)
        case Fate.LATER:
            return Deferred(Scope.JOB, error.text, after_s=DUPLICATE_WINDOW_S)
    refusal = Refusal(error.reason, {"code": int(code), "text": error.text})
    return Rejected(refusal, alert=error.alert, other_route=error.fate is Fate.REROUTE)
