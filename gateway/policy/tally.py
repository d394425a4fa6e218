"""What was counted of some time: mails, SMS, what became of them, how long that took, what it cost. Tallies add up, so
that an hour is the sum of its twelve slots and a month the sum of its days."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

SLOT_S, HOUR_S, DAY_S, MONTH_S = 300, 3600, 86400, 30 * 86400
"""The spans in which is counted. They begin on the clock, UTC; a month is one of the calendar, whatever its length."""
BOUNDS_S = (
    0.25,
    0.5,
    1.0,
    2.0,
    3.0,
    5.0,
    7.0,
    10.0,
    15.0,
    20.0,
    30.0,
    45.0,
    60.0,
    90.0,
    120.0,
    300.0,
    600.0,
    1800.0,
    3600.0,
    21600.0,
    86400.0,
)
"""Upper ends of the classes of latencies, in seconds; one more class holds what took longer."""
MICRO = 1_000_000
"""Money is counted in millionths."""

STATES, SEGMENTS, TEXTS, COST = "state", "segments", "texts", "cost"
"""Kinds of counts: SMS by state; parts of them, and SMS, by alphabet; millionths by currency."""
REASONS, DROPPED_FOR, REFUSED = "reason", "dropped_for", "refused"
"""Why: SMS that came to nothing, destinations that were refused before sending, mails that were refused."""
TO_SUBMIT, TO_DELIVER = "to_submit", "to_deliver"
"""SMS by class of latency: up to the provider's answer, and from there to the receipt."""
MAILS, CLIENTS = "mails", "clients"
"""Mails, refused or accepted; and by client."""
DROPPED = "dropped"
"""The state of a destination that was refused before sending: it was never an SMS."""

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts by kind and name. Of which account, provider and time, its owner knows."""

    counts: Counts = field(default_factory=dict)

    def names(self, kind: str) -> Mapping[str, int]:
        """The counts of one kind by name."""
        return self.counts.get(kind, {})

    def total(self, kind: str) -> int:
        """All of one kind."""
        return sum(self.names(kind).values())

    def state(self, *names: str) -> int:
        """SMS in these states."""
        states = self.names(STATES)
        return sum(states.get(name, 0) for name in names)

    @property
    def asked(self) -> int:
        """Destinations of accepted mails."""
        return self.total(STATES)

    @property
    def accepted(self) -> int:
        """Of them, those that became SMS."""
        return self.asked - self.state(DROPPED)

    @property
    def submitted(self) -> int:
        """SMS that a provider has taken, whatever became of them then."""
        return self.total(TO_SUBMIT)

    @property
    def delivered(self) -> int:
        """SMS that a receipt says are on the handset."""
        return self.state("delivered")

    @property
    def failed(self) -> int:
        """SMS that came to nothing: refused by the provider, undelivered, expired."""
        return self.state("failed", "undelivered", "expired")

    @property
    def uncertain(self) -> int:
        """SMS of which nobody knows."""
        return self.state("uncertain")

    @property
    def waiting(self) -> int:
        """SMS that are still to go out."""
        return self.state("queued", "submitting", "held")

    @property
    def delivery_rate(self) -> float | None:
        """Of the SMS whose fate is known, the part that was delivered; None: nothing is known yet."""
        known = self.delivered + self.failed
        return self.delivered / known if known else None

    def percentile(self, kind: str, share: float) -> float | None:
        """Seconds that no more than this share of the latencies exceed; None without any. Exact to the class."""
        return percentile(self.names(kind), share)


NOTHING = Tally()


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum."""
    counts: dict[str, dict[str, int]] = {}
    for tally in tallies:
        for kind, names in tally.counts.items():
            mine = counts.setdefault(kind, {})
            for name, count in names.items():
                mine[name] = mine.get(name, 0) + count
    return Tally(counts)


def month_of(at: float) -> int:
    """When the month began in which this time lies."""
    day = datetime.fromtimestamp(at, UTC)
    return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp())


def month_after(month: int) -> int:
    """When the next one begins."""
    return month_of(month + 32 * DAY_S)


def latency_class(seconds: float) -> int:
    """In which class a latency is counted."""
    return bisect_left(BOUNDS_S, seconds)


def percentile(classes: Mapping[str, int], share: float) -> float | None:
    """Between the ends of its class, as if all in it were spread evenly."""
    wanted = share * sum(classes.values())
    if not wanted:
        return None
    before = 0
    for index, count in sorted((int(name), count) for name, count in classes.items()):
        if before + count >= wanted:
            low = BOUNDS_S[index - 1] if index else 0.0
            high = BOUNDS_S[index] if index < len(BOUNDS_S) else low
            return low + (high - low) * (wanted - before) / count
        before += count
    return BOUNDS_S[-1]


def money(written: str) -> tuple[int, str] | None:
    """What a provider wrote as cost, in millionths, and its currency, empty where it named none. None: no number."""
    amount, _, currency = written.strip().replace(",", ".").partition(" ")
    try:
        value = Decimal(amount)
        micro = round(value * MICRO)
    except (InvalidOperation, OverflowError, ValueError):
        return None
    return (micro, currency.strip()[:10]) if 0 <= micro < 10**15 else None


def top(names: Mapping[str, int], limit: int) -> list[tuple[str, int]]:
    """The largest, then by name."""
    return sorted(names.items(), key=lambda item: (-item[1], item[0]))[:limit]
