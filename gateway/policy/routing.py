"""Which providers may carry a job, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.model import Channel

ONLY_SMS = frozenset({Channel.SMS})


@dataclass(frozen=True, slots=True)
class Carrier:
    """What routing must know of a provider account."""

    channels: frozenset[Channel] = ONLY_SMS
    schedules: bool = False
    """It takes a scheduled SMS at once, with its time."""


@dataclass(frozen=True, slots=True)
class Route:
    """Numbers that begin with ``prefix`` (E.164 digits; empty: all) go to these providers, the first one first."""

    prefix: str
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trip:
    """What is to be carried."""

    destination: str
    originator: str = ""
    account: str = ""
    channel: Channel = Channel.SMS
    at: float = 0.0
    """When it is to be sent, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Router:
    """All routes and carriers of the configuration."""

    routes: Sequence[Route]
    carriers: Mapping[str, Carrier] = field(default_factory=dict)

    def providers(self, trip: Trip) -> tuple[str, ...]:
        """Those of the longest matching prefix that carry the channel; none when no route takes the number."""
        matching = [route for route in self.routes if trip.destination.startswith(route.prefix)]
        if not matching:
            return ()
        best = max(matching, key=lambda route: len(route.prefix))
        return tuple(name for name in best.providers if trip.channel in self.carrier(name).channels)

    def carrier(self, name: str) -> Carrier:
        """Of that name; one that nothing is known of carries SMS."""
        return self.carriers.get(name, Carrier())
