"""Heartbeats: each goes out once over all processes, and is watched until it is known what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from gateway.lifecycle import State
from gateway.policy.heartbeat import Fate
from gateway.spool.engine import insert_missing
from gateway.spool.schema import OPEN, heartbeats, hooks, jobs

WAITING = "state = 'waiting'"


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat, and what is known of it."""

    name: str
    at: float
    """The time that it was to go out for."""
    account: str
    mail_id: str | None
    state: str
    """``waiting``, ``ok`` or ``failed``."""
    why: str
    deadline: float
    finished_at: float | None


def begin(connection: Connection, name: str, at: float, account: str, mail_id: str, deadline: float) -> bool:
    """Make this heartbeat one's own. False: another process has it, or it went out before a restart."""
    row = {"name": name, "at": at, "account": account, "mail_id": mail_id, "state": "waiting", "deadline": deadline}
    return connection.execute(insert_missing(connection, heartbeats), row).rowcount == 1


def waiting(connection: Connection) -> list[tuple[Beat, list[Fate]]]:
    """Those of which nothing is known yet, with the fates of their jobs."""
    rows = connection.execute(select(heartbeats).where(text(WAITING)).order_by(heartbeats.c.deadline)).mappings().all()
    if not rows:
        return []
    mails = [row["mail_id"] for row in rows]
    fates: dict[str, list[Fate]] = {}
    for job in connection.execute(select(jobs).where(jobs.c.mail_id.in_(mails)).order_by(jobs.c.id)):
        fates.setdefault(job.mail_id, []).append(Fate(State(job.state), job.provider, job.why or job.reason or ""))
    return [(Beat(**row), fates.get(row["mail_id"], [])) for row in rows]


def finish(connection: Connection, beat: Beat, ok: bool, why: str, now: float, tell: bool) -> bool:
    """What became of it; ``tell`` the account's program. False: another process was first."""
    mine = (heartbeats.c.name == beat.name, heartbeats.c.at == beat.at, text(WAITING))
    values = {"state": "ok" if ok else "failed", "why": why, "finished_at": now}
    if not connection.execute(update(heartbeats).where(*mine).values(values)).rowcount:
        return False
    if tell:
        said = {"state": values["state"], "detail": why, "at": now}
        event = {"type": "heartbeat", "name": beat.name, "message": beat.mail_id, **said}
        connection.execute(insert(hooks), {"account": beat.account, "event": event, "created_at": now, "due_at": now})
    return True


def last(connection: Connection, limit: int, name: str | None = None) -> Sequence[Beat]:
    """The newest ones of a name, or of all."""
    query = select(heartbeats).order_by(heartbeats.c.name, heartbeats.c.at.desc()).limit(limit)
    if name is not None:
        query = query.where(heartbeats.c.name == name)
    return [Beat(**row) for row in connection.execute(query).mappings()]


def queue_length(connection: Connection) -> int:
    """SMS that wait, of all accounts."""
    states = [State.QUEUED.value, State.SUBMITTING.value]
    count: Any = connection.execute(
        select(func.count()).select_from(jobs).where(text(OPEN), jobs.c.state.in_(states))
    ).scalar_one()
    return int(count)
