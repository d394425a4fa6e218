"""What has happened since: the trail, read in the order of its ids by whoever follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select

from gateway.model import Note
from gateway.spool.schema import jobs, mails, trail

LOOK_BACK = 100
"""Ids before the newest one that may still be on their way when somebody begins to follow."""
DEAD_AFTER_S = 30.0
"""No transaction of ours lasts so long (``postgres._SESSION``). Others in the same server may."""
SETTLE_S = 1.0
"""A transaction takes an id a moment before it counts as running."""


@dataclass(frozen=True, slots=True)
class Written:
    """A row of the trail, with what one needs to know of its mail and its job."""

    id: int
    at: float
    mail_id: str
    job_id: str | None
    notes: tuple[Note, ...]
    account: str | None
    destination: str | None
    listener: str
    peer: str


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found, in the order of the ids."""

    rows: Sequence[Written]
    oldest: int = 0
    """The oldest transaction that was running then; 0: the engine has one writer, so nothing comes late."""
    next: int = 0
    """The first transaction that had not begun."""
    newest: int | None = None
    """Looked up where there are no rows: the newest id of all."""


def newest(connection: Connection) -> int:
    """The newest id; 0: there is none."""
    return connection.execute(select(func.max(trail.c.id))).scalar_one() or 0


def since(connection: Connection, position: int, limit: int) -> Look:
    """Rows behind the position."""
    query = _QUERY.where(trail.c.id > position).order_by(trail.c.id).limit(limit)
    if connection.dialect.name == "postgresql":
        query = query.add_columns(*_SNAPSHOT)
        found = connection.execute(query).all()
        if found:
            return Look([_written(row) for row in found], found[0].oldest, found[0].next)
    elif found := connection.execute(query).all():
        return Look([_written(row) for row in found])
    return Look((), newest=newest(connection))


def last(connection: Connection, until: int, limit: int) -> list[Written]:
    """The newest rows up to an id, oldest first."""
    query = _QUERY.where(trail.c.id <= until).order_by(trail.c.id.desc()).limit(limit)
    return [_written(row) for row in reversed(connection.execute(query).all())]


_QUERY: Select[Any] = (
    select(trail, mails.c.account, mails.c.listener, mails.c.peer, jobs.c.account.label("owner"), jobs.c.destination)
    .outerjoin(mails, mails.c.id == trail.c.mail_id)
    .outerjoin(jobs, jobs.c.id == trail.c.job_id)
)
# Both of the statement's own snapshot, which is also that of its rows.
_SNAPSHOT: tuple[ColumnElement[int], ...] = (
    literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint").label("oldest"),
    literal_column("pg_snapshot_xmax(pg_current_snapshot())::text::bigint").label("next"),
)


def _written(row: Any) -> Written:
    return Written(
        id=row.id,
        at=row.at,
        mail_id=row.mail_id,
        job_id=row.job_id,
        notes=tuple(Note(*note) for note in row.notes),
        account=row.owner or row.account,
        destination=row.destination,
        listener=row.listener or "",
        peer=row.peer or "",
    )


@dataclass(slots=True)
class Order:
    """Passes rows on without a gap.

    PostgreSQL gives ids out before the commit: 12 may be there when 11 is not yet. Then 12 waits until 11 is there, or
    cannot come any more because every transaction that was running when it was missed has ended.
    """

    position: int
    """Whatever has an id up to here has been passed on, or will never be."""
    _missed: tuple[int, int, float] | None = field(default=None, init=False)
    """Up to which id gaps were seen, the first transaction that had not begun then, and when that was."""

    def pass_on(self, look: Look, now: float) -> list[Written]:
        """The rows whose turn it is. ``now`` is a clock that only goes forward."""
        if look.newest is not None and look.newest < self.position:  # emptied: SQLite begins to count anew
            self.position = look.newest
        ready: list[Written] = []
        for row in look.rows:
            if look.oldest and row.id != self.position + 1 and not self._is_dead(row.id - 1, look, now):
                break
            ready.append(row)
            self.position = row.id
        return ready

    def _is_dead(self, gap: int, look: Look, now: float) -> bool:
        """Whether nothing can come any more up to this id."""
        if self._missed is None or gap > self._missed[0]:
            self._missed = (look.rows[-1].id, look.next, now)
            return False
        _, next_then, at = self._missed
        return (look.oldest >= next_then and now - at >= SETTLE_S) or now - at >= DEAD_AFTER_S
