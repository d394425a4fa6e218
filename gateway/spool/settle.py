"""What became of an attempt, recorded where the fence says that nobody else has claimed the job since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from gateway.lifecycle import Event, State, sources
from gateway.model import Attempt, Note, Tell
from gateway.spool import hooks, receipts
from gateway.spool.engine import insert_missing
from gateway.spool.outbox import ask_for_reports
from gateway.spool.prepared import Many, Query
from gateway.spool.schema import attempts, jobs, parts, trail
from gateway.spool.trail import trail_row
from gateway.verdicts import Refusal


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of an attempt, as decided by the service."""

    attempt: Attempt
    event: Event
    state: State
    provider: str
    """Who tries next, or who took it."""
    due_at: float | None
    tries: int
    why: str
    outcome: str
    refusal: Refusal | None = None
    provider_id: str | None = None
    parts: tuple[str, ...] = ()
    """Ids of the further parts."""
    cost: str = ""
    poll_at: float | None = None
    """When to ask what became of it."""
    notify: bool = False
    """Tell the sender, if the sender may be told."""
    at: float = 0.0
    notes: tuple[Note, ...] = ()


def settle(connection: Connection, items: Sequence[Settlement]) -> list[bool]:
    """Record outcomes. False: somebody else has claimed or changed the job since; nothing was written for it."""
    current = {row.id: row for row in _CURRENT(connection, {"ids": [item.attempt.job.id for item in items]})}
    results: list[bool] = []
    won: list[Settlement] = []
    for item in items:
        row = current.get(item.attempt.job.id)
        ok = row is not None and row.fence == item.attempt.fence and row.state in sources(item.event)
        results.append(ok)
        if ok:
            won.append(item)
            del current[item.attempt.job.id]  # a second word on the same attempt in this batch is late, too
    if won:
        _SETTLE(connection, [_settled(item) for item in won])
        FINISH(connection, [_finished(item) for item in won])
        if rows := [trail_row(i.attempt.job.mail_id, i.attempt.job.id, i.at, i.notes) for i in won if i.notes]:
            _TRAIL(connection, rows)
        _keep_parts(connection, won)
        if tell := [item.attempt.job.mail_id for item in won if item.notify]:
            ask_for_reports(connection, tell, won[0].at)
        hooks.call(connection, [_told(item) for item in won if Tell.HOOK in item.attempt.job.tell])
        receipts.apply_early(connection, {(item.provider, i) for item in won for i in _ids(item)}, won[0].at)
    return results


def _ids(item: Settlement) -> tuple[str, ...]:
    return (item.provider_id, *item.parts) if item.provider_id else ()


def _keep_parts(connection: Connection, won: Sequence[Settlement]) -> None:
    rows = [
        {"provider": i.provider, "provider_id": part, "job_id": i.attempt.job.id, "state": State.SUBMITTED.value}
        for i in won
        if i.parts
        for part in _ids(i)
    ]
    if rows:
        connection.execute(insert_missing(connection, parts), rows)


def _told(item: Settlement) -> hooks.News:
    job, refusal = item.attempt.job, item.refusal
    return hooks.News(
        account=job.account,
        mail_id=job.mail_id,
        job_id=job.id,
        destination=job.destination,
        state=item.state,
        at=item.at,
        provider=item.provider,
        provider_id=item.provider_id,
        verdict=refusal.code if refusal else "",
        detail=item.why,
    )


_TRAIL = Many(insert(trail))
_CURRENT = Query(
    select(jobs.c.id, jobs.c.state, jobs.c.fence)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(jobs.c.id)
    .with_for_update()
)
_SETTLE = Many(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        state=bindparam("new_state"),
        provider=bindparam("new_provider"),
        due_at=bindparam("new_due_at"),
        tries=bindparam("new_tries"),
        why=bindparam("new_why"),
        reason=bindparam("new_reason"),
        reason_values=bindparam("new_values"),
        provider_id=bindparam("new_provider_id"),
        cost=bindparam("new_cost"),
        poll_at=bindparam("new_poll_at"),
        told=bindparam("new_told"),
        submitted_at=bindparam("taken_at"),
        updated_at=bindparam("at"),
    )
)
FINISH = Many(
    update(attempts)
    .where(attempts.c.job_id == bindparam("job"), attempts.c.number == bindparam("nth"))
    .values(finished_at=bindparam("at"), outcome=bindparam("new_outcome"), detail=bindparam("new_detail"))
)


def _settled(item: Settlement) -> Mapping[str, Any]:
    refusal = item.refusal
    return {
        "job": item.attempt.job.id,
        "new_state": item.state.value,
        "new_provider": item.provider,
        "new_due_at": item.due_at,
        "new_tries": item.tries,
        "new_why": item.why,
        "new_reason": refusal.reason.key if refusal else None,
        "new_values": dict(refusal.values) if refusal else None,
        "new_provider_id": item.provider_id,
        "new_cost": item.cost or None,
        "new_poll_at": item.poll_at,
        "new_told": not item.notify,
        "taken_at": item.at if item.event is Event.ACK else None,
        "at": item.at,
    }


def _finished(item: Settlement) -> Mapping[str, Any]:
    return {
        "job": item.attempt.job.id,
        "nth": item.attempt.number,
        "at": item.at,
        "new_outcome": item.outcome,
        "new_detail": item.why,
    }
