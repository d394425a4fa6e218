"""Provider accounts as an operator sees them, and what he may do with one: ask, without sending anything; go on before
a pause is over. ``switch`` holds and resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog
from sqlalchemy import Connection

from gateway.lifecycle import State
from gateway.policy.tally import DAY_S, HOUR_S, NOTHING, SLOT_S, Tally, total
from gateway.providers import Linked, NoAnswer, Unsupported, Upstream
from gateway.service.audit import entry
from gateway.service.balances import Account, Balances, words
from gateway.spool import audit, desk, holds, levels, pace, tallies
from gateway.spool.engine import announce
from gateway.spool.holds import Hold
from gateway.spool.levels import Waiting
from gateway.spool.store import Store
from gateway.verdicts import Refused

__all__ = ["Condition", "Hold", "Provider", "Providers", "Tested", "probe", "unpause"]

log = structlog.get_logger()

NO_SUCH_ID = "0"
"""Of an SMS that was never sent: a provider that answers at all says that there is none."""
LOOK_BACK_S = 14 * DAY_S


class Condition(StrEnum):
    """How it stands with a provider account."""

    OK = "ok"
    PAUSED = "paused"
    """It failed, or refused us: left alone for a while."""
    HELD = "held"
    """By an operator."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider account."""

    name: str
    driver: str
    rate: float | None
    """Calls a second that it may get."""
    max_in_flight: int
    condition: Condition
    why: str
    """It is not ``ok``."""
    until: float | None
    """When the pause is over."""
    waiting: tuple[Waiting, ...]
    in_flight: int
    last_success_at: float | None
    """To five minutes, if that is not long ago; else to the hour."""
    day: Tally
    """The last 24 hours on the clock."""
    balance: Account | None


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of asking."""

    ok: bool
    asked: str
    """``balance``, ``status`` or ``link``."""
    answer: str
    took_s: float


@dataclass(frozen=True, slots=True)
class About:
    """What the settings say of a provider."""

    driver: str
    rate: float | None
    max_in_flight: int


class Providers:
    """All of them, for people."""

    def __init__(
        self,
        store: Store,
        known: Mapping[str, About],
        upstreams: Mapping[str, Upstream],
        balances: Balances,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._known = known
        self._upstreams = upstreams
        self._clock = clock
        self.balances = balances

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the configuration."""
        return tuple(self._known)

    async def listed(self) -> list[Provider]:
        """In the order of the configuration."""
        now = self._clock()
        accounts = await self.balances.accounts()

        def read(connection: Connection) -> list[Provider]:
            paused = desk.pauses(connection, now)
            on_hold = holds.listed(connection)
            waiting = levels.waiting(connection)
            day = _by_provider(tallies.read(connection, HOUR_S, int(now // HOUR_S - 23) * HOUR_S, now))
            last = _last(connection, now)
            return [
                self._provider(name, paused, on_hold, waiting, day.get(name, NOTHING), last.get(name), accounts)
                for name in self._known
            ]

        return await self._store.read(read)

    def _provider(
        self,
        name: str,
        paused: Mapping[str, tuple[float, str]],
        on_hold: list[Hold],
        waiting: list[Waiting],
        day: Tally,
        last: float | None,
        accounts: Mapping[str, Account],
    ) -> Provider:
        about = self._known[name]
        hold = next((one for one in on_hold if (one.scope, one.name) in _holding(name)), None)
        until, why = paused.get(name, (None, ""))
        mine = tuple(one for one in waiting if one.provider == name)
        return Provider(
            name=name,
            driver=about.driver,
            rate=about.rate,
            max_in_flight=about.max_in_flight,
            condition=Condition.HELD if hold else Condition.PAUSED if until is not None else Condition.OK,
            why=hold.why if hold else why,
            until=None if hold else until,
            waiting=mine,
            in_flight=sum(one.count for one in mine if one.state is State.SUBMITTING),
            last_success_at=last,
            day=day,
            balance=accounts.get(name),
        )

    async def test(self, name: str) -> Tested:
        """Ask it something, without sending an SMS. Raises ``KeyError`` for an unknown one."""
        found = await probe(self._upstreams[name])
        log.info("provider.tested", provider=name, ok=found.ok, asked=found.asked, answer=found.answer)
        return found

    async def unpause(self, name: str, who: str) -> bool:
        """``who`` does not wait for the end of the pause. Whether there was one. Raises ``KeyError``."""
        if name not in self._known:
            raise KeyError(name)
        return await unpause(self._store, name, self._clock(), who)


async def unpause(store: Store, name: str, now: float, who: str) -> bool:
    """Without the daemon, too."""
    look = entry(now, who, "provider.unpause", name)

    def written(connection: Connection) -> bool:
        was = name in desk.pauses(connection, now)
        pace.pause(connection, name, None, "")
        audit.note(connection, look)
        announce(connection, name)
        return was

    was = await store.write(written)
    log.warning("provider.unpaused", provider=name, was_paused=was)
    return was


async def probe(upstream: Upstream, clock: Callable[[], float] = time.monotonic) -> Tested:
    """Whether its connection stands, where it keeps one; its balance, where it can tell; else what became of an SMS
    that there never was: an answer is an answer."""
    began, asked = clock(), "link"
    try:
        if isinstance(upstream, Linked):
            return Tested(True, asked, await upstream.probe(), max(0.0, clock() - began))
        asked = "balance"
        try:
            balance = await upstream.balance()
            answer, ok = f"{balance.amount} {balance.currency}".strip(), True
        except Unsupported:
            asked = "status"
            await upstream.status(NO_SUCH_ID, "")
            answer, ok = "it answers", True
    except Unsupported:
        asked, answer, ok = "nothing", "its protocol has no question that sends nothing", False
    except NoAnswer as error:
        answer, ok = str(error), False
    except Refused as refused:
        # Of the question about an SMS even a refusal is an answer. That of the balance says that the login is wrong,
        # or worse.
        answer, ok = words(refused), asked == "status"
    return Tested(ok, asked, answer, max(0.0, clock() - began))


def _holding(name: str) -> tuple[tuple[holds.Scope, str], ...]:
    return (holds.Scope.ALL, ""), (holds.Scope.PROVIDER, name)


def _by_provider(rows: list[tallies.Row]) -> dict[str, Tally]:
    names = {row.provider for row in rows}
    return {name: total(row.tally for row in rows if row.provider == name) for name in names}


def _last(connection: Connection, now: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for span, since in ((DAY_S, now - LOOK_BACK_S), (HOUR_S, now - 2 * DAY_S), (SLOT_S, now - 2 * HOUR_S)):
        for row in tallies.read(connection, span, since, now):
            if row.provider and row.tally.submitted:
                found[row.provider] = float(row.at)
    return found
