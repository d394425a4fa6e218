"""What the overview and the reports show: counted now and then by one of the processes, and when somebody looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import TypeVar

from sqlalchemy import Connection

from gateway.policy.tally import COST, DAY_S, HOUR_S, MONTH_S, NOTHING, SLOT_S, Tally, month_after, month_of, total
from gateway.spool import levels, tallies
from gateway.spool.levels import Level, Waiting
from gateway.spool.store import Store
from gateway.spool.tallies import Row

__all__ = ["Figures", "Level", "Overview", "Period", "Report", "Tally", "Waiting"]

Key = TypeVar("Key", str, int)

TURN_S = 60.0
LATE_S = 900.0
"""So old may be, in the time of a mail that took long to come in, what is written only now."""
FRESH_S = 2.0
"""Who looks again within this time sees the same."""
PATIENCE_S = 0.15
AT_ONCE_S = DAY_S
"""So much is written down in one transaction when all must be counted."""


@dataclass(frozen=True, slots=True)
class Period:
    """The tally of one span: it begins at ``at``."""

    at: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of things."""

    at: float
    slots: tuple[Period, ...]
    """The last hour, in slots of five minutes; the last one is not over."""
    hours: tuple[Period, ...]
    """The last 24 hours on the clock; the last one is not over."""
    waiting: tuple[Waiting, ...]
    levels: tuple[Level, ...] = ()
    """How much waited, minute by minute. Empty for who sees only some accounts."""
    by_provider: Mapping[str, Tally] = field(default_factory=dict)
    """Of the last 24 hours."""

    @property
    def hour(self) -> Tally:
        """The last hour."""
        return total(period.tally for period in self.slots)

    @property
    def day(self) -> Tally:
        """The last 24 hours on the clock."""
        return total(period.tally for period in self.hours)


@dataclass(frozen=True, slots=True)
class Report:
    """Whole days, UTC, from the first to the last, both included."""

    first: date
    last: date
    whole: Tally
    accounts: Mapping[str, Tally]
    providers: Mapping[str, Tally]
    days: Mapping[str, Tally]
    """By ISO date, or by month, ``2026-11``; all of the period are there."""


class Figures:
    """``turn`` is to be called every minute. ``accounts`` of the questions: only theirs is seen; None: all."""

    def __init__(
        self, store: Store, records_s: float, clock: Callable[[], float] = time.time, patience_s: float = PATIENCE_S
    ) -> None:
        """``records_s``: what is older may have been deleted, and is not counted anew. ``patience_s``: so long who
        looks waits for the newest; then he sees what was counted before."""
        self._store = store
        self._records_s = records_s
        self._clock = clock
        self._patience_s = patience_s
        self._looked_at = float("-inf")
        self._counting: asyncio.Task[None] | None = None

    async def turn(self) -> None:
        """Count what has changed, if no other process has just done so."""
        now = self._clock()
        if await self._store.write(lambda connection: tallies.begin(connection, now, TURN_S - 5.0)):
            await self.count(LATE_S, in_turn=True)
            waiting = await self._store.read(levels.waiting)
            await self._store.write(lambda connection: levels.note(connection, self._clock(), waiting))

    async def count(self, late_s: float = FRESH_S + 30.0, *, in_turn: bool = False) -> None:
        """Count anew each slot in which something has changed since the last time, or ``late_s`` before it.
        ``in_turn``: nobody else needs to do it meanwhile, however long it takes."""
        now = self._clock()
        upto = await self._store.read(tallies.upto)
        since = min(upto, now) - late_s
        floor = int((now - self._records_s) // HOUR_S + 2) * HOUR_S
        slots = await self._store.read(lambda connection: tallies.changed(connection, since if upto else 0.0, floor))
        for _, some in groupby(slots, key=lambda slot: slot // AT_ONCE_S):
            await self._count_slots(list(some), now)
            if in_turn:
                await self._store.write(lambda connection: tallies.go_on(connection, self._clock()))
        await self._store.write(lambda connection: tallies.finish(connection, now))

    async def _count_slots(self, slots: Sequence[int], now: float) -> None:
        """Of one day."""
        recent = int((now - tallies.SLOTS_KEPT_S) // HOUR_S) * HOUR_S
        hours = sorted({slot // HOUR_S * HOUR_S for slot in slots})
        pieces = [(SLOT_S, slot) for slot in slots if slot >= recent]
        pieces += [(HOUR_S, hour) for hour in hours if hour < recent]
        counted = [(span, at, await self._counted(at, span)) for span, at in pieces]

        def written(connection: Connection) -> None:
            tallies.lock(connection)
            for span, at, rows in counted:
                tallies.write(connection, span, at, rows)
            tallies.add_up(connection, HOUR_S, [hour for hour in hours if hour >= recent])
            days = {hour // DAY_S * DAY_S for hour in hours}
            tallies.add_up(connection, DAY_S, days)
            # The month that is not over yet is added up when somebody asks.
            tallies.add_up(connection, MONTH_S, {month for month in map(month_of, days) if month_after(month) <= now})

        await self._store.write(written)

    async def _counted(self, at: int, span: int) -> list[Row]:
        return await self._store.read(lambda connection: tallies.count(connection, at, at + span))

    async def look(self) -> None:
        """For somebody who looks: count what is new, as far as that is quick."""
        if self._counting is None and self._clock() - self._looked_at >= FRESH_S:
            self._counting = asyncio.create_task(self._look())
        if self._counting is not None:
            await asyncio.wait([self._counting], timeout=self._patience_s)

    async def _look(self) -> None:
        try:
            if await self._store.read(tallies.upto):  # the very first time is for ``turn``
                await self.count()
            self._looked_at = self._clock()
        finally:
            self._counting = None

    async def ever(self) -> bool:
        """Whether there was anything to count at all."""
        return await self._store.read(tallies.any_at_all)

    async def overview(
        self, accounts: Collection[str] | None = None, currencies: Mapping[str, str] | None = None
    ) -> Overview:
        """How it goes, and how it went in the last 24 hours. ``currencies`` as in ``report``."""
        await self.look()
        now = self._clock()
        first_slot = int(now // SLOT_S - 11) * SLOT_S
        first_hour = int(now // HOUR_S - 23) * HOUR_S

        def read(connection: Connection) -> Overview:
            slots = tallies.read(connection, SLOT_S, first_slot, now, accounts)
            hours = tallies.read(connection, HOUR_S, first_hour, now, accounts)
            hours = [_in_currency(row, currencies or {}) for row in hours]
            return Overview(
                at=now,
                slots=_periods(slots, first_slot, SLOT_S, 12),
                hours=_periods(hours, first_hour, HOUR_S, 24),
                waiting=tuple(levels.waiting(connection, accounts)),
                levels=tuple(levels.history(connection, now - DAY_S)) if accounts is None else (),
                by_provider=_by(hours, lambda row: row.provider),
            )

        return await self._store.read(read)

    async def report(
        self,
        first: date,
        last: date,
        accounts: Collection[str] | None = None,
        currencies: Mapping[str, str] | None = None,
        *,
        by_month: bool = False,
    ) -> Report:
        """``currencies`` by provider: for what was paid in a currency that the provider did not name. ``by_month``:
        months in the place of days, which is quicker for a long time."""
        await self.look()
        start, end = _midnight(first), _midnight(last) + DAY_S
        spans = _with_months(start, end, self._clock()) if by_month else [(DAY_S, start, end)]
        rows = await self._store.read(
            lambda connection: [row for span in spans for row in tallies.read(connection, *span, accounts)]
        )
        rows = [_in_currency(row, currencies or {}) for row in rows]
        form = "%Y-%m" if by_month else "%Y-%m-%d"
        days = {day.strftime(form): NOTHING for day in _days(first, last)}
        return Report(
            first,
            last,
            total(row.tally for row in rows),
            accounts=_by(rows, lambda row: row.account),
            providers=_by([row for row in rows if row.facet == "sms"], lambda row: row.provider),
            days=days | _by(rows, lambda row: datetime.fromtimestamp(row.at, UTC).strftime(form)),
        )


def _periods(rows: Sequence[Row], first: int, span: int, count: int) -> tuple[Period, ...]:
    found = _by(rows, lambda row: row.at)
    return tuple(Period(at, found.get(at, NOTHING)) for at in range(first, first + span * count, span))


def _by(rows: Sequence[Row], key: Callable[[Row], Key]) -> dict[Key, Tally]:
    groups: dict[Key, list[Tally]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row.tally)
    return {name: total(group) for name, group in groups.items()}


def _in_currency(row: Row, currencies: Mapping[str, str]) -> Row:
    cost = row.tally.names(COST)
    currency = currencies.get(row.provider, "")
    if "" not in cost or not currency:
        return row
    named = {name: amount for name, amount in cost.items() if name}
    named[currency] = named.get(currency, 0) + cost[""]
    return replace(row, tally=Tally({**row.tally.counts, COST: named}))


def _with_months(start: int, end: int, now: float) -> list[tuple[int, int, int]]:
    """Whole months that are over, and days before and after them."""
    begin = start if start == month_of(start) else month_after(month_of(start))
    whole = min(month_of(end), month_of(now))
    if begin >= whole:
        return [(DAY_S, start, end)]
    return [(DAY_S, start, begin), (MONTH_S, begin, whole), (DAY_S, whole, end)]


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
