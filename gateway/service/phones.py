"""The sandbox's handsets, for people: what rings there, what becomes of it, what goes wrong on purpose."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import uuid4

from gateway.lifecycle import State
from gateway.model import Incoming, Pushed, Receipt
from gateway.providers import Sink
from gateway.sandbox.platform import Cut, Fault, Platform, Sms
from gateway.service.audit import entry
from gateway.settings.load import Configuration
from gateway.sms import numbers, segments
from gateway.spool import audit
from gateway.spool.store import Store

__all__ = ["Decision", "Fault", "NoNumberOfOurs", "Phone", "Phones", "Sms", "Trouble", "parts"]

CONFIRM_S = 1.0
"""After which a handset confirms by itself."""
MESSAGES = 50
"""On one handset, the newest."""
HANDSETS = 60
"""On the shelf, those that rang last."""
IN_A_LINE = 20
"""Ids of SMS in one entry of the audit."""


class Decision(StrEnum):
    """What the handset or the network does with an SMS."""

    DELIVER = "deliver"
    REJECT = "reject"
    EXPIRE = "expire"
    DELAY = "delay"
    """Nothing, until somebody decides again."""


_WIRE = {
    Decision.DELIVER: "deliver",
    Decision.REJECT: "not_deliver",
    Decision.EXPIRE: "expired",
    Decision.DELAY: "send",
}
_RECEIPTS = {"deliver": State.DELIVERED, "not_deliver": State.UNDELIVERED, "expired": State.EXPIRED}


class Trouble(StrEnum):
    """What goes wrong with the next request for an SMS."""

    LOST = "lost"
    """The SMS goes out, the answer does not come back."""
    NOT_HEARD = "not_heard"
    """The request is lost, too."""
    SLOW = "slow"
    """The answer takes ten seconds."""
    BUSY = "busy"
    """The provider answers 503."""
    REFUSED = "refused"
    """The provider refuses the number."""


_FAULTS = {
    Trouble.LOST: Fault(cut=Cut.AFTER),
    Trouble.NOT_HEARD: Fault(cut=Cut.BEFORE),
    Trouble.SLOW: Fault(delay_s=10.0),
    Trouble.BUSY: Fault(answer="Service Unavailable", status=503),
    Trouble.REFUSED: Fault(answer="Error_Invalid_Phone"),
}


class NoNumberOfOurs(ValueError):
    """Nobody has a number to which SMS could come in (``incoming.numbers`` of an account)."""


@dataclass(frozen=True, slots=True)
class Phone:
    """A handset."""

    number: str
    """E.164 digits."""
    messages: tuple[Sms, ...]
    """The newest first."""


class Phones:
    """Of one process: the sandbox's platform lives in its memory."""

    def __init__(
        self, platform: Platform, configuration: Callable[[], Configuration], take: Sink, store: Store
    ) -> None:
        self._platform = platform
        self._configuration = configuration
        self._take = take
        self._store = store
        self._shown: dict[str, set[str]] = {}
        """By login: ids of SMS whose texts it has been shown."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Those that wait for a request."""
        return tuple(self._platform.faults)

    @property
    def confirm_by_themselves(self) -> bool:
        """Whether handsets do not wait for somebody's decision."""
        return math.isfinite(self._platform.deliver_after_s)

    @property
    def our_numbers(self) -> list[str]:
        """To which a handset can write."""
        accounts = self._configuration().directory.accounts.values()
        return sorted({number for account in accounts for number in account.incoming_numbers})

    def messages(self, to: str = "") -> list[Sms]:
        """The newest first."""
        for sms in self._platform.messages:
            self._platform.settle(sms)
        return [sms for sms in reversed(self._platform.messages) if to in ("", sms.destination)]

    def shelf(self) -> list[Phone]:
        """The handsets, the one that rang last first."""
        by_number: dict[str, list[Sms]] = {}
        for sms in self.messages():
            by_number.setdefault(sms.destination, []).append(sms)
        found = [Phone(number, tuple(messages[:MESSAGES])) for number, messages in by_number.items()]
        return found[:HANDSETS]

    async def show(self, who: str, messages: Iterable[Sms]) -> None:
        """``who`` is about to read these. Each text is written down once for each of them, before it is shown: the page
        asks again every few seconds."""
        shown = self._shown.setdefault(who, set())
        shown &= {sms.id for sms in self._platform.messages}
        fresh = [sms.id for sms in messages if sms.id not in shown]
        now = self._platform.clock()
        looks = [
            entry(now, who, "text", f"phones: {', '.join(fresh[at : at + IN_A_LINE])}", beside=True)
            for at in range(0, len(fresh), IN_A_LINE)
        ]
        if looks:
            await self._store.write(lambda connection: audit.note_all(connection, looks))
        shown.update(fresh)

    async def decide(self, sms_id: str, decision: Decision) -> Sms:
        """The provider says at once what has become of it. Raises ``KeyError`` where there is no such SMS."""
        sms = self._platform.find(sms_id)
        if sms is None:
            raise KeyError(sms_id)
        self._platform.decide(sms, _WIRE[decision])
        if (state := _RECEIPTS.get(sms.state)) is not None and sms.provider:
            await self._take(sms.provider, Pushed((Receipt(sms.id, state, sms.state),)))
        return sms

    async def reply(self, number: str, text: str, to: str = "") -> str:
        """Somebody writes to us from this handset. Returns to which number of ours: ``to``, or the one that wrote last,
        or the first. Raises ``NoNumberOfOurs``; ``Refused`` for what is no number."""
        sender, ours = numbers.parse(number), self.our_numbers
        wrote = [sms.originator for sms in self.messages(sender) if sms.originator in ours]
        ours_chosen = to or next(iter([*wrote, *ours]), "")
        if ours_chosen not in ours:
            raise NoNumberOfOurs
        provider = next(iter(self._sandboxes()))
        await self._take(provider, Pushed(incoming=(Incoming(uuid4().hex, sender, ours_chosen, text),)))
        return ours_chosen

    def confirm(self, *, by_themselves: bool) -> None:
        """Whether handsets confirm what rings there, or wait for a decision."""
        self._platform.deliver_after_s = CONFIRM_S if by_themselves else math.inf

    def go_wrong(self, trouble: Trouble) -> None:
        """The next request."""
        self._platform.faults.append(_FAULTS[trouble])

    def go_right(self) -> None:
        """No request goes wrong any more."""
        self._platform.faults.clear()

    def clear(self) -> None:
        """All handsets are new."""
        self._platform.messages.clear()

    def _sandboxes(self) -> list[str]:
        providers = self._configuration().settings.providers
        return [name for name, provider in providers.items() if provider.driver == "sandbox"]


def parts(sms: Sms) -> tuple[str, ...]:
    """As they went over the air."""
    return segments.segment(sms.text).segments
