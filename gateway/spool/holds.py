"""The kill switch: what sends nothing until an operator resumes it. In the store, so that it holds for every process,
and after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, case, delete, insert, select, update

from gateway.lifecycle import State
from gateway.model import Note
from gateway.spool.engine import announce, insert_missing
from gateway.spool.schema import holds, jobs, trail, usage
from gateway.spool.trail import trail_row

KEPT = "the account is on hold"
"""Beginning of the ``why`` of each job that is held for its account."""
BURSTS = "% burst %"
"""The periods of ``usage`` in which sudden SMS are counted."""
AT_ONCE = 2_000
"""Other writes wait meanwhile."""


class Scope(StrEnum):
    """Of what a hold keeps the SMS back."""

    ALL = "all"
    ACCOUNT = "account"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing goes out of this, since then."""

    scope: Scope
    name: str
    """Of the account or the provider; empty for all."""
    since: float
    why: str = ""
    refuses: bool = False
    """New mail is put off (451) instead of queued."""

    def __str__(self) -> str:
        return self.scope.value if self.scope is Scope.ALL else f"{self.scope.value} {self.name}"


def listed(connection: Connection) -> list[Hold]:
    """All that are in force."""
    rows = connection.execute(select(holds).order_by(holds.c.since, holds.c.scope, holds.c.name))
    return [Hold(Scope(row.scope), row.name, row.since, row.why, row.refuses) for row in rows]


def accounts(connection: Connection) -> set[str]:
    """Those that are on hold, each by itself."""
    return set(connection.execute(select(holds.c.name).where(holds.c.scope == Scope.ACCOUNT.value)).scalars())


def begin(connection: Connection, hold: Hold) -> None:
    """From the commit on. One that is in force already keeps its beginning, and is given the new words."""
    mine = (holds.c.scope == hold.scope.value, holds.c.name == hold.name)
    changes = {"why": hold.why, "refuses": hold.refuses}
    if not connection.execute(update(holds).where(*mine).values(changes)).rowcount:
        connection.execute(insert_missing(connection, holds), asdict(hold))


def end(connection: Connection, scope: Scope, name: str, providers: Sequence[str]) -> bool:
    """Whether there was such a hold. An account that was too fast begins to count anew. ``providers`` are woken."""
    found = connection.execute(delete(holds).where(holds.c.scope == scope.value, holds.c.name == name)).rowcount
    if scope is Scope.ACCOUNT:
        connection.execute(delete(usage).where(usage.c.account == name, usage.c.period.like(BURSTS)))
    for provider in providers:
        announce(connection, provider)
    return bool(found)


def keep_back(connection: Connection, rows: Sequence[Row[Any]], now: float) -> list[Row[Any]]:
    """Of these queued jobs, those of accounts on hold become ``held``. The others are returned."""
    on_hold = accounts(connection)
    if kept := [row for row in rows if row.account in on_hold and row.state == State.QUEUED.value]:
        values = {"state": State.HELD.value, "due_at": None, "updated_at": now, "why": KEPT}
        connection.execute(update(jobs).where(jobs.c.id.in_([row.id for row in kept])).values(values))
        note = Note("relay", "held", {"why": KEPT})
        connection.execute(insert(trail), [trail_row(row.mail_id, row.id, now, (note,)) for row in kept])
    return [row for row in rows if row.account not in on_hold or row.state != State.QUEUED.value]


def release(connection: Connection, account: str, now: float, *, every: bool) -> int:
    """Jobs of the account that are held for it, or ``every`` held one, are queued again: at most ``AT_ONCE``."""
    mine = [
        jobs.c.state == State.HELD.value,
        jobs.c.account == account,
        jobs.c.text.is_not(None),
        jobs.c.storm.is_(None),
    ]
    if not every:
        mine.append(jobs.c.why.like(f"{KEPT}%"))
    found = select(jobs.c.id, jobs.c.mail_id, jobs.c.provider).where(*mine).order_by(jobs.c.id)
    rows = connection.execute(found.limit(AT_ONCE).with_for_update()).all()
    if rows:
        due_at = case((jobs.c.not_before > now, jobs.c.not_before), else_=now)
        values = {"state": State.QUEUED.value, "due_at": due_at, "updated_at": now, "why": "release"}
        connection.execute(update(jobs).where(jobs.c.id.in_([row.id for row in rows])).values(values))
        connection.execute(
            insert(trail), [trail_row(row.mail_id, row.id, now, (Note("desk", "release"),)) for row in rows]
        )
        for provider in {row.provider for row in rows}:
            announce(connection, provider)
    return len(rows)
