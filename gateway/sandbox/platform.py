"""What stands behind every wire format: the account, the handsets, the one-minute rule, the faults."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict

from gateway.sms import segments

WINDOW_S = 60.0
KEPT = 1000
"""Messages and requests kept in memory."""


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
    waits: bool = False
    """Somebody will decide what becomes of it: it does not confirm by itself."""
    provider: str = ""
    """The provider account that sent it, where that is known."""


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
    """``inf``: handsets confirm only what somebody decides."""
    rings: Callable[[Sms], None] = lambda sms: None
    """Called for each SMS that reaches a handset."""
    messages: deque[Sms] = field(default_factory=lambda: deque(maxlen=KEPT))
    journal: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """Every request for an SMS and what was answered, the password left out."""
    faults: list[Fault] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    """Keys that clients gave to their requests, where the protocol has them, and the id that each got."""
    _seen: dict[bytes, float] = field(default_factory=dict)
    _next_id: int = 1179038981

    def sending(self, originator: str, numbers: Sequence[str], text: str, usual: Callable[[], str]) -> Answer:
        """Answer a request for an SMS: by the next fault for these numbers, or as ``usual`` does. Journalled."""
        answer = self._answer(self._fault(numbers), usual)
        self.journal.append(
            {
                "at": self.clock(),
                "from": originator,
                "to": ",".join(numbers),
                "text": text,
                "answer": answer.body if not answer.cut else "(cut)",
                "status": answer.status,
            }
        )
        return answer

    def _answer(self, fault: Fault | None, usual: Callable[[], str]) -> Answer:
        if fault is None:
            return Answer(usual())
        if fault.cut is Cut.BEFORE:
            return Answer("", cut=True, delay_s=fault.delay_s)
        if fault.answer is not None:
            return Answer(fault.answer, fault.status, fault.delay_s)
        return Answer(usual(), fault.status, fault.delay_s, cut=fault.cut is Cut.AFTER)

    def repeated(self, request: object) -> bool:
        """Whether the identical request came within the window. Remembers this one, by its ``repr``."""
        now = self.clock()
        if len(self._seen) > 10 * KEPT:
            self._seen = {key: at for key, at in self._seen.items() if now - at < self.window_s}
        key = hashlib.sha256(repr(request).encode()).digest()
        if now - self._seen.get(key, -self.window_s) < self.window_s:
            return True
        self._seen[key] = now
        return False

    def deliver(self, originator: str, number: str, text: str, provider: str = "") -> Sms:
        """An SMS reaches a handset."""
        counted = segments.segment(text)
        sms = Sms(
            id=str(self._next_id),
            originator=originator,
            destination=number,
            text=text,
            alphabet=counted.alphabet.value,
            segments=len(counted.segments),
            at=self.clock(),
            provider=provider,
        )
        self._next_id += 1
        self.messages.append(sms)
        self.rings(sms)
        return sms

    def _fault(self, numbers: Sequence[str]) -> Fault | None:
        for index, fault in enumerate(self.faults):
            if any(number.startswith(fault.destination) for number in numbers or [""]):
                if fault.times > 1:
                    self.faults[index] = Fault(**{**asdict(fault), "times": fault.times - 1})
                else:
                    del self.faults[index]
                return fault
        return None

    def find(self, sms_id: str) -> Sms | None:
        """A message by its id, its state as it is now."""
        sms = next((m for m in self.messages if m.id == sms_id), None)
        if sms is not None:
            self.settle(sms)
        return sms

    def decide(self, sms: Sms, state: str) -> None:
        """What the handset or the network did with it; ``send``: nothing yet, until somebody decides again."""
        sms.waits = state == "send"
        sms.state, sms.changed_at = state, None if sms.waits else self.clock()

    def settle(self, sms: Sms) -> None:
        """Handsets confirm by themselves after a moment, unless somebody has decided otherwise."""
        if sms.state == "send" and not sms.waits and self.clock() - sms.at >= self.deliver_after_s:
            sms.state, sms.changed_at = "deliver", sms.at + self.deliver_after_s
