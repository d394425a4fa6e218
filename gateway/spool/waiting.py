"""What waits: how much, since when, until when, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select

from gateway.lifecycle import State
from gateway.spool.schema import jobs

COUNTED = 10_000
"""More are not counted one by one."""
_STATES = (State.QUEUED, State.SUBMITTING, State.HELD, State.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Line:
    """Jobs of one provider in one state."""

    provider: str
    state: State
    count: int
    is_more: bool
    """There are more than ``count``."""
    oldest: float
    """When it came in."""
    next_due: float | None
    """When something is to be done by itself."""
    reasons: tuple[tuple[str, int], ...]
    """Why they wait, as far as somebody has said, and how many."""


def lines(connection: Connection, accounts: Sequence[str] | None) -> list[Line]:
    """Of these accounts; None: of all. What waits the longest first."""
    found = []
    for state in _STATES:
        mine = [func.lower(jobs.c.state) == state.value]
        mine += [] if accounts is None else [jobs.c.account.in_(accounts)]
        columns = (jobs.c.provider, jobs.c.why, jobs.c.created_at, jobs.c.due_at)
        some = select(*columns).where(*mine).order_by(jobs.c.created_at).limit(COUNTED + 1).subquery()
        oldest, due = func.min(some.c.created_at).label("oldest"), func.min(some.c.due_at).label("due")
        groups = select(some.c.provider, some.c.why, func.count().label("n"), oldest, due)
        rows = connection.execute(groups.group_by(some.c.provider, some.c.why)).all()
        is_more = sum(row.n for row in rows) > COUNTED
        for provider in {row.provider for row in rows}:
            found.append(_line(provider, state, [row for row in rows if row.provider == provider], is_more))
    return sorted(found, key=lambda line: (line.oldest, line.provider))


def _line(provider: str, state: State, rows: Sequence[Row[Any]], is_more: bool) -> Line:
    reasons = sorted(((row.why, row.n) for row in rows if row.why), key=lambda reason: -reason[1])
    return Line(
        provider,
        state,
        count=min(sum(row.n for row in rows), COUNTED),
        is_more=is_more,
        oldest=min(row.oldest for row in rows),
        next_due=min((row.due for row in rows if row.due is not None), default=None),
        reasons=tuple(reasons[:3]),
    )
