"""How long a provider's balance will last, by how fast it has fallen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

LOOK_BACK_S = 7 * 86400.0
LEAST_S = 3600.0
"""Over less than that nothing is foretold."""


@dataclass(frozen=True, slots=True)
class Burndown:
    """``per_day`` is what has gone a day; what was paid in does not count against it."""

    per_day: float
    zero_at: float | None
    """When nothing is left, seconds since the epoch; None: nothing is being spent."""


def burndown(readings: Sequence[tuple[float, float]]) -> Burndown | None:
    """Of ``(at, amount)`` in the order of time; None when there are too few. Only the last week counts."""
    if not readings:
        return None
    last_at, left = readings[-1]
    recent = [reading for reading in readings if reading[0] >= last_at - LOOK_BACK_S]
    span_s = last_at - recent[0][0]
    if span_s < LEAST_S:
        return None
    spent = sum(max(0.0, before - after) for (_, before), (_, after) in pairwise(recent))
    per_day = spent / span_s * 86400.0
    zero_at = last_at + max(0.0, left) / per_day * 86400.0 if per_day > 0 else None
    return Burndown(per_day, zero_at)
