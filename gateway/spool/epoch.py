"""A number that grows while SMS go out. A copy of it lies outside the database: one that is behind its copy has been
restored from a backup, and would send again what was sent since (reliability, row 25)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, text, update

from gateway.lifecycle import Event, State, sources
from gateway.spool.engine import insert_missing
from gateway.spool.schema import epoch, jobs, storms


@dataclass(frozen=True, slots=True)
class Epoch:
    """``store`` is the name that the database got when it was made."""

    store: str
    number: int


def current(connection: Connection) -> Epoch:
    """As the database has it; made when there is none, by whoever of several processes comes first."""
    row = connection.execute(select(epoch)).one_or_none()
    if row is None:
        connection.execute(insert_missing(connection, epoch), {"id": 1, "store": secrets.token_hex(8), "number": 0})
        row = connection.execute(select(epoch)).one()
    return Epoch(row.store, row.number)


def advance(connection: Connection, at_least: int = 0) -> Epoch:
    """One more."""
    now = current(connection)
    later = Epoch(now.store, max(now.number, at_least) + 1)
    connection.execute(update(epoch).values(number=later.number))
    return later


def hold_all(connection: Connection, now: float) -> int:
    """Nothing goes out before somebody has looked. How many jobs there are."""
    waiting = [state.value for state in sources(Event.HOLD)]
    held = {"state": State.HELD.value, "due_at": None, "updated_at": now, "why": RESTORED, "storm": None}
    connection.execute(delete(storms))
    by_storms = (text("storm IS NOT NULL"), jobs.c.state == State.HELD.value)
    gathered = connection.execute(update(jobs).where(*by_storms).values(held)).rowcount
    return gathered + connection.execute(update(jobs).where(jobs.c.state.in_(waiting)).values(held)).rowcount


RESTORED = "the store was restored from a backup: this SMS may have been sent since; release or cancel it"
