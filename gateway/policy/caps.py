"""How much may be sent: what a mail would use up of each cap. The store reserves it, in the transaction that stores
the mail (step 11 of the admission)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

from gateway.model import Burst, Cap, Job, NumberCaps
from gateway.policy.routing import Hours, Router
from gateway.sms import numbers
from gateway.verdicts import PRICE_UNKNOWN, QUOTA_GATEWAY, QUOTA_SPEND, Refused

MICRO = 1_000_000
"""Money is counted in millionths: one SMS may cost 0.0045."""
THE_GATEWAY = ""
"""Whose counters those of all accounts together are; no login is empty."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which nothing goes out but what is urgent."""

    hours: Hours
    urgent: tuple[str, ...] = ()
    """Words in a text, letter case aside, that make it so."""

    def applies_to(self, text: str) -> bool:
        """Whether this text has to wait in them."""
        folded = text.casefold()
        return not any(word.casefold() in folded for word in self.urgent)


@dataclass(frozen=True, slots=True)
class AccountCaps:
    """Of one account, beside its numbers of SMS an hour and a day."""

    spend_per_day: Decimal | None = None
    """In the currency of the providers' prices."""
    hold_above: int | None = None
    hold_window_s: float = 600.0
    """More SMS than that within this time: the account is held."""
    quiet: Quiet | None = None


@dataclass(frozen=True, slots=True)
class HouseCaps:
    """Of all accounts together, and for single numbers."""

    per_hour: int | None = None
    per_day: int | None = None
    segments_per_day: int | None = None
    spend_per_day: Decimal | None = None
    verified: NumberCaps = field(default_factory=NumberCaps)
    unverified: NumberCaps = field(default_factory=NumberCaps)
    """For one number, by whether the sender is verified."""
    quiet: Quiet | None = None


def periods(at: float) -> tuple[str, str]:
    """By which names the clock hour and the day (UTC) of that moment are counted."""
    return _periods(int(at // 3600))


@lru_cache(maxsize=8)
def _periods(hours: int) -> tuple[str, str]:
    at = datetime.fromtimestamp(hours * 3600, UTC)
    return at.strftime("%Y-%m-%dT%H"), at.strftime("%Y-%m-%d")


def burst(account: str, own: AccountCaps, at: float) -> Burst | None:
    """What would be too much of a sudden; None: nothing is. Windows stand on the clock, as hours and days do."""
    if own.hold_above is None:
        return None
    window, (_, day) = int(at // own.hold_window_s), periods(at)
    return Burst((account, f"{day} burst {window}"), own.hold_above, round(own.hold_window_s / 60))


def caps(account: str, jobs: Sequence[Job], own: AccountCaps, house: HouseCaps, router: Router) -> tuple[Cap, ...]:
    """What these jobs of one mail would use up, in the clock hour and the day (UTC) in which it came. Each has a
    price where money is capped: ``price_is_known``."""
    if not jobs:
        return ()
    found: list[Cap] = []
    hour, day = periods(jobs[0].created_at)
    if house.per_hour is not None:
        found.append(Cap((THE_GATEWAY, hour), len(jobs), house.per_hour, QUOTA_GATEWAY))
    if house.per_day is not None:
        found.append(Cap((THE_GATEWAY, day), len(jobs), house.per_day, QUOTA_GATEWAY))
    if house.segments_per_day is not None:
        segments = sum(job.segments for job in jobs)
        found.append(Cap((THE_GATEWAY, f"{day} segments"), segments, house.segments_per_day, QUOTA_GATEWAY))
    if own.spend_per_day is not None or house.spend_per_day is not None:
        money = sum(_cost(job, router) for job in jobs)
        for who, cap, reason in (
            (account, own.spend_per_day, QUOTA_SPEND),
            (THE_GATEWAY, house.spend_per_day, QUOTA_GATEWAY),
        ):
            if cap is not None:
                found.append(Cap((who, f"{day} spend"), money, int(cap * MICRO), reason, MICRO))
    return tuple(found)


def price_is_known(number: str, route: Sequence[str], own: AccountCaps, house: HouseCaps, router: Router) -> None:
    """Raises ``Refused`` (FORBIDDEN) where money is capped and a provider of the route does not say what the number
    costs: an SMS without a price would make the cap a wish."""
    if own.spend_per_day is None and house.spend_per_day is None:
        return
    if any(router.carrier(name).price(number) is None for name in route):
        raise Refused(PRICE_UNKNOWN, number=numbers.mask(number))


def _cost(job: Job, router: Router) -> int:
    """In millionths: at the dearest provider of the route, for it may come to that."""
    dearest = max(router.carrier(name).price(job.destination) or Decimal(0) for name in job.route)
    return int((dearest * job.segments * MICRO).to_integral_value(ROUND_CEILING))
