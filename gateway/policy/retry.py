"""When a job is tried again, and by whom."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Deferred, Scope


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff. One-time codes die within a minute, so the first wait is short; a provider that is
    down for hours must not be hammered, so the last is long."""

    first_s: float = 5.0
    max_s: float = 600.0
    jitter: float = 0.2
    """Part of the wait that chance takes off, so that jobs deferred together do not come back together."""
    tries_per_provider: int = 3
    """Failures in a row at one provider before the next of the route gets its turn."""
    pause_s: float = 300.0
    """How long a provider account that refused us is left alone."""


def backoff(policy: RetryPolicy, tries: int, chance: float) -> float:
    """Seconds to wait after the ``tries``-th failure in a row; ``chance`` is uniform in [0, 1)."""
    wait = min(policy.max_s, policy.first_s * 2.0 ** min(tries - 1, 30))
    return wait * (1 - policy.jitter * chance)


def next_provider(route: tuple[str, ...], current: str, deferred: Deferred, tries: int, policy: RetryPolicy) -> str:
    """Who tries next. Waiting that concerns only this job or this provider account stays where it is:
    a duplicate window is not left by asking somebody else, and an unpaid bill is not solved by spending elsewhere."""
    if deferred.scope is not Scope.ROUTE or len(route) < 2:
        return current
    if deferred.after_s is None and tries < policy.tries_per_provider:
        return current
    return route[(route.index(current) + 1) % len(route)] if current in route else route[0]
