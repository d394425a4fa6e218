"""Which providers may carry a job, in which order, and why.

Which route is taken: those that ask for more than the number (originator, account, hours) come first, in the order of
the file, and the first that matches is taken. When none does, the number alone decides: the longest prefix that
matches; a country counts as its calling code and goes before that.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.model import Channel
from gateway.sms import numbers

ONLY_SMS = frozenset({Channel.SMS})


@dataclass(frozen=True, slots=True)
class Carrier:
    """What routing must know of a provider account."""

    channels: frozenset[Channel] = ONLY_SMS
    schedules: bool = False
    """It takes a scheduled SMS at once, with its time."""
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    """Of one segment, by the first digits of the number."""

    def price(self, destination: str) -> Decimal | None:
        """That of the longest prefix in the table; None: it names none."""
        for length in range(len(destination), -1, -1):
            if (price := self.prices.get(destination[:length])) is not None:
                return price
        return None


@dataclass(frozen=True, slots=True)
class Trip:
    """What is to be carried."""

    destination: str
    originator: str = ""
    account: str = ""
    channel: Channel = Channel.SMS
    at: float = 0.0
    """When it is to be sent, seconds since the epoch."""
    key: str = ""
    """What a weighted route draws by: the job's id. The same key draws the same order."""


@dataclass(frozen=True, slots=True)
class Hours:
    """A time of the day, in minutes since midnight of a time zone. ``end`` is no more in it; before ``start``: of the
    next day."""

    start: int
    end: int
    zone: tzinfo

    def local(self, at: float) -> datetime:
        """That moment on the clocks of the zone."""
        return datetime.fromtimestamp(at, self.zone)

    def include(self, at: float) -> bool:
        """Whether the clocks of the zone show such a time then."""
        local = self.local(at)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def ending_after(self, at: float) -> float:
        """The first moment after ``at`` at which they end."""
        local = self.local(at)
        end = local.replace(hour=self.end // 60 % 24, minute=self.end % 60, second=0, microsecond=0)
        return (end if end > local else end + timedelta(days=1)).timestamp()

    def __str__(self) -> str:
        return f"{_clock(self.start)}-{_clock(self.end)} {self.zone}"

    @classmethod
    @lru_cache(maxsize=256)
    def written(cls, text: str) -> Hours:
        """``str`` of such hours, read again."""
        times, _, zone = text.partition(" ")
        start, end = (int(time[:2]) * 60 + int(time[3:]) for time in times.split("-"))
        return cls(start, end, ZoneInfo(zone))


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True, slots=True)
class Names:
    """Originators or logins; ``*`` stands for any characters, letter case matters."""

    patterns: tuple[str, ...]
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        choices = (re.escape(pattern).replace(r"\*", ".*") for pattern in self.patterns)
        object.__setattr__(self, "_pattern", re.compile("|".join(choices)))

    def __contains__(self, name: str) -> bool:
        return self._pattern.fullmatch(name) is not None


class Order(StrEnum):
    """Which provider of a route is the first; the others follow when it cannot."""

    LISTED = "listed"
    WEIGHTED = "weighted"
    CHEAPEST = "cheapest"


@dataclass(frozen=True, slots=True)
class Route:
    """What matches all its conditions goes to these providers."""

    providers: tuple[str, ...]
    prefixes: tuple[str, ...] = ("",)
    """First digits of the number (E.164, no plus); one of them."""
    countries: frozenset[str] = frozenset()
    """ISO 3166 codes, in capitals; empty: all."""
    originators: Names | None = None
    accounts: Names | None = None
    hours: Hours | None = None
    """None, for these three: any."""
    order: Order = Order.LISTED
    weights: tuple[int, ...] = ()
    """Of the providers, in their order; empty: all the same."""

    @property
    def asks_for_more(self) -> bool:
        """Than for the number."""
        return any(condition is not None for condition in (self.originators, self.accounts, self.hours))

    @property
    def stems(self) -> tuple[str, ...]:
        """The prefixes; where there are none, the calling codes of the countries."""
        if self.countries and self.prefixes == ("",):
            return tuple(dict.fromkeys(map(numbers.calling_code, sorted(self.countries))))
        return self.prefixes

    def objections(self, trip: Trip) -> Iterator[str]:
        """What speaks against this route, in words; nothing: it matches."""
        if not trip.destination.startswith(self.prefixes):
            yield "another prefix"
        if self.countries and (country := numbers.country(trip.destination)) not in self.countries:
            yield f"country is {country or 'not known'}"
        if self.originators is not None and trip.originator not in self.originators:
            yield f'originator is "{trip.originator}"' if trip.originator else "no originator given"
        if self.accounts is not None and trip.account not in self.accounts:
            yield f'account is "{trip.account}"' if trip.account else "no account given"
        if self.hours is not None and not self.hours.include(trip.at):
            yield f"{self.hours.local(trip.at):%H:%M} in {self.hours.zone}"

    def matches(self, trip: Trip) -> bool:
        """All its conditions hold."""
        return next(self.objections(trip), None) is None

    def share(self, index: int) -> tuple[int, int]:
        """The weight of a provider, and that of all."""
        weights = self.weights or (1,) * len(self.providers)
        return weights[index], sum(weights)

    def drawn(self, key: str) -> list[str]:
        """The providers in an order drawn by weight. Each has a lifetime that hangs on the key and its name only and
        is the shorter the heavier it is (Efraimidis and Spirakis, 2006): another provider in the route moves only
        the jobs that it takes over. Without a key: the likeliest order."""

        def life(index: int) -> float:
            drawn = _exponential(f"{self.providers[index]} {key}") if key else 1.0
            return drawn / self.share(index)[0]

        return [self.providers[index] for index in sorted(range(len(self.providers)), key=life)]


def _exponential(seed: str) -> float:
    """A number of the exponential distribution, always the same for the seed."""
    drawn = int.from_bytes(hashlib.blake2b(seed.encode("utf-8", "replace"), digest_size=7).digest(), "big")
    return -math.log((drawn + 1) / (1 << 56))


@dataclass(frozen=True, slots=True)
class Judged:
    """A route, and what became of it."""

    route: Route
    taken: bool
    matches: bool
    """All its conditions hold; if it is not taken, another one goes before it."""
    why_not: str
    """Empty for the one that is taken."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A provider of the route that is taken."""

    provider: str
    carries: bool
    """The channel; one that does not is left out."""
    why: str
    price: Decimal | None
    """Of one segment."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a job goes where it goes."""

    judged: tuple[Judged, ...]
    """All routes, in the order of the configuration."""
    hops: tuple[Hop, ...]
    """In the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Router:
    """All routes and carriers of the configuration."""

    routes: Sequence[Route]
    carriers: Mapping[str, Carrier] = field(default_factory=dict)
    _first: tuple[Route, ...] = field(init=False, repr=False, compare=False)
    """Those that ask for more than the number."""
    _by_stem: Mapping[str, Sequence[Route]] = field(init=False, repr=False, compare=False)
    """The others; those of a country before those of the same digits."""
    _lengths: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """Of the stems, the longest first."""

    def __post_init__(self) -> None:
        by_stem: dict[str, list[Route]] = {}
        for route in sorted(self.routes, key=lambda route: not route.countries):
            for stem in () if route.asks_for_more else route.stems:
                by_stem.setdefault(stem, []).append(route)
        object.__setattr__(self, "_first", tuple(route for route in self.routes if route.asks_for_more))
        object.__setattr__(self, "_by_stem", by_stem)
        object.__setattr__(self, "_lengths", tuple(sorted({len(stem) for stem in by_stem}, reverse=True)))

    def providers(self, trip: Trip) -> tuple[str, ...]:
        """Those of the route that is taken that carry the channel; none when no route takes the number."""
        route = self.route(trip)
        if route is None:
            return ()
        return tuple(name for name in self._ordered(route, trip) if trip.channel in self.carrier(name).channels)

    def route(self, trip: Trip) -> Route | None:
        """The one that is taken."""
        return next((route for route in self._candidates(trip.destination) if route.matches(trip)), None)

    def carrier(self, name: str) -> Carrier:
        """Of that name; one that nothing is known of carries SMS."""
        return self.carriers.get(name) or Carrier()

    def _candidates(self, destination: str) -> Iterator[Route]:
        """The routes in the order in which they are judged, most of those of other numbers left out."""
        yield from self._first
        for length in self._lengths:
            yield from self._by_stem.get(destination[:length], ())

    def _ordered(self, route: Route, trip: Trip) -> Sequence[str]:
        match route.order:
            case Order.WEIGHTED:
                return route.drawn(trip.key)
            case Order.CHEAPEST:
                prices = {name: self.carrier(name).price(trip.destination) for name in route.providers}
                return sorted(prices, key=lambda name: (prices[name] is None, prices[name] or 0))
            case _:
                return route.providers

    # ── for people ───────────────────────────────────────────────────────────────────────────

    def explain(self, trip: Trip) -> Explanation:
        """What ``providers`` does, with reasons."""
        taken = self.route(trip)
        judged = tuple(self._judged(route, taken, trip) for route in self.routes)
        if taken is None:
            return Explanation(judged, ())
        return Explanation(judged, tuple(self._hop(name, taken, trip) for name in self._ordered(taken, trip)))

    def _judged(self, route: Route, taken: Route | None, trip: Trip) -> Judged:
        objections = tuple(route.objections(trip))
        if objections or taken is None or route is taken:
            return Judged(route, route is taken, not objections, "; ".join(objections))
        index = next(index for index, other in enumerate(self.routes) if other is taken)
        return Judged(route, False, True, f"behind routes[{index}], {_advantage(taken, route, trip)}")

    def _hop(self, name: str, route: Route, trip: Trip) -> Hop:
        carrier = self.carrier(name)
        price, carries = carrier.price(trip.destination), trip.channel in carrier.channels
        match route.order:
            case Order.WEIGHTED:
                why = "first for {} of {}".format(*route.share(route.providers.index(name)))
            case Order.CHEAPEST:
                why = "no price: last" if price is None else "by price"
            case _:
                why = "as listed"
        return Hop(name, carries, why if carries else f"left out: does not carry {trip.channel.value}", price)

    def never_taken(self) -> Iterator[tuple[int, int]]:
        """Routes that another one always goes before: the index of both. Not all such cases are found."""
        places = {id(route): index for index, route in enumerate(self.routes)}
        for index, route in enumerate(self.routes):
            rivals = self._first if route.asks_for_more else self._by_stem[route.stems[0]]
            earlier = (places[id(rival)] for rival in rivals if places[id(rival)] < index and _hides(rival, route))
            if (before := next(earlier, None)) is not None:
                yield index, before


def _advantage(taken: Route, other: Route, trip: Trip) -> str:
    if taken.asks_for_more:
        return "the earlier one" if other.asks_for_more else "which asks for more than the number"
    if _stem(taken, trip) > _stem(other, trip):
        return "a longer prefix"
    return "a country" if taken.countries and not other.countries else "the earlier one"


def _stem(route: Route, trip: Trip) -> int:
    return max(len(stem) for stem in route.stems if trip.destination.startswith(stem))


def _hides(first: Route, second: Route) -> bool:
    """Whether ``first``, which stands earlier in the file, always goes before ``second``, of the same sort."""
    if not first.asks_for_more:
        same_rank = bool(first.countries) == bool(second.countries)
        return same_rank and set(second.stems) <= set(first.stems) and second.countries <= first.countries
    same_country = not first.countries or (bool(second.countries) and second.countries <= first.countries)
    return (
        same_country
        and all(prefix.startswith(first.prefixes) for prefix in second.prefixes)
        and _cover(first.originators, second.originators)
        and _cover(first.accounts, second.accounts)
        and first.hours in (None, second.hours)
    )


def _cover(first: Names | None, second: Names | None) -> bool:
    """Whether every name of the second is surely one of the first."""
    return first is None or (second is not None and set(second.patterns) <= set(first.patterns))
