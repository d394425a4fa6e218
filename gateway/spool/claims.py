"""Jobs go out: ``submitting`` is committed before the call.

Every change of state is guarded by the states that ``lifecycle`` allows and by the fence: the number of
times that the job has been claimed. A late writer holds an old fence and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, func, insert, or_, select, union_all, update

from gateway.lifecycle import Event, State, sources
from gateway.model import Attempt, Channel, Job, Note, Tell
from gateway.policy.routing import Hours
from gateway.spool import holds, pace
from gateway.spool.prepared import Many, Query
from gateway.spool.processes import is_known
from gateway.spool.schema import attempts, jobs, trail
from gateway.spool.trail import trail_row

OVERDUE_S = 60.0
START_WITHIN_S = 20.0
"""A call that has not begun so long after its claim is not made: the process was frozen, and the others may
have given it up."""
LOOK_AT = 500
"""Jobs to look at in one step when some had to be put off."""


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
    keyed: bool = False
    """By any process, for the provider knows the request by its key."""


def claim(connection: Connection, terms: ProviderTerms, slots: int, now: float, who: Claimant) -> list[Attempt]:
    """Up to ``slots`` due jobs of the provider, each now ``submitting``.

    The rate and a pause are shared by all processes on the store. A job whose request would equal another's inside the
    provider's duplicate window is put off until the window has passed.
    """
    if who.owner and not is_known(connection, who.owner):
        return []  # frozen for so long that the others have given it up; its next beat makes it known again
    provider = pace.locked(connection, terms.name)
    if provider.on_hold:
        return []  # nor is a lost answer asked for: where the first request was not seen, asking would send
    paused = provider.paused_until is not None and provider.paused_until > now
    calls, free_since = pace.allowance(connection, provider, terms.rate, now)
    wanted, look_at = min(slots, calls), min(slots, calls)
    claimed: list[Attempt] = []
    while wanted > 0:
        due = _due(connection, terms, look_at, now, who, lost_only=paused)
        able = holds.keep_back(connection, due, now) if provider.accounts_on_hold else due
        able = _outside_window(connection, terms, _outside_quiet(connection, able, now), now)
        taken = _take(connection, terms, able[:wanted], now, who)
        claimed += taken
        wanted -= len(taken)
        if len(due) < look_at:
            break
        look_at = LOOK_AT  # some were put off: behind a storm of one alarm wait other people's messages
    if claimed and terms.rate is not None:
        pace.spend(connection, terms.name, free_since + len(claimed) / terms.rate)
    return claimed


def _take(
    connection: Connection, terms: ProviderTerms, rows: Sequence[Row[Any]], now: float, who: Claimant
) -> list[Attempt]:
    if not rows:
        return []
    claimed = [_attempt(row, terms, who, now) for row in rows]
    _CLAIM(
        connection,
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
    _ATTEMPTS(
        connection,
        [{"job_id": a.job.id, "number": a.number, "provider": terms.name, "started_at": now} for a in claimed],
    )
    return claimed


_ATTEMPTS = Many(insert(attempts))
_CLAIM = Many(
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
_DUE_LOST = Query(_DUE.where(or_(jobs.c.window_boot == bindparam("boot"), jobs.c.due_at <= bindparam("overdue"))))
"""Only the machine that asked first can tell how old the question is. When it has not come back for
``OVERDUE_S``, any other may say that it is too late."""
_DUE_FRESH = Query(_DUE.where(jobs.c.expires_at > bindparam("now")))
"""What is past its validity is not sent any more; ``expire`` finds it. Asking for a lost answer sends nothing new."""


def _due(
    connection: Connection, terms: ProviderTerms, limit: int, now: float, who: Claimant, *, lost_only: bool
) -> Sequence[Row[Any]]:
    """Lost answers first, for their time is short; then the oldest. A pause stops only what would be sent anew."""
    usual = {"provider": terms.name, "now": now}
    overdue = now if terms.keyed else now - OVERDUE_S
    lost = {"state": State.UNCERTAIN.value, "boot": who.boot_id, "overdue": overdue, "limit": limit}
    rows = [*_DUE_LOST(connection, usual | lost)]
    if lost_only:
        return rows
    fresh = {"state": State.QUEUED.value, "limit": limit - len(rows)}
    return [*rows, *_DUE_FRESH(connection, usual | fresh)]


def _outside_quiet(connection: Connection, rows: Sequence[Row[Any]], now: float) -> Sequence[Row[Any]]:
    """Without the jobs whose quiet hours it is: a retry, or what had to wait for the provider, must not ring now."""
    hours = {row.id: Hours.written(row.extras["quiet"]) for row in rows if row.extras and row.extras.get("quiet")}
    quiet = [row for row in rows if row.id in hours and row.state == State.QUEUED.value and hours[row.id].include(now)]
    if quiet:
        why = "waits for the end of the quiet hours"
        later = [{"job": row.id, "until": hours[row.id].ending_after(now), "new_why": why} for row in quiet]
        connection.execute(_PUT_OFF, later)
        connection.execute(insert(trail), [trail_row(row.mail_id, row.id, now, (Note("relay", why),)) for row in quiet])
        waiting = {row.id for row in quiet}
        return [row for row in rows if row.id not in waiting]
    return rows


def _outside_window(
    connection: Connection, terms: ProviderTerms, rows: Sequence[Row[Any]], now: float
) -> list[Row[Any]]:
    """Without the jobs that must wait because an equal request is on its way or was just made."""
    window = terms.duplicate_window_s
    fresh = [row for row in rows if row.state == State.QUEUED.value]
    if window is None or not fresh:
        return list(rows)
    busy_until: dict[bytes, dict[str, float]] = {row.fingerprint: {} for row in rows}
    wanted = {"fingerprints": [*{row.fingerprint for row in fresh}], "provider": terms.name, "since": now - window}
    for job_id, fingerprint, sent_at in _RECENT(connection, wanted):
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
    latest: dict[bytes, float] = {}
    for row, equal in waiting:  # one in each window
        if (last := latest.get(row.fingerprint)) is not None:
            until = last + window
        else:
            until = max(busy for job_id, busy in equal.items() if job_id != row.id)
        latest[row.fingerprint] = until
        put_off.append((row, until))
    _put_off(connection, terms.name, put_off, now)
    return passed


_RECENT = Query(
    select(jobs.c.id, jobs.c.fingerprint, jobs.c.sent_at).where(
        jobs.c.fingerprint.in_(bindparam("fingerprints", expanding=True)),
        jobs.c.provider == bindparam("provider"),
        jobs.c.sent_at > bindparam("since"),
    )
)


def _put_off(connection: Connection, provider: str, waiting: Sequence[tuple[Row[Any], float]], now: float) -> None:
    if not waiting:
        return
    connection.execute(_PUT_OFF, [{"job": row.id, "until": until, "new_why": _IDENTICAL} for row, until in waiting])
    note = Note("relay", "held for the duplicate window", {"provider": provider})
    if news := [row for row, _ in waiting if row.why != _IDENTICAL]:
        connection.execute(insert(trail), [trail_row(row.mail_id, row.id, now, (note,)) for row in news])


_IDENTICAL = "an identical SMS went to this number less than a minute ago: waits for the provider's window"
_PUT_OFF = update(jobs).where(jobs.c.id == bindparam("job")).values(due_at=bindparam("until"), why=bindparam("new_why"))


def _attempt(row: Row[Any], terms: ProviderTerms, who: Claimant, now: float) -> Attempt:
    repeats = row.state == State.UNCERTAIN.value
    if not repeats:
        send_before = who.seconds + START_WITHIN_S
    elif terms.keyed:  # the key is not older than the job
        send_before = who.seconds + row.created_at + terms.resolve_within_s - now
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
        resend=row.resend,
        channel=Channel(row.channel),
        tell=frozenset(map(Tell, row.tell.split())),
        generation=row.generation,
        due_at=row.not_before,
        **(row.extras or {}),
    )


def next_due(connection: Connection, provider: str) -> float | None:
    """When the provider's next job is due, paused or not."""
    earliest: float | None = _NEXT_DUE(connection, {"provider": provider})[0].due_at
    return earliest


_EARLIEST = union_all(  # one state a part: so each is one step down the index
    *(
        select(func.min(jobs.c.due_at).label("due_at")).where(
            jobs.c.provider == bindparam("provider"), jobs.c.state == state.value, jobs.c.due_at.is_not(None)
        )
        for state in (*sources(Event.RESOLVE), *sources(Event.CLAIM))
    )
).subquery()
_NEXT_DUE = Query(select(func.min(_EARLIEST.c.due_at).label("due_at")))
