"""The platform behind the wire format of seed 002: accounts, numbers, the one-minute rule, handsets, faults."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import phpserialize
from pydantic import ConfigDict

from gateway.sms import segments

WINDOW_S = 60.0
KEPT = 1000
"""Messages and requests kept in memory."""

DUPLICATE = "error: Попытка отправки более одного одинакового запроса в течение минуты"
BAD_LOGIN = "Неправильный логин или пароль"


class Cut(StrEnum):
    """Where the connection dies instead of an answer."""

    BEFORE = "before"
    """The request was read and forgotten."""
    AFTER = "after"
    """The SMS went out, the answer did not."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How to treat the next ``times`` requests for an SMS, instead of the usual."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # it comes as JSON: a misspelt switch must not be ignored

    answer: str | None = None
    """This text, and no SMS."""
    status: int = 200
    delay_s: float = 0.0
    cut: Cut | None = None
    times: int = 1
    destination: str = ""
    """Only requests to numbers that begin so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back on the wire."""

    body: str
    status: int = 200
    delay_s: float = 0.0
    cut: bool = False


@dataclass(slots=True)
class Sms:
    """A message on a handset."""

    id: str
    originator: str
    destination: str
    text: str
    alphabet: str
    segments: int
    at: float
    state: str = "send"
    changed_at: float | None = None


@dataclass(slots=True)
class Platform:
    """All of it, in memory. ``clock`` is seconds since the epoch."""

    clock: Callable[[], float]
    user: str = ""
    """Empty: any login will do."""
    password: str = field(default="", repr=False)
    balance: str = "445.6 RUR"
    window_s: float = WINDOW_S
    deliver_after_s: float = 1.0
    rings: Callable[[Sms], None] = lambda sms: None
    """Called for each SMS that reaches a handset."""
    messages: deque[Sms] = field(default_factory=lambda: deque(maxlen=KEPT))
    journal: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """Every request for an SMS and what was answered, the password left out."""
    faults: list[Fault] = field(default_factory=list)
    _seen: dict[bytes, float] = field(default_factory=dict)
    _next_id: int = 1179038981

    def get(self, query: Iterable[tuple[str, str]]) -> Answer:
        """A GET request, its query already percent-decoded."""
        given = dict(query)
        if self.user and (given.get("user"), given.get("pwd")) != (self.user, self.password):
            return Answer(BAD_LOGIN)
        if "balance" in given:
            return Answer(f"{self.balance}\nРоссия:361,МТС:1,Мегафон:1,BeeLine:1,Остальные:1")
        if "smsid" in given:
            return self._status(given["smsid"], detailed=given.get("detail") == "1")
        answer = self._send(given)
        self.journal.append(
            {
                "at": self.clock(),
                "from": given.get("sadr", ""),
                "to": given.get("dadr", ""),
                "text": given.get("text", ""),
                "answer": answer.body if not answer.cut else "(cut)",
                "status": answer.status,
            }
        )
        return answer

    def _send(self, given: Mapping[str, str]) -> Answer:
        numbers = [part.strip() for part in given.get("dadr", "").split(",") if part.strip()]
        fault = self._fault(numbers)
        if fault is not None and fault.cut is Cut.BEFORE:
            return Answer("", cut=True, delay_s=fault.delay_s)
        if fault is not None and fault.answer is not None:
            return Answer(fault.answer, fault.status, fault.delay_s)
        answer = self._submit(given, numbers)
        if fault is None:
            return answer
        return Answer(answer.body, fault.status, fault.delay_s, cut=fault.cut is Cut.AFTER)

    def _submit(self, given: Mapping[str, str], numbers: list[str]) -> Answer:
        if self._repeated(given):
            return Answer(DUPLICATE)
        if error := _error(given, numbers):
            return Answer(error)
        originator, text = given["sadr"], given["text"]
        return Answer(",".join(self._deliver(originator, number, text) for number in numbers))

    def _repeated(self, given: Mapping[str, str]) -> bool:
        """Whether the identical request came within the window. Remembers this one."""
        now = self.clock()
        if len(self._seen) > 10 * KEPT:
            self._seen = {key: at for key, at in self._seen.items() if now - at < self.window_s}
        key = hashlib.sha256(repr(sorted(given.items())).encode()).digest()
        if now - self._seen.get(key, -self.window_s) < self.window_s:
            return True
        self._seen[key] = now
        return False

    def _deliver(self, originator: str, number: str, text: str) -> str:
        counted = segments.segment(text)
        sms = Sms(
            id=str(self._next_id),
            originator=originator,
            destination=number,
            text=text,
            alphabet=counted.alphabet.value,
            segments=len(counted.segments),
            at=self.clock(),
        )
        self._next_id += 1
        self.messages.append(sms)
        self.rings(sms)
        return sms.id

    def _fault(self, numbers: list[str]) -> Fault | None:
        for index, fault in enumerate(self.faults):
            if any(number.startswith(fault.destination) for number in numbers or [""]):
                if fault.times > 1:
                    self.faults[index] = Fault(**{**asdict(fault), "times": fault.times - 1})
                else:
                    del self.faults[index]
                return fault
        return None

    def _status(self, sms_id: str, *, detailed: bool) -> Answer:
        sms = next((m for m in self.messages if m.id == sms_id), None)
        if sms is None:
            return Answer("Error_Invalid_SMS_ID")
        self.settle(sms)
        if not detailed:
            return Answer(sms.state)
        changed = "" if sms.changed_at is None else _moscow(sms.changed_at)
        fields = {
            "id_sms": sms.id,
            "time_change_state": changed,
            "state_sms": sms.state,
            "num_parts": str(sms.segments),
            "price": "1.15",
        }
        return Answer(phpserialize.dumps(fields).decode("utf-8"))

    def settle(self, sms: Sms) -> None:
        """Handsets confirm by themselves after a moment, unless somebody has decided otherwise."""
        if sms.state == "send" and self.clock() - sms.at >= self.deliver_after_s:
            sms.state, sms.changed_at = "deliver", sms.at + self.deliver_after_s


def _error(given: Mapping[str, str], numbers: list[str]) -> str:
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


def _moscow(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone(timezone(timedelta(hours=3))).strftime("%Y-%m-%d %H:%M:%S")
