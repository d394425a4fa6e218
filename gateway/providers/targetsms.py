"""TargetSMS and its white labels (Stream Telecom, …): GET ``/sendsms.php`` or ``/get/``. Seed 002.

Its facts: the answer is plain text, numeric ids or a sentence, whatever the HTTP status. Identical requests are
refused for a minute. What a partly refused group answers is documented nowhere, so one request carries one
destination unless ``group`` says otherwise.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, Self
from urllib.parse import quote, urlencode

import phpserialize
from pydantic import Field, SecretStr, model_validator

from gateway.model import (
    Attempt,
    Balance,
    Callback,
    Deferred,
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
from gateway.providers.targetsms_push import STATES, read_push
from gateway.providers.web_answers import quoted, unreadable
from gateway.verdicts import (
    PROVIDER_CLOSED,
    PROVIDER_NUMBER,
    PROVIDER_ORIGINATOR,
    PROVIDER_REFUSED,
    PROVIDER_STOP_LIST,
    PROVIDER_UNKNOWN_ANSWER,
    REQUEST_TOO_LONG,
    Reason,
    Refusal,
    Refused,
)

MAX_URL = 2000
"""Seed 002 §1: longer ones are not recommended."""
DUPLICATE_WINDOW_S = 70.0
"""Seed 002 §1 says a minute; ten seconds more, because its clock starts when the request arrives."""
REPEAT_WITHIN_S = 50.0
"""Ten seconds less than a minute, for the same reason."""

MAX_VALUE = 40
"""Characters of a price or a time."""
_ID = "[1-9][0-9]{0,19}"
_IDS = re.compile(rf"{_ID}(?:\s*,\s*{_ID})*")
_BALANCE = re.compile(r"(-?[0-9]{1,30}(?:[.,][0-9]{1,30})?)\s*([A-Za-zА-Яа-я]{1,5}\.?)\s*(.*)", re.DOTALL)
_ECHO = re.compile(r"\b(pwd|text)=[^&\s\"'<>]*")
"""Web servers quote the URL in their complaints."""


class PlatformSettings(ProviderSettings):
    """What both faces of the platform have. Give user and password, or a token from the cabinet."""

    user: str | None = Field(None, min_length=1, description="Login on the platform.")
    password: SecretStr | None = Field(None, description="Its password.")
    password_file: str | None = Field(None, description="A file whose first line is the password.")
    token: SecretStr | None = Field(None, description="A token of the cabinet, instead of user and password.")
    token_file: str | None = Field(None, description="A file whose first line is the token.")
    translite: bool = Field(False, description="Let the platform write Cyrillic letters as Latin ones.")

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        by_login = self.user is not None and self.password is not None
        if (self.token is None) is not by_login or (self.token is not None and (self.user or self.password)):
            raise ValueError("give either user and password, or token")
        return self

    @property
    def secret(self) -> str:
        """What must not be shown."""
        secret = self.token or self.password
        assert secret is not None
        return secret.get_secret_value()


class TargetSmsSettings(PlatformSettings):
    """``driver: targetsms``."""

    driver: Literal["targetsms"]
    url: str = Field(pattern=r"^https?://", description="The address of sendsms.php, or of /get/ (Stream Telecom).")
    group: int = Field(1, ge=1, le=20, description="Destinations of one text in one request.")


# ── what the platform says ───────────────────────────────────────────────────────────────────


class Fate(Enum):
    """What an error text means for the job."""

    REJECT = auto()
    REROUTE = auto()
    """Refused here, but another provider may take it."""
    RETRY = auto()
    """Their fault, for now."""
    STOP = auto()
    """The account is stopped until somebody acts."""
    HELD = auto()
    """Taken, and sent when the bill is paid: must not be sent again."""
    DUPLICATE = auto()
    """An identical request was seen within a minute."""


@dataclass(frozen=True, slots=True)
class ErrorText:
    """A row: our stable number for ``MSG:<number>``, the fragments that identify it, what it means."""

    number: int
    fragments: tuple[str, ...]
    fate: Fate
    reason: Reason = PROVIDER_REFUSED


ERRORS = (
    # The order matters: the first row with a fragment in the answer wins, so the longer sentence comes first.
    ErrorText(1, ("У нас закончились SMS", "Error_Out_of_Service"), Fate.RETRY),
    ErrorText(2, ("Закончились SMS", "Error_Not_Enough_Credits"), Fate.STOP),
    ErrorText(3, ("Аккаунт заблокирован", "Error_SMS_User_Disabled"), Fate.STOP),
    ErrorText(4, ("Укажите номер телефона", "Error_No_Destination_Address"), Fate.REJECT, PROVIDER_NUMBER),
    ErrorText(
        5,
        ("Номер телефона присутствует в стоп-листе", "Error_Destination_Address_Blocked"),
        Fate.REJECT,
        PROVIDER_STOP_LIST,
    ),
    ErrorText(
        6, ("Данное направление закрыто для вас", "Error_User_Destination_Blocked"), Fate.REROUTE, PROVIDER_CLOSED
    ),
    ErrorText(7, ("Данное направление закрыто",), Fate.REROUTE, PROVIDER_CLOSED),
    ErrorText(8, ("SMS будет отправлена как только вы пополните счет",), Fate.HELD),
    ErrorText(9, ("Текст SMS отклонен модератором", "Error_SMS_Declined"), Fate.REJECT),
    ErrorText(10, ("Нет отправителя", "Error_No_Source_Address"), Fate.REJECT, PROVIDER_ORIGINATOR),
    ErrorText(11, ("Отправитель не должен превышать 15 символов",), Fate.REJECT, PROVIDER_ORIGINATOR),
    ErrorText(12, ("Номер телефона должен быть меньше 15 символов",), Fate.REJECT, PROVIDER_NUMBER),
    ErrorText(13, ("Нет текста сообщения", "Error_No_Text"), Fate.REJECT),
    ErrorText(14, ("Нет ссылки", "Error_No_URL", "Error_No_Vcard"), Fate.REJECT),
    ErrorText(15, ("Такого отправителя нет", "Error_Invalid_Source_Address"), Fate.REJECT, PROVIDER_ORIGINATOR),
    ErrorText(
        16, ("Отправитель не прошел модерацию", "Error_Source_Address_Declined"), Fate.REJECT, PROVIDER_ORIGINATOR
    ),
    ErrorText(17, ("более одного одинакового запроса", "Error_Flood_SMS", "Flood SMS"), Fate.DUPLICATE),
    ErrorText(18, ("Данное сообщение уже было отправлено",), Fate.DUPLICATE),
    ErrorText(19, ("Неправильный логин или пароль", "Error_Invalid_Login"), Fate.STOP),
)


def _normal(text: str) -> str:
    return " ".join(text.casefold().replace("ё", "е").split())


_ROWS = tuple((tuple(_normal(fragment) for fragment in row.fragments), row) for row in ERRORS)


def find_error(text: str) -> ErrorText | None:
    """The row for an answer, in Russian or as ``Error_*``, in any letter case."""
    answer = _normal(text)
    for fragments, row in _ROWS:
        if any(fragment in answer for fragment in fragments):
            return row
    return None


# ── the driver ───────────────────────────────────────────────────────────────────────────────


class TargetSms:
    """Seed 002, sections 2 to 5."""

    def __init__(self, settings: TargetSmsSettings, callback_url: str = "") -> None:
        self.traits = Traits(
            group=settings.group, duplicate_window_s=DUPLICATE_WINDOW_S, repeat_within_s=REPEAT_WITHIN_S
        )
        self._url = settings.url
        self._secret = settings.secret
        self._secrets = (self._secret, quote(self._secret, safe=""), html.escape(self._secret))
        self._login: dict[str, str] = {}
        self._headers: dict[str, str] = {}
        if settings.token is not None:
            self._headers = {"Authorization": f"Bearer {self._secret}"}
        else:
            self._login = {"user": settings.user or "", "pwd": self._secret}
        self._translite = {"translite": "1"} if settings.translite else {}

    def submit(self, attempts: Sequence[Attempt]) -> Request:
        """§2.1. Raises ``Refused`` (LIMIT) when the URL would be longer than 2000 characters."""
        job = attempts[0].job
        destinations = ",".join(attempt.job.destination for attempt in attempts)
        request = self._get(sadr=job.originator, dadr=destinations, text=job.text, **self._translite)
        if len(request.url) > MAX_URL:
            raise Refused(REQUEST_TOO_LONG, length=len(request.url), limit=MAX_URL)
        return request

    def read_submit(self, attempts: Sequence[Attempt], response: Response) -> list[Outcome]:
        """§2.2 and §2.3."""
        answer, said = response.text, self._quote(response.text, attempts)
        if _IDS.fullmatch(answer):
            if not 200 <= response.status < 300:  # a bare "404" is no id, yet an id is an id
                return [Uncertain(f"HTTP {response.status}, {said}")] * len(attempts)
            ids = [part.strip() for part in answer.split(",")]
            if len(ids) != len(attempts):
                return [Uncertain(f"{len(ids)} ids for {len(attempts)} destinations")] * len(attempts)
            return [Submitted(provider_id) for provider_id in ids]
        row = find_error(answer)
        if row is None:
            return [_unknown(response, said, len(attempts))] * len(attempts)
        if len(attempts) > 1 and row.fate not in {Fate.RETRY, Fate.STOP}:
            return [Uncertain(f"the group was answered: {said}")] * len(attempts)
        return [known(attempt, row, said) for attempt in attempts]

    def status(self, provider_id: str, destination: str) -> Request:
        """§4, which answers more than §3 for the same price."""
        return self._get(smsid=provider_id, detail="1")

    def read_status(self, provider_id: str, response: Response) -> Receipt:
        """A PHP array (§4) or a bare word (§3). Raises ``Refused`` (MSG)."""
        answer = response.text
        if answer.startswith("a:"):
            receipt = _detailed(provider_id, response)
            if receipt is None:
                raise refused(answer, self._quote(answer))
            return receipt
        if answer.casefold() not in STATES:
            raise refused(answer, self._quote(answer))
        return Receipt(provider_id, STATES[answer.casefold()], raw=answer)

    def balance(self) -> Request:
        """§5."""
        return self._get(balance="1")

    def read_balance(self, response: Response) -> Balance:
        """§5.2; the packages stand after a comma, a space or on a new line. Raises ``Refused`` (MSG)."""
        match = _BALANCE.fullmatch(response.text)
        if match is None:
            raise refused(response.text, self._quote(response.text))
        amount, currency, rest = match.groups()
        packages = dict(
            part.strip().rsplit(":", 1) for part in re.split(r"[,\n]", rest) if part.count(":") and part.strip()
        )
        return Balance(amount.replace(",", "."), currency.upper(), packages)

    def _get(self, **parameters: str) -> Request:
        query = urlencode({**self._login, **parameters}, quote_via=quote, safe="")
        joint = "&" if "?" in self._url else "?"
        return Request("GET", f"{self._url}{joint}{query}", self._headers, secrets=self._secrets[:2])

    def read_callback(self, callback: Callback) -> Pushed:
        """Receipts as XML or JSON, incoming SMS as GET. Raises ``Refused`` (FORMAT)."""
        return read_push(callback)

    def _quote(self, answer: str, attempts: Sequence[Attempt] = ()) -> str:
        """The provider's words, short and on one line, without what they may repeat of the request."""
        answer = _ECHO.sub(r"\1=***", answer)
        return quoted(answer, self._secrets, tuple(attempt.job.destination for attempt in attempts))


SEEN = "the first request was seen; no id, so no receipt"


def refused(answer: str, said: str) -> Refused:
    """The verdict on an answer to a question."""
    row = find_error(answer)
    if row is None:
        return Refused(PROVIDER_UNKNOWN_ANSWER, code=0, text=said)
    return Refused(row.reason, code=row.number, text=row.fragments[0])


def known(attempt: Attempt, row: ErrorText, said: str) -> Outcome:
    """What a row means for an attempt."""
    match row.fate:
        case Fate.RETRY:
            return Deferred(Scope.ROUTE, said)
        case Fate.STOP:
            return Deferred(Scope.PROVIDER, said)
        case Fate.HELD:
            return Submitted(None, remark="held by provider until the bill is paid")
        case Fate.DUPLICATE if attempt.repeats:
            return Submitted(None, remark=SEEN)
        case Fate.DUPLICATE:
            return Deferred(Scope.JOB, said, after_s=DUPLICATE_WINDOW_S)
    refusal = Refusal(row.reason, {"code": row.number, "text": row.fragments[0]})
    return Rejected(refusal, other_route=row.fate is Fate.REROUTE)


def _unknown(response: Response, said: str, count: int) -> Outcome:
    outcome = unreadable(response, said)
    return Uncertain(f"the group was answered: {said}") if count > 1 and isinstance(outcome, Rejected) else outcome


def _detailed(provider_id: str, response: Response) -> Receipt | None:
    try:
        fields = phpserialize.loads(response.text.encode()[:65536], decode_strings=True)
        state = STATES[str(fields["state_sms"]).casefold()]
        parts = fields.get("num_parts")
        segments = int(parts) if parts not in (None, "") else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    changed, price = fields.get("time_change_state"), fields.get("price")
    return Receipt(
        provider_id=provider_id,
        state=state,
        raw=str(fields["state_sms"]),
        changed_at=str(changed or "")[:MAX_VALUE],
        segments=segments,
        price=str(price)[:MAX_VALUE] if price not in (None, "") else None,
    )
