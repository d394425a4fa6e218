"""How fast a provider may be called: GCRA, one number a provider, exact across processes. And whether at all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, exists, or_, select, update

from gateway.spool.engine import insert_missing
from gateway.spool.holds import Scope
from gateway.spool.prepared import Query
from gateway.spool.schema import holds, providers

_LOCKED = Query(
    select(
        providers,
        # Of the kill switch, without a statement of its own: whether nothing of it may go out, whether of some account.
        exists()
        .where(
            or_(
                holds.c.scope == Scope.ALL.value,
                and_(holds.c.scope == Scope.PROVIDER.value, holds.c.name == providers.c.name),
            )
        )
        .label("on_hold"),
        exists().where(holds.c.scope == Scope.ACCOUNT.value).label("accounts_on_hold"),
    )
    .where(providers.c.name == bindparam("provider"))
    .with_for_update(of=providers)
)


def locked(connection: Connection, name: str) -> Row[Any]:
    """The provider's row, locked: its jobs are claimed by one process at a time, which makes the rate exact
    and lets each claim see the requests that were made just before."""
    rows = _LOCKED(connection, {"provider": name})
    if not rows:
        connection.execute(insert_missing(connection, providers), {"name": name, "next_free_at": 0.0})
        rows = _LOCKED(connection, {"provider": name})
    row: Row[Any] = rows[0]
    return row


def allowance(connection: Connection, row: Row[Any], rate: float | None, now: float) -> tuple[int, float]:
    """Calls that may start now, and since when they have been saved up: at most one second's worth at once."""
    if rate is None:
        return 1_000_000, now
    free_since = row.next_free_at
    if free_since > now:  # the clock was set back; until it has caught up nobody may wait
        spend(connection, row.name, now)
        free_since = now
    free_since = max(free_since, now - max(1.0, rate) / rate)
    return int((now - free_since) * rate + 1e-6), free_since


def spend(connection: Connection, provider: str, next_free_at: float) -> None:
    """Calls were handed out up to then."""
    connection.execute(update(providers).where(providers.c.name == provider).values(next_free_at=next_free_at))


def pause(connection: Connection, provider: str, until: float | None, why: str) -> None:
    """Stop handing out the provider's jobs until then; None resumes."""
    locked(connection, provider)
    connection.execute(update(providers).where(providers.c.name == provider).values(paused_until=until, paused_why=why))
