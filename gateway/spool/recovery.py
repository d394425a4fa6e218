"""What happens to jobs without a call: their process dies, their commit is not heard of, they grow old."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Integer, Row, and_, bindparam, func, insert, not_, or_, select, text, update

from gateway.lifecycle import State
from gateway.model import Job, Note, Tell
from gateway.spool import hooks
from gateway.spool.claims import job_of
from gateway.spool.engine import announce
from gateway.spool.outbox import ask_for_reports
from gateway.spool.schema import OPEN, attempts, jobs, providers, storms, trail
from gateway.spool.settle import FINISH
from gateway.spool.trail import trail_row
from gateway.verdicts import ANSWER_LOST, Refusal

EXPIRE_AT_ONCE = 5_000
"""Other writes wait meanwhile, and SQLite takes only so many values in one statement."""


def recover(connection: Connection, now: float, alive: Collection[str] = ()) -> list[Job]:
    """Jobs that dead processes left in ``submitting``: all whose owner is not in ``alive``.

    Whether the request left is unknown, so the job is uncertain and due for resolution at once. One at which
    the gateway has died ``POISON`` times is left for a person.
    """
    in_flight = and_(text(OPEN), jobs.c.state == State.SUBMITTING.value)
    if alive:
        in_flight = and_(in_flight, or_(jobs.c.owner.is_(None), jobs.c.owner.not_in(list(alive))))
    rows = connection.execute(select(jobs).where(in_flight).order_by(jobs.c.id).with_for_update()).all()
    if not rows:
        return []
    unfinished = (
        select(attempts.c.job_id)
        .where(attempts.c.job_id.in_([row.id for row in rows]), attempts.c.finished_at.is_(None))
        .group_by(attempts.c.job_id)
        .having(func.count() >= POISON)
    )
    poisonous = set(connection.execute(unfinished).scalars())
    connection.execute(_RECOVER, [_recovered(row, now, row.id in poisonous) for row in rows])
    note = Note("relay", "answer lost", {"why": "the gateway stopped during the call"})
    connection.execute(insert(trail), [trail_row(row.mail_id, row.id, now, (note,)) for row in rows])
    if poisonous:
        ask_for_reports(connection, [row.mail_id for row in rows if row.id in poisonous], now)
    return [job_of(row) for row in rows]


POISON = 10
_RECOVER = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        state=State.UNCERTAIN.value,
        due_at=bindparam("new_due_at"),
        updated_at=bindparam("at"),
        why=bindparam("new_why"),
        told=False,
        reason=bindparam("new_reason"),
        reason_values=bindparam("new_values"),
    )
)


def _recovered(row: Row[Any], now: float, poisonous: bool) -> Mapping[str, Any]:
    why = "the gateway stopped between the request and its answer"
    return {
        "job": row.id,
        "new_due_at": None if poisonous else now,
        "at": now,
        "new_why": f"{why}, {POISON} times: somebody must look" if poisonous else why,
        "new_reason": ANSWER_LOST.key if poisonous else None,
        "new_values": {"provider": row.provider} if poisonous else None,
    }


def hand_back(connection: Connection, provider: str, owner: str, in_flight: Collection[str], now: float) -> list[str]:
    """Jobs that this process has claimed without knowing it: the answer to the commit was lost. Nothing was sent."""
    mine = and_(text(OPEN), jobs.c.state == State.SUBMITTING.value, jobs.c.owner == owner, jobs.c.provider == provider)
    before = attempts.alias()
    rows = connection.execute(
        select(jobs.c.id, jobs.c.attempt, before.c.number.is_not(None), before.c.outcome)
        .outerjoin(before, and_(before.c.job_id == jobs.c.id, before.c.number == jobs.c.attempt - 1))
        .where(mine)
        .order_by(jobs.c.id)
        .with_for_update(of=jobs)
    ).all()
    lost = [row for row in rows if row.id not in in_flight]
    if lost:
        done = {"at": now, "new_outcome": "deferred", "new_detail": "not sent"}
        FINISH(connection, [{"job": row.id, "nth": row.attempt, **done} for row in lost])
        # After a lost answer the claim was for asking again, and what is to be asked remains.
        connection.execute(
            _HAND_BACK,
            [
                {"job": job_id, "back": _waiting_again(known, outcome).value} | {"at": now}
                for job_id, _, known, outcome in lost
            ],
        )
    return [row.id for row in lost]


def _waiting_again(called_before: bool, outcome: str | None) -> State:
    return State.UNCERTAIN if called_before and outcome in (None, "uncertain") else State.QUEUED


_HAND_BACK = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(state=bindparam("back"), due_at=bindparam("at"), updated_at=bindparam("at"))
)


def hasten(connection: Connection, now: float, by_s: float) -> None:
    """The clock was set back by so much: what waits for a time waits no longer than was meant. What was to go out at
    a certain time still is."""
    scheduled = and_(jobs.c.not_before.is_not(None), jobs.c.not_before == jobs.c.due_at)
    late = and_(text(OPEN), jobs.c.due_at > now, not_(scheduled))
    connection.execute(update(jobs).where(late).values(due_at=jobs.c.due_at - by_s))
    earlier = {"due_at": storms.c.due_at - by_s, "since": storms.c.since - by_s}
    connection.execute(update(storms).where(storms.c.since > now).values(earlier))


def reroute(connection: Connection, provider: str, now: float) -> list[str]:
    """Jobs that wait for a provider that is out of reach go to the next of their route that is not paused.

    Only what is queued: nobody has taken it.
    """
    paused = set(connection.execute(select(providers.c.name).where(providers.c.paused_until > now)).scalars())
    waiting = connection.execute(
        select(jobs.c.id, jobs.c.route, jobs.c.not_before)
        .where(jobs.c.provider == provider, jobs.c.state == State.QUEUED.value, jobs.c.due_at.is_not(None))
        .order_by(jobs.c.due_at)
        .limit(REROUTE_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    moves = []
    for row in waiting:
        later = row.route[row.route.index(provider) + 1 :] if provider in row.route else row.route
        if free := [name for name in later if name not in paused]:
            moves.append({"job": row.id, "to": free[0], "at": now, "due": max(now, row.not_before or now)})
    if moves:
        connection.execute(_REROUTE, moves)
        for name in {move["to"] for move in moves}:
            announce(connection, name)
    return [move["job"] for move in moves]


REROUTE_AT_ONCE = 500
_REROUTE = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(provider=bindparam("to"), due_at=bindparam("due"), updated_at=bindparam("at"), tries=0)
)


def expire(connection: Connection, now: float, refusal: Refusal) -> list[Job]:
    """Jobs that waited past their validity. They were never taken by a provider. The next call goes on
    where ``EXPIRE_AT_ONCE`` ends."""
    rows: list[Row[Any]] = []
    for state in (State.QUEUED, State.HELD):
        values = {"state": state.value, "now": now, "limit": EXPIRE_AT_ONCE - len(rows)}
        rows += connection.execute(_OLD, values)
    if rows:
        connection.execute(
            update(jobs)
            .where(jobs.c.id.in_([row.id for row in rows]))
            .values(
                state=State.EXPIRED.value,
                due_at=None,
                told=False,
                updated_at=now,
                reason=refusal.reason.key,
                reason_values=dict(refusal.values),
            )
        )
        note = Note("relay", "expired")
        connection.execute(insert(trail), [trail_row(row.mail_id, row.id, now, (note,)) for row in rows])
        ask_for_reports(connection, [row.mail_id for row in rows], now)
        hooks.call(connection, [_news(row, now, refusal) for row in rows if Tell.HOOK in row.tell.split()])
    return [job_of(row) for row in rows]


def _news(row: Row[Any], now: float, refusal: Refusal) -> hooks.News:
    return hooks.News(
        account=row.account,
        mail_id=row.mail_id,
        job_id=row.id,
        destination=row.destination,
        state=State.EXPIRED,
        at=now,
        provider=row.provider,
        provider_id=None,
        verdict=refusal.code,
    )


_OLD = (
    select(jobs)
    .where(text(OPEN), jobs.c.state == bindparam("state"), jobs.c.expires_at <= bindparam("now"))
    .order_by(jobs.c.expires_at)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
"""One state at a time, in the order of the index: for both at once, with a backlog, PostgreSQL reads the whole table,
for it believes that most of what waits is as old as most of what is done."""
