"""The way of an SMS: which providers it goes to, why, and what it costs there. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from gateway.model import Channel
from gateway.policy.routing import Hop, Judged, Order, Route, Trip
from gateway.service.wording import refusal_line
from gateway.settings.load import Configuration
from gateway.sms import numbers
from gateway.verdicts import CREDENTIALS_WRONG, Refused

__all__ = ["Channel", "Hop", "Judged", "Order", "Route", "Trip", "Way", "conditions", "way"]


@dataclass(frozen=True, slots=True)
class Way:
    """Where an SMS goes, and what would be the reason."""

    trip: Trip
    country: str
    """ISO 3166; empty: not known."""
    country_name: str
    operator: str
    """As the number was given out; empty: not known."""
    judged: tuple[Judged, ...]
    """All routes, in the order of the configuration."""
    hops: tuple[Hop, ...]
    """The providers of the route that is taken, in the order in which they are tried."""
    closed: str
    """Why no route is asked at all; empty: the number is open."""
    parts: int
    """Segments that are paid for."""
    paused: Mapping[str, str]
    """Providers that are stopped, and why."""

    @property
    def is_possible(self) -> bool:
        """Some provider would be tried."""
        return not self.closed and any(hop.carries for hop in self.hops)

    def cost(self, hop: Hop) -> Decimal | None:
        """Of all segments, by the price list of the configuration; None: no price is known."""
        return None if hop.price is None else hop.price * self.parts


def way(  # noqa: PLR0913  (what a route may ask for)
    configuration: Configuration,
    number: str,
    at: float,
    *,
    login: str = "",
    originator: str = "",
    channel: Channel = Channel.SMS,
    job: str = "",
    parts: int = 1,
    paused: Mapping[str, str] | None = None,
) -> Way:
    """Explain. ``at`` is when it is to go out, ``job`` whose draw by weights is wanted, ``parts``
    how many segments it takes. Raises ``Refused`` for what is
    no number, and for a login that nobody has."""
    if login and not configuration.directory.knows(login):
        raise Refused(CREDENTIALS_WRONG)
    trip = Trip(numbers.parse(number), originator, login, channel, at, job)
    found = configuration.house.router.explain(trip)
    return Way(
        trip=trip,
        country=numbers.country(trip.destination),
        country_name=numbers.country_name(trip.destination),
        operator=numbers.operator(trip.destination),
        judged=found.judged,
        hops=found.hops,
        closed=_closed(configuration, trip),
        parts=max(1, parts),
        paused=paused or {},
    )


def conditions(route: Route) -> str:
    """Of what an SMS must be for this route, in words."""
    words = [f"prefix {', '.join(route.prefixes)}"] if route.prefixes != ("",) else []
    words += [f"country {', '.join(sorted(route.countries))}"] if route.countries else []
    words += [f"originator {', '.join(route.originators.patterns)}"] if route.originators else []
    words += [f"account {', '.join(route.accounts.patterns)}"] if route.accounts else []
    words += [str(route.hours)] if route.hours else []
    return "; ".join(words) or "everything"


def _closed(configuration: Configuration, trip: Trip) -> str:
    own = configuration.directory.accounts[trip.account].destinations if trip.account else None
    try:
        (own or configuration.house.destinations).check(trip.destination, trip.channel)
    except Refused as refused:
        return refusal_line(refused.refusal)
    return ""
