"""How much waits, since when, and for whom; minute by minute."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, text

from gateway.lifecycle import State
from gateway.spool.engine import insert_missing
from gateway.spool.schema import OPEN, jobs, levels

MINUTE_S = 60
KEPT_S = 26 * 3600.0
WAITING = (State.QUEUED, State.SUBMITTING, State.HELD, State.UNCERTAIN)
"""States in which an SMS is not at its end, and nobody has said that it has it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """SMS in one state at one provider."""

    state: State
    provider: str
    count: int
    oldest_at: float
    """When the oldest of them came."""


@dataclass(frozen=True, slots=True)
class Level:
    """How many were in a state at a full minute."""

    at: int
    state: State
    depth: int
    oldest_at: float | None


def waiting(connection: Connection, accounts: Collection[str] | None = None) -> list[Waiting]:
    """Now; of these accounts, or of all (None)."""
    query = select(jobs.c.state, jobs.c.provider, func.count().label("n"), func.min(jobs.c.created_at).label("oldest"))
    if accounts is not None:
        query = query.where(jobs.c.account.in_(list(accounts)))
    rows = connection.execute(query.where(text(OPEN)).group_by(jobs.c.state, jobs.c.provider))
    return sorted(
        (Waiting(State(row.state), row.provider, row.n, row.oldest) for row in rows),
        key=lambda found: (WAITING.index(found.state), found.provider),
    )


def note(connection: Connection, now: float, found: Sequence[Waiting]) -> None:
    """Write down what was found waiting now, once a minute over all processes. Counted before, by somebody who only
    reads: a million take a second, and whoever writes meanwhile would wait."""
    at = int(now // MINUTE_S) * MINUTE_S
    rows = []
    for state in WAITING:
        mine = [one for one in found if one.state is state]
        oldest = min((one.oldest_at for one in mine), default=None)
        rows.append({"at": at, "state": state.value, "depth": sum(one.count for one in mine), "oldest_at": oldest})
    connection.execute(insert_missing(connection, levels), rows)


def history(connection: Connection, since: float) -> list[Level]:
    """From then on, in the order of time."""
    rows = connection.execute(select(levels).where(levels.c.at >= since).order_by(levels.c.at))
    return [Level(row.at, State(row.state), row.depth, row.oldest_at) for row in rows]


def forget(connection: Connection, now: float) -> None:
    """What nobody draws any more."""
    connection.execute(delete(levels).where(levels.c.at < now - KEPT_S))
