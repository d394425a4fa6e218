"""AlphaSMS (alphasms.ua), both faces: ``/api/xml.php`` and ``/api/http.php``. Facts: its public documentation.

The XML face takes a number of ours for each SMS and knows a repetition by it (208), so a lost answer can be asked for
again at any time. The HTTP face has no such thing. One number means different things at the two levels of an XML
answer (201: document wrong, id wrong; 202: login wrong, sender wrong), hence two tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, auto
from typing import ClassVar, Literal
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as Tree
from xml.sax.saxutils import escape, quoteattr

from defusedxml import ElementTree as SafeTree
from defusedxml.common import DefusedXmlException
from pydantic import Field, SecretStr, model_validator

from gateway.lifecycle import State
from gateway.model import (
    Attempt,
    Balance,
    Channel,
    Deferred,
    Job,
    Outcome,
    Receipt,
    Rejected,
    Request,
    Response,
    Scope,
    Submitted,
    Uncertain,
)
from gateway.providers import PLAIN, Driver, ProviderSettings, Traits, client_id
from gateway.providers.web_answers import quoted, unreadable
from gateway.verdicts import (
    PROVIDER_CLOSED,
    PROVIDER_NUMBER,
    PROVIDER_ORIGINATOR,
    PROVIDER_REFUSED,
    PROVIDER_UNKNOWN_ANSWER,
    Reason,
    Refusal,
    Refused,
)

REMEMBERED_S = 24 * 3600.0
"""So long a lost answer is asked for. The documentation names no end of AlphaSMS's own memory."""
THROTTLED_S = 5.0
LONGEST_LIFE_S = 5 * 24 * 3600.0
"""``date_end`` lies a minute to five days after the sending (docs/api/xml/scheduled_sms); without it: a day."""
SHORTEST_LIFE_S = 120.0
"""That minute, and another for the way there and for clocks that differ."""
_ID = re.compile("[1-9][0-9]{0,19}")
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 has no way to write."""


class AlphaSmsSettings(ProviderSettings):
    """``driver: alphasms``. Give an API key, or login and password."""

    driver: Literal["alphasms"]
    face: Literal["xml", "http"] = Field("xml", description="`xml` knows a repeated request; `http` does not.")
    url: str = Field("https://alphasms.ua", pattern=r"^https?://[^?#]+$", description="The site, without `/api/…`.")
    key: SecretStr | None = Field(None, description="API key.")
    key_file: str | None = Field(None, description="A file whose first line is the key.")
    login: str | None = Field(None, description="Login: the phone number of the account.")
    password: SecretStr | None = Field(None, description="Its password.")
    password_file: str | None = Field(None, description="A file whose first line is the password.")
    group: int = Field(1, ge=1, le=100, description="SMS in one request of the XML face; each has its own answer.")

    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.SMS, Channel.FLASH})

    @model_validator(mode="after")
    def _one_credential(self) -> AlphaSmsSettings:
        given = tuple(part is not None for part in (self.key, self.login, self.password))
        if given not in {(True, False, False), (False, True, True)}:
            raise ValueError("give either key, or login and password")
        return self

    @property
    def credential(self) -> dict[str, str]:
        """As the API names it."""
        if self.key is not None:
            return {"key": self.key.get_secret_value()}
        assert self.login is not None
        assert self.password is not None
        return {"login": self.login, "password": self.password.get_secret_value()}

    @property
    def secret(self) -> str:
        """What must not be shown."""
        return self.credential.get("key") or self.credential["password"]


def alphasms(settings: AlphaSmsSettings, _callback_url: str = "") -> Driver:
    """The driver of the face that the settings name."""
    return AlphaSmsXml(settings) if settings.face == "xml" else AlphaSmsHttp(settings)


# ── what the codes mean ──────────────────────────────────────────────────────────────────────


class Fate(Enum):
    """What an error code means for the job."""

    REJECT = auto()
    UNKNOWN = auto()
    """AlphaSMS itself does not say what."""
    LATER = auto()
    STOP = auto()
    """The account is stopped until somebody acts."""
    DUPLICATE = auto()


REQUEST_ERRORS: Mapping[int, Fate] = {
    200: Fate.UNKNOWN,
    201: Fate.REJECT,
    202: Fate.STOP,
    205: Fate.STOP,
    209: Fate.STOP,
    210: Fate.STOP,
    212: Fate.LATER,
}
"""Of a whole document: nothing in it was taken (docs/api/xml/references/request_error)."""
MESSAGE_ERRORS: Mapping[int, tuple[Fate, Reason, str]] = {
    200: (Fate.UNKNOWN, PROVIDER_REFUSED, "ERR_UNKNOWN"),
    201: (Fate.REJECT, PROVIDER_REFUSED, "ERR_ID"),
    202: (Fate.REJECT, PROVIDER_ORIGINATOR, "ERR_SENDER"),
    203: (Fate.REJECT, PROVIDER_NUMBER, "ERR_RECIPIENT"),
    204: (Fate.REJECT, PROVIDER_REFUSED, "ERR_LENGTH"),
    206: (Fate.STOP, PROVIDER_REFUSED, "ERR_BILLING"),
    207: (Fate.STOP, PROVIDER_REFUSED, "ERR_OVERLIMIT"),
    208: (Fate.DUPLICATE, PROVIDER_REFUSED, "ERR_DUPLICATE"),
    211: (Fate.REJECT, PROVIDER_REFUSED, "ERR_DELETE"),
}
"""Of one SMS; ``MSG:<code>`` in a reply is one of these (docs/api/xml/references/message_status_codes)."""
_REQUEST_NAMES = {
    200: "ERR_UNKNOWN",
    201: "ERR_FORMAT",
    202: "ERR_AUTHORIZATION",
    205: "ERR_USER_DISABLE",
    209: "ERR_API_DISABLE",
    210: "ERR_IP_DENIED",
    212: "ERR_THROTTLE",
}

STATES: Mapping[int, State] = {
    1: State.SUBMITTED,
    100: State.SUBMITTED,
    101: State.SUBMITTED,
    102: State.DELIVERED,
    103: State.EXPIRED,
    104: State.UNDELIVERED,
    105: State.UNDELIVERED,
    106: State.SUBMITTED,
    107: State.UNCERTAIN,
    108: State.UNDELIVERED,
    109: State.UNDELIVERED,
    110: State.SUBMITTED,
    111: State.UNDELIVERED,
    112: State.UNDELIVERED,
    113: State.UNDELIVERED,
}
"""XML face: 102 delivered, 103 expired, 104 deleted, 105 undeliverable, 107 unknown, 108 rejected, 109 discarded, 111
operator not supported, 112 and 113 sender not approved; the others are on the way."""
HTTP_STATES: Mapping[int, State] = {
    0: State.SUBMITTED,
    1: State.SUBMITTED,
    2: State.SUBMITTED,
    3: State.DELIVERED,
    5: State.SUBMITTED,
    10: State.UNDELIVERED,
    50: State.SUBMITTED,
    95: State.UNDELIVERED,
    96: State.UNDELIVERED,
    99: State.UNDELIVERED,
    116: State.DELIVERED,
}
"""HTTP face: 3 delivered, 116 read, 10 deleted, 95 operator not supported, 96 network failure, 99 wrong number; 5 out
of touch and 50 partially delivered are not final."""


def _refused(code: int, name: str | None) -> Refused:
    """``name`` is of the level at which the code stands."""
    reason = PROVIDER_REFUSED if name else PROVIDER_UNKNOWN_ANSWER
    return Refused(reason, code=code, text=name or "unknown code")


# ── the XML face ─────────────────────────────────────────────────────────────────────────────


class AlphaSmsXml:
    """POST ``/api/xml.php``; HTTP 200 whatever is answered."""

    def __init__(self, settings: AlphaSmsSettings) -> None:
        self.traits = Traits(group=settings.group, repeat_within_s=REMEMBERED_S, keyed=True)
        self._url = f"{settings.url.rstrip('/')}/api/xml.php"
        self._secret = settings.secret
        self._attributes = "".join(f" {name}={quoteattr(value)}" for name, value in settings.credential.items())
        self._secrets = (self._secret, escape(self._secret), quoteattr(self._secret)[1:-1])

    def submit(self, attempts: Sequence[Attempt]) -> Request:
        """One ``msg`` for each attempt, known by our own number."""
        return self._request("message", "".join(map(_msg, attempts)))

    def read_submit(self, attempts: Sequence[Attempt], response: Response) -> list[Outcome]:
        """Each by its own code; what is not answered is uncertain."""
        package = _package(response)
        if package is None or not 200 <= response.status < 300:
            return [unreadable(response, self._quote(response, attempts))] * len(attempts)
        if (error := _code(package.find("error"))) is not None:
            return [_of_request(error)] * len(attempts)
        answers = {msg.get("id", ""): msg for msg in package.iterfind("message/msg")}
        return [self._outcome(attempt, answers.get(str(_id(attempt)))) for attempt in attempts]

    def _outcome(self, attempt: Attempt, msg: Tree.Element | None) -> Outcome:
        code = _code(msg)
        if msg is None or code is None:
            return Uncertain("the answer does not name this SMS")
        sms_id = msg.get("sms_id", "")
        if code == 1 and _ID.fullmatch(sms_id):
            return Submitted(sms_id)
        if code in STATES:
            return Uncertain(f"code {code} without an id")
        return _of_message(attempt, code)

    def status(self, provider_id: str, destination: str) -> Request:
        """By AlphaSMS's id, or by ours where its answer was lost."""
        name = "id" if provider_id.startswith(_OURS) else "sms_id"
        return self._request("status", f"<msg {name}={quoteattr(provider_id.removeprefix(_OURS))}></msg>")

    def read_status(self, provider_id: str, response: Response) -> Receipt:
        """Raises ``Refused`` (MSG)."""
        msg = self._package(response).find("status/msg")
        code = _code(msg)
        if msg is None or code is None or code not in STATES:
            _, _, name = MESSAGE_ERRORS.get(code or 0, (None, None, None))
            raise _refused(code or 0, name)
        return Receipt(
            provider_id,
            STATES[code],
            raw=str(code),
            changed_at=msg.get("date_completed", ""),
            segments=_number(msg.get("sms_count", "")),
        )

    def balance(self) -> Request:
        """What is left."""
        return self._request("balance", "")

    def read_balance(self, response: Response) -> Balance:
        """Raises ``Refused`` (MSG)."""
        balance = self._package(response).find("balance")
        if balance is None:
            raise _refused(0, None)
        return Balance(_amount(balance.findtext("amount", "")), balance.findtext("currency", "").strip()[:10])

    def price(self, destination: str) -> Request:
        """Of one SMS to a number."""
        return self._request("prices", f"<phone>+{escape(destination)}</phone>")

    def read_price(self, response: Response) -> Balance:
        """Raises ``Refused``: MSG, and FORBIDDEN for a number that is not served."""
        phone = self._package(response).find("prices/phone")
        if phone is None:
            raise _refused(0, None)
        return _price(phone.get("price", ""), phone.get("currency", ""))

    def _request(self, what: str, inside: str) -> Request:
        body = f'<?xml version="1.0" encoding="utf-8"?><package{self._attributes}><{what}>{inside}</{what}></package>'
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        return Request("POST", self._url, headers, body.encode(), self._secrets)

    def _package(self, response: Response) -> Tree.Element:
        package = _package(response)
        if package is None:
            raise Refused(PROVIDER_UNKNOWN_ANSWER, code=0, text=self._quote(response))
        if (error := _code(package.find("error"))) is not None:
            raise _refused(error, _REQUEST_NAMES.get(error))
        return package

    def _quote(self, response: Response, attempts: Sequence[Attempt] = ()) -> str:
        return quoted(response.text, self._secrets, tuple(attempt.job.destination for attempt in attempts))


_OURS = "id:"
_ID_BITS = 53


def _id(attempt: Attempt) -> int:
    return client_id(attempt.job.key, _ID_BITS)


def _msg(attempt: Attempt) -> str:
    job = attempt.job
    kind = 1 if job.channel is Channel.FLASH else 0
    return (
        f'<msg id="{_id(attempt)}" recipient="+{escape(job.destination)}" sender={quoteattr(_clean(job.originator))}'
        f'{_end(job)} type="{kind}">{escape(_clean(job.text))}</msg>'
    )


def _end(job: Job) -> str:
    """Nothing where it might lie too far ahead: then AlphaSMS's own day."""
    end = job.expires_at + SHORTEST_LIFE_S
    if end - job.created_at > LONGEST_LIFE_S:
        return ""
    return f' date_end="{datetime.fromtimestamp(end, UTC):%Y-%m-%dT%H:%M:%S+00:00}"'


def _clean(text: str) -> str:
    return _NO_XML.sub(" ", text)


def _package(response: Response) -> Tree.Element | None:
    try:
        root = SafeTree.fromstring(response.body)
    except (Tree.ParseError, DefusedXmlException, ValueError, LookupError, RecursionError):
        return None
    return root if root.tag == "package" else None


def _code(element: Tree.Element | None) -> int | None:
    return _number((element.text or "").strip()) if element is not None else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _amount(text: str) -> str:
    """Of a number with float noise, at most four decimals. Raises ``Refused``."""
    try:
        amount = Decimal(text)
        if not amount.is_finite() or abs(amount) >= 10**12:
            raise _refused(0, None)
    except ArithmeticError:  # no number, or one beyond any exponent
        raise _refused(0, None) from None
    shown = f"{amount:.4f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def _price(amount: str, currency: str) -> Balance:
    """0 is no gift: AlphaSMS does not send to this number (docs/api/xml/prices)."""
    price = _amount(amount)
    if price == "0":
        raise Refused(PROVIDER_CLOSED, code=0, text="the provider does not send to this number")
    return Balance(price, currency[:10])


def _of_request(code: int) -> Outcome:
    said = _REQUEST_NAMES.get(code, f"unknown code {code}")
    match REQUEST_ERRORS.get(code, Fate.UNKNOWN):
        case Fate.STOP:
            return Deferred(Scope.PROVIDER, said)
        case Fate.LATER:
            return Deferred(Scope.ROUTE, said, after_s=THROTTLED_S)
    return Rejected(Refusal(PROVIDER_UNKNOWN_ANSWER, {"code": code, "text": said}), alert=True)


def _of_message(attempt: Attempt, code: int) -> Outcome:
    fate, reason, said = MESSAGE_ERRORS.get(code, (Fate.UNKNOWN, PROVIDER_UNKNOWN_ANSWER, "unknown code"))
    match fate:
        case Fate.STOP:
            return Deferred(Scope.PROVIDER, said)
        case Fate.DUPLICATE if attempt.repeats:
            return Submitted(f"{_OURS}{_id(attempt)}")
        case Fate.DUPLICATE:
            return Uncertain("AlphaSMS has an SMS of this number already, and this is our first request")
    refusal = Refusal(reason, {"code": code, "text": said})
    return Rejected(refusal, alert=fate is Fate.UNKNOWN)


# ── the HTTP face ────────────────────────────────────────────────────────────────────────────

MAX_TEXT = 10_000
"""Characters of an answer that are looked at."""
_TOKEN = re.compile(r"(?:^|\s)(id|sms_count|status|code|status_time|balance|price|currency|errors):")


class AlphaSmsHttp:
    """GET ``/api/http.php``; answers are ``key:value``, on lines or behind one another. No receipt of a repetition."""

    traits = PLAIN

    def __init__(self, settings: AlphaSmsSettings) -> None:
        self._url = f"{settings.url.rstrip('/')}/api/http.php"
        self._credential = settings.credential
        self._secrets = (settings.secret, quote(settings.secret, safe=""))

    def submit(self, attempts: Sequence[Attempt]) -> Request:
        """``command=send``. By POST: the documentation allows both, and the logs of web servers keep no body."""
        job = attempts[0].job
        flash = {"flash": "1"} if job.channel is Channel.FLASH else {}
        sms = {"from": job.originator, "to": job.destination, "message": job.text}
        return self._request("send", **sms, **flash)

    def read_submit(self, attempts: Sequence[Attempt], response: Response) -> list[Outcome]:
        """An id, or errors."""
        said = quoted(response.text, self._secrets, (attempts[0].job.destination,))
        answer = _tokens(response.text)
        if not answer or not 200 <= response.status < 300:
            return [unreadable(response, said)]
        if next(iter(answer)) == "errors":  # whatever follows: its words may hold an "id:", too
            return [_of_words(quoted(answer["errors"], self._secrets, (attempts[0].job.destination,)))]
        if "errors" in answer:
            return [Uncertain(f"errors, yet not only: {said}")]
        if _ID.fullmatch(answer.get("id", "")):
            return [Submitted(answer["id"])]
        return [unreadable(response, said)]

    def status(self, provider_id: str, destination: str) -> Request:
        """``command=receive``."""
        return self._request("receive", id=provider_id)

    def read_status(self, provider_id: str, response: Response) -> Receipt:
        """Raises ``Refused`` (MSG)."""
        answer = self._answer(response)
        code = _number(answer.get("code", ""))
        if code is None or code not in HTTP_STATES:
            raise Refused(PROVIDER_UNKNOWN_ANSWER, code=0, text=quoted(response.text, self._secrets))
        raw = f"{code} {answer.get('status', '')}".strip()
        return Receipt(
            provider_id, HTTP_STATES[code], self._quote(raw)[:60], self._quote(answer.get("status_time", ""))
        )

    def balance(self) -> Request:
        """``command=balance``."""
        return self._request("balance")

    def read_balance(self, response: Response) -> Balance:
        """Raises ``Refused`` (MSG)."""
        return Balance(_amount(self._answer(response).get("balance", "")), "UAH")

    def price(self, destination: str) -> Request:
        """``command=price``."""
        return self._request("price", to=destination)

    def read_price(self, response: Response) -> Balance:
        """Raises ``Refused``: MSG, and FORBIDDEN for a number that is not served."""
        answer = self._answer(response)
        return _price(answer.get("price", ""), answer.get("currency", ""))

    def _request(self, command: str, **parameters: str) -> Request:
        given = {"version": "http", **self._credential, "command": command, **parameters}
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Request("POST", self._url, headers, urlencode(given, quote_via=quote, safe="").encode(), self._secrets)

    def _answer(self, response: Response) -> dict[str, str]:
        answer = _tokens(response.text)
        if "errors" in answer or not answer:
            words = answer.get("errors") or response.text
            raise Refused(PROVIDER_REFUSED if answer else PROVIDER_UNKNOWN_ANSWER, code=0, text=self._quote(words))
        return answer

    def _quote(self, words: str) -> str:
        return quoted(words, self._secrets)


def _tokens(text: str) -> dict[str, str]:
    """``id:84523377 sms_count:1``, or a line each. A value may hold colons and spaces."""
    parts = _TOKEN.split(text[:MAX_TEXT])
    found: dict[str, str] = {}
    for key, value in zip(parts[1::2], parts[2::2], strict=True):
        found[key] = f"{found[key]}; {value.strip()}" if key in found else value.strip()
    return found if parts[0].strip() == "" else {}


WORDS: Sequence[tuple[str, Fate, Reason]] = (
    ("authoriz", Fate.STOP, PROVIDER_REFUSED),
    ("access denied", Fate.STOP, PROVIDER_REFUSED),
    ("balance", Fate.STOP, PROVIDER_REFUSED),
    ("sender", Fate.REJECT, PROVIDER_ORIGINATOR),
    ("alpha-name", Fate.REJECT, PROVIDER_ORIGINATOR),
    ("recipient", Fate.REJECT, PROVIDER_NUMBER),
    ("phone", Fate.REJECT, PROVIDER_NUMBER),
)
"""Words of the HTTP face's errors. Its documentation shows one sentence only; the others are of the same service."""


def _of_words(said: str) -> Outcome:
    for word, fate, reason in WORDS:
        if word in said.casefold():
            if fate is Fate.STOP:
                return Deferred(Scope.PROVIDER, said)
            return Rejected(Refusal(reason, {"code": 0, "text": said}))
    return Rejected(Refusal(PROVIDER_UNKNOWN_ANSWER, {"code": 0, "text": said}), alert=True)
