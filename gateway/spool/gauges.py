"""The store in figures: what waits and for how long, who is stopped. Each is a step down an index, or a count along one
of what is open; nothing reads what is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Connection, TextClause, func, literal, select, text

from gateway.lifecycle import State
from gateway.spool import balances, holds
from gateway.spool.balances import Reading
from gateway.spool.holds import Hold
from gateway.spool.schema import OPEN, PENDING, heartbeats, hooks, jobs, outbox, providers

MANY = 100_000
"""So far is counted; the store has other things to do."""
LOOK_AT = 500
"""Of the queued jobs, those that expire first are the oldest; some of them wait for their time."""
NEWEST = 1000
"""Jobs in which the last success of a provider is looked for."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """At one moment."""

    ready: int
    """Could go out now."""
    waiting: int
    """Queued for later: a retry, a schedule, quiet hours."""
    in_flight: int
    held: int
    uncertain: int
    oldest_age_s: float
    """Of what should have gone out: since the mail came, or since its time if it was scheduled."""
    replies: int
    """Reply mails that wait for the smarthost."""
    webhooks: int
    holds: tuple[Hold, ...]
    paused: Mapping[str, str]
    """Providers that are left alone, and why."""
    heartbeats: Mapping[str, float]
    """When the last heartbeat of that name went out that came through."""
    balances: Mapping[str, Reading]
    """The last known ones."""
    size_bytes: int
    """Of the database."""


def read(connection: Connection, names: Sequence[str], beats: Iterable[str], now: float) -> Gauges:
    """``names`` are the providers of the configuration, ``beats`` its heartbeats."""
    theirs = [(jobs.c.provider == name, _QUEUED) for name in names]
    paused = select(providers.c.name, providers.c.paused_why).where(providers.c.paused_until > now)
    return Gauges(
        ready=sum(_count(connection, jobs.c.due_at, *mine, jobs.c.due_at <= now) for mine in theirs),
        waiting=sum(_count(connection, jobs.c.due_at, *mine, jobs.c.due_at > now) for mine in theirs),
        in_flight=_in(connection, State.SUBMITTING),
        held=_in(connection, State.HELD),
        uncertain=_in(connection, State.UNCERTAIN),
        oldest_age_s=_oldest_age(connection, now),
        replies=_count(connection, outbox.c.due_at, text(PENDING), outbox.c.due_at > 0),
        webhooks=_count(connection, hooks.c.due_at, hooks.c.due_at > 0),
        holds=tuple(holds.listed(connection)),
        paused={row.name: row.paused_why for row in connection.execute(paused)},
        heartbeats={name: at for name in beats if (at := _last_beat(connection, name)) is not None},
        balances={name: found for name in names if (found := balances.last(connection, name, now + 1)) is not None},
        size_bytes=_size(connection),
    )


_QUEUED = jobs.c.state == State.QUEUED.value


def _count(connection: Connection, along: Column[float], *conditions: ColumnElement[bool] | TextClause) -> int:
    """In the order of an index: a planner that does not know the values must not read the table for so few."""
    some = select(literal(1)).where(*conditions).order_by(along).limit(MANY).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def _in(connection: Connection, state: State) -> int:
    return _count(connection, jobs.c.expires_at, text(OPEN), jobs.c.state == state.value)


def _oldest_age(connection: Connection, now: float) -> float:
    """All jobs are valid for the same time, so what expires first is the oldest."""
    first = (
        select(jobs.c.created_at, jobs.c.not_before, jobs.c.due_at, jobs.c.tries)
        .where(text(OPEN), _QUEUED)
        .order_by(jobs.c.expires_at)
        .limit(LOOK_AT)
    )
    late = [row for row in connection.execute(first) if row.tries or (row.due_at is not None and row.due_at <= now)]
    return max((now - max(row.created_at, row.not_before or 0.0) for row in late), default=0.0)


def _last_beat(connection: Connection, name: str) -> float | None:
    mine = select(heartbeats.c.at).where(heartbeats.c.name == name, heartbeats.c.state == "ok")
    return connection.execute(mine.order_by(heartbeats.c.at.desc()).limit(1)).scalar_one_or_none()


def _size(connection: Connection) -> int:
    if connection.dialect.name == "postgresql":
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    pages, each = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
    return int(pages * each)


def last_successes(connection: Connection, now: float) -> dict[str, float]:
    """When each provider was called the last time for an SMS that it took, as far as the newest jobs tell."""
    newest = select(jobs.c.provider, jobs.c.state, jobs.c.sent_at).where(jobs.c.created_at <= now)
    found: dict[str, float] = {}
    for row in connection.execute(newest.order_by(jobs.c.created_at.desc()).limit(NEWEST)):
        if row.state in _TAKEN and row.sent_at is not None:
            found[row.provider] = max(found.get(row.provider, 0.0), row.sent_at)
    return found


_TAKEN = (State.SUBMITTED.value, State.DELIVERED.value, State.UNDELIVERED.value)
