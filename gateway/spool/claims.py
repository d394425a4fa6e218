"""Jobs in flight: claim (``submitting`` is committed before the call), settle, recover, expire.

Every change of state is guarded by the states that ``lifecycle`` allows and by the fence: the number of
times that the job has been claimed. A late writer holds an old fence and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, Row, and_, bindparam, func, insert, or_, select, text, union_all, update

from gateway.lifecycle import Event, State, sources
from gateway.model import Attempt, Job, Note
from gateway.spool.engine import insert_missing
from gateway.spool.processes import is_known
from gateway.spool.put import REPORT_DELAY_S, encode_notes, outbox_row
from gateway.spool.schema import OPEN, attempts, jobs, mails, outbox, providers, trail
from gateway.verdicts import ANSWER_LOST, Refusal

OVERDUE_S = 60.0
START_WITHIN_S = 20.0
"""A call that has not begun so long after its claim is not made: the process was frozen, and the others may
have given it up."""
LOOK_AT = 500
"""Jobs to look at in one step when some had to be put off."""
EXPIRE_AT_ONCE = 5_000
"""Other writes wait meanwhile, and SQLite takes only so many values in one statement."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims, with a clock that no administrator sets and no suspend stops, valid within one boot."""

    boot_id: str
    seconds: float
    owner: str = ""
    """Key of ``processes``: the one whose death makes the call's fate unknown."""


@dataclass(frozen=True, slots=True)
class ProviderTerms:
    """What the store must know of a provider to hand out its jobs."""

    name: str
    rate: float | None = None
    """Calls a second."""
    duplicate_window_s: float | None = None
    """The provider refuses an identical request for this long."""
    resolve_within_s: float = 0.0
    """A lost answer may be asked for again until this long after the first byte."""


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
    notify: bool = False
    """Tell the sender, if the sender may be told."""
    at: float = 0.0
    notes: tuple[Note, ...] = ()


# ── claim ────────────────────────────────────────────────────────────────────────────────────


def claim(connection: Connection, terms: ProviderTerms, slots: int, now: float, who: Claimant) -> list[Attempt]:
    """Up to ``slots`` due jobs of the provider, each now ``submitting``.

    The rate is shared by all processes on the store. A job whose request would equal another's inside the
    provider's duplicate window is put off until the window has passed.
    """
    if who.owner and not is_known(connection, who.owner):
        return []  # frozen for so long that the others have given it up; its next beat makes it known again
    calls, free_since = _allowance(connection, terms, now)
    wanted, look_at = min(slots, calls), min(slots, calls)
    claimed: list[Attempt] = []
    while wanted > 0:
        due = _due(connection, terms.name, look_at, now, who)
        taken = _take(connection, terms, _outside_window(connection, terms, due, now)[:wanted], now, who)
        claimed += taken
        wanted -= len(taken)
        if len(due) < look_at:
            break
        look_at = LOOK_AT  # some were put off: behind a storm of one alarm wait other people's messages
    if claimed and terms.rate is not None:
        _spend(connection, terms.name, free_since + len(claimed) / terms.rate)
    return claimed


def _take(
    connection: Connection, terms: ProviderTerms, rows: Sequence[Row[Any]], now: float, who: Claimant
) -> list[Attempt]:
    if not rows:
        return []
    claimed = [_attempt(row, terms, who) for row in rows]
    connection.execute(
        _CLAIM,
        [
            {
                "job": row.id,
                "number": row.attempt + 1,
                "new_fence": row.fence + 1,
                "boot": row.window_boot if attempt.repeats else who.boot_id,
                "start": row.window_start if attempt.repeats else who.seconds,
                "who": who.owner,
                "at": now,
            }
            for row, attempt in zip(rows, claimed, strict=True)
        ],
    )
    connection.execute(
        insert(attempts),
        [{"job_id": a.job.id, "number": a.number, "provider": terms.name, "started_at": now} for a in claimed],
    )
    return claimed


_CLAIM = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        state=State.SUBMITTING.value,
        attempt=bindparam("number"),
        fence=bindparam("new_fence"),
        window_boot=bindparam("boot"),
        window_start=bindparam("start"),
        owner=bindparam("who"),
        sent_at=bindparam("at"),
        updated_at=bindparam("at"),
        due_at=None,
        why="",
    )
)


_DUE = (
    select(jobs)
    .where(
        jobs.c.provider == bindparam("provider"),
        jobs.c.state == bindparam("state"),
        jobs.c.due_at <= bindparam("now"),
    )
    .order_by(jobs.c.due_at)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
_DUE_LOST = _DUE.where(or_(jobs.c.window_boot == bindparam("boot"), jobs.c.due_at <= bindparam("overdue")))
"""Only the machine that asked first can tell how old the question is. When it has not come back for
``OVERDUE_S``, any other may say that it is too late."""
_DUE_FRESH = _DUE.where(jobs.c.expires_at > bindparam("now"))
"""What is past its validity is not sent any more; ``expire`` finds it. Asking for a lost answer sends nothing new."""


def _due(connection: Connection, provider: str, limit: int, now: float, who: Claimant) -> Sequence[Row[Any]]:
    """Lost answers first, for their time is short; then the oldest."""
    usual = {"provider": provider, "now": now}
    lost = {"state": State.UNCERTAIN.value, "boot": who.boot_id, "overdue": now - OVERDUE_S, "limit": limit}
    rows = list(connection.execute(_DUE_LOST, usual | lost))
    fresh = {"state": State.QUEUED.value, "limit": limit - len(rows)}
    return [*rows, *connection.execute(_DUE_FRESH, usual | fresh)]


def _outside_window(
    connection: Connection, terms: ProviderTerms, rows: Sequence[Row[Any]], now: float
) -> list[Row[Any]]:
    """Without the jobs that must wait because an equal request is on its way or was just made."""
    window = terms.duplicate_window_s
    fresh = [row for row in rows if row.state == State.QUEUED.value]
    if window is None or not fresh:
        return list(rows)
    busy_until: dict[bytes, dict[str, float]] = {row.fingerprint: {} for row in rows}
    recent = select(jobs.c.id, jobs.c.fingerprint, jobs.c.sent_at).where(
        jobs.c.fingerprint.in_({row.fingerprint for row in fresh}),
        jobs.c.provider == terms.name,
        jobs.c.sent_at > now - window,
    )
    for job_id, fingerprint, sent_at in connection.execute(recent):
        busy_until[fingerprint][job_id] = min(sent_at, now) + window  # the clock may have been set back
    passed: list[Row[Any]] = []
    waiting: list[tuple[Row[Any], dict[str, float]]] = []
    for row in rows:
        equal = busy_until[row.fingerprint]
        if row.state == State.QUEUED.value and equal.keys() - {row.id}:
            waiting.append((row, equal))
        else:
            equal[row.id] = now + window
            passed.append(row)
    put_off: list[tuple[Row[Any], float]] = []
    for row, equal in waiting:  # one in each window
        until = max(busy for job_id, busy in equal.items() if job_id != row.id)
        equal[row.id] = until + window
        put_off.append((row, until))
    _put_off(connection, terms.name, put_off, now)
    return passed


def _put_off(connection: Connection, provider: str, waiting: Sequence[tuple[Row[Any], float]], now: float) -> None:
    if not waiting:
        return
    connection.execute(_PUT_OFF, [{"job": row.id, "until": until} for row, until in waiting])
    note = Note("relay", "held for the duplicate window", {"provider": provider})
    if news := [row for row, _ in waiting if row.why != _IDENTICAL]:
        connection.execute(insert(trail), [_trail_row(row.mail_id, row.id, now, (note,)) for row in news])


_IDENTICAL = "an identical SMS went to this number less than a minute ago: waits for the provider's window"
_PUT_OFF = update(jobs).where(jobs.c.id == bindparam("job")).values(due_at=bindparam("until"), why=_IDENTICAL)


def _attempt(row: Row[Any], terms: ProviderTerms, who: Claimant) -> Attempt:
    repeats = row.state == State.UNCERTAIN.value
    if not repeats:
        send_before = who.seconds + START_WITHIN_S
    elif row.window_boot == who.boot_id:
        send_before = row.window_start + terms.resolve_within_s
    else:
        send_before = 0.0
    return Attempt(
        job=job_of(row),
        provider=terms.name,
        number=row.attempt + 1,
        tries=row.tries,
        fence=row.fence + 1,
        repeats=repeats,
        send_before=send_before,
    )


def job_of(row: Row[Any]) -> Job:
    """A row of ``jobs`` as the domain's type."""
    return Job(
        id=row.id,
        mail_id=row.mail_id,
        account=row.account,
        originator=row.originator,
        destination=row.destination,
        text=row.text or "",
        segments=row.segments,
        route=tuple(row.route),
        created_at=row.created_at,
        expires_at=row.expires_at,
        recipient=row.recipient,
    )


# ── rate (GCRA: one number a provider, exact across processes) ───────────────────────────────


def _allowance(connection: Connection, terms: ProviderTerms, now: float) -> tuple[int, float]:
    """Calls that may start now, and since when they have been saved up: at most one second's worth at once.

    None while the provider is paused.
    """
    row = _provider(connection, terms.name)
    if row.paused_until is not None and row.paused_until > now:
        return 0, now
    if terms.rate is None:
        return 1_000_000, now
    free_since = row.next_free_at
    if free_since > now:  # the clock was set back; until it has caught up nobody may wait
        _spend(connection, terms.name, now)
        free_since = now
    free_since = max(free_since, now - max(1.0, terms.rate) / terms.rate)
    return int((now - free_since) * terms.rate + 1e-6), free_since


def _provider(connection: Connection, name: str) -> Row[Any]:
    """The provider's row, locked: its jobs are claimed by one process at a time, which makes the rate exact
    and lets each claim see the requests that were made just before."""
    query = select(providers).where(providers.c.name == name).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        connection.execute(insert_missing(connection, providers), {"name": name, "next_free_at": 0.0})
        row = connection.execute(query).one()
    return row


def _spend(connection: Connection, provider: str, next_free_at: float) -> None:
    connection.execute(update(providers).where(providers.c.name == provider).values(next_free_at=next_free_at))


def pause(connection: Connection, provider: str, until: float | None, why: str) -> None:
    """Stop handing out the provider's jobs until then; None resumes."""
    _provider(connection, provider)
    connection.execute(update(providers).where(providers.c.name == provider).values(paused_until=until, paused_why=why))


# ── settle ───────────────────────────────────────────────────────────────────────────────────


def settle(connection: Connection, items: Sequence[Settlement]) -> list[bool]:
    """Record outcomes. False: somebody else has claimed or changed the job since; nothing was written for it."""
    current = {
        row.id: row
        for row in connection.execute(
            select(jobs.c.id, jobs.c.state, jobs.c.fence)
            .where(jobs.c.id.in_([item.attempt.job.id for item in items]))
            .order_by(jobs.c.id)
            .with_for_update()
        )
    }
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
        connection.execute(_SETTLE, [_settled(item) for item in won])
        connection.execute(_FINISH, [_finished(item) for item in won])
        if rows := [_trail_row(i.attempt.job.mail_id, i.attempt.job.id, i.at, i.notes) for i in won if i.notes]:
            connection.execute(insert(trail), rows)
        _notify(connection, [item.attempt.job.mail_id for item in won if item.notify], won[0].at)
    return results


_SETTLE = (
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
        updated_at=bindparam("at"),
    )
)
_FINISH = (
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


def _trail_row(mail_id: str, job_id: str, at: float, notes: Sequence[Note]) -> dict[str, Any]:
    return {"mail_id": mail_id, "job_id": job_id, "at": at, "notes": encode_notes(notes)}


def _notify(connection: Connection, mail_ids: Sequence[str], now: float) -> None:
    """One pending report for each mail, whoever of its jobs asks for it."""
    if not mail_ids:
        return
    # Locked: a report that is being rendered at this moment is waited for, and then counts as rendered.
    pending = connection.execute(
        select(outbox.c.mail_id)
        .where(outbox.c.mail_id.in_(mail_ids), outbox.c.state == "pending", outbox.c.message.is_(None))
        .order_by(outbox.c.id)
        .with_for_update()
    ).scalars()
    wanted = set(mail_ids).difference(pending)
    if not wanted:
        return
    rows = connection.execute(
        select(mails.c.id, mails.c.reply_to).where(mails.c.id.in_(wanted), mails.c.reply_to.is_not(None))
    )
    if new := [outbox_row(row.id, row.reply_to, now, REPORT_DELAY_S) for row in rows]:
        connection.execute(insert(outbox), new)


# ── what happens without a call ──────────────────────────────────────────────────────────────


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
    connection.execute(insert(trail), [_trail_row(row.mail_id, row.id, now, (note,)) for row in rows])
    _notify(connection, [row.mail_id for row in rows if row.id in poisonous], now)
    return [job_of(row) for row in rows]


POISON = 3
_RECOVER = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        state=State.UNCERTAIN.value,
        due_at=bindparam("new_due_at"),
        updated_at=bindparam("at"),
        why=bindparam("new_why"),
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
        connection.execute(_FINISH, [{"job": row.id, "nth": row.attempt, **done} for row in lost])
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


def expire(connection: Connection, now: float, refusal: Refusal) -> list[Job]:
    """Jobs that waited past their validity. They were never taken by a provider. The next call goes on
    where ``EXPIRE_AT_ONCE`` ends."""
    waiting = [state.value for state in (State.QUEUED, State.HELD)]
    old = and_(text(OPEN), jobs.c.state.in_(waiting), jobs.c.expires_at <= now)
    rows = connection.execute(select(jobs).where(old).limit(EXPIRE_AT_ONCE).with_for_update(skip_locked=True)).all()
    if rows:
        connection.execute(
            update(jobs)
            .where(jobs.c.id.in_([row.id for row in rows]))
            .values(
                state=State.EXPIRED.value,
                due_at=None,
                updated_at=now,
                reason=refusal.reason.key,
                reason_values=dict(refusal.values),
            )
        )
        note = Note("relay", "expired")
        connection.execute(insert(trail), [_trail_row(row.mail_id, row.id, now, (note,)) for row in rows])
        _notify(connection, [row.mail_id for row in rows], now)
    return [job_of(row) for row in rows]


def next_due(connection: Connection, provider: str) -> float | None:
    """When the provider's next job is due, paused or not."""
    earliest: float | None = connection.execute(_NEXT_DUE, {"provider": provider}).scalar_one()
    return earliest


_EARLIEST = union_all(  # one state a part: so each is one step down the index
    *(
        select(func.min(jobs.c.due_at).label("due_at")).where(
            jobs.c.provider == bindparam("provider"), jobs.c.state == state.value, jobs.c.due_at.is_not(None)
        )
        for state in (*sources(Event.RESOLVE), *sources(Event.CLAIM))
    )
).subquery()
_NEXT_DUE = select(func.min(_EARLIEST.c.due_at))
