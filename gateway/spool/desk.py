"""What an operator sees and does: list, show, and the changes of state that the lifecycle allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, func, insert, literal, or_, select, update

from gateway.lifecycle import Event, State, after, sources
from gateway.model import Note
from gateway.spool.engine import announce
from gateway.spool.outbox import refusal_of, replies_of
from gateway.spool.schema import attempts, jobs, mails, providers, trail
from gateway.spool.trail import trail_row

COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as lists show it."""

    id: str
    account: str
    originator: str
    destination: str
    segments: int
    provider: str
    state: State
    verdict: str
    why: str
    created_at: float
    updated_at: float
    due_at: float | None
    expires_at: float
    attempt: int
    provider_id: str | None
    gathered: bool = False
    """By an alarm storm, of which one SMS will tell."""
    reason: str = ""
    """Key of ``verdicts.REASONS``."""
    values: Mapping[str, str | int] = field(default_factory=dict)
    """What the reason is about."""
    channel: str = "sms"


@dataclass(frozen=True, slots=True)
class Story:
    """Everything known of one mail, in the order in which it happened."""

    mail: dict[str, Any]
    jobs: tuple[JobRow, ...]
    attempts: tuple[dict[str, Any], ...]
    trail: tuple[tuple[float, str | None, Note], ...]
    replies: tuple[dict[str, Any], ...]


def job_row(row: Row[Any]) -> JobRow:
    """A row of ``jobs`` for people."""
    refusal = refusal_of(row.reason, row.reason_values)
    return JobRow(
        id=row.id,
        account=row.account,
        originator=row.originator,
        destination=row.destination,
        segments=row.segments,
        provider=row.provider,
        state=State(row.state),
        verdict=refusal.code if refusal else "",
        why=row.why,
        created_at=row.created_at,
        updated_at=row.updated_at,
        due_at=row.due_at,
        expires_at=row.expires_at,
        attempt=row.attempt,
        provider_id=row.provider_id,
        gathered=row.storm is not None and row.state == State.HELD.value,
        reason=row.reason or "",
        values=row.reason_values or {},
        channel=row.channel,
    )


def listed(connection: Connection, states: Sequence[State], limit: int) -> list[JobRow]:
    """The newest jobs in these states."""
    query = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id).limit(limit)
    if states:
        query = query.where(jobs.c.state.in_([state.value for state in states]))
    return [job_row(row) for row in connection.execute(query)]


def counts(connection: Connection) -> dict[str, int]:
    """How many jobs are in each state; above ``COUNTED`` they are not counted one by one."""
    some = [
        select(literal(1)).where(func.lower(jobs.c.state) == state.value).limit(COUNTED).subquery() for state in State
    ]
    row = connection.execute(select(*(select(func.count()).select_from(one).scalar_subquery() for one in some))).one()
    return {state.value: count for state, count in zip(State, row, strict=True) if count}


def story(connection: Connection, wanted: str) -> Story | None:
    """The story of a mail, by its queue id, the id of one of its jobs or a provider's id."""
    mail_id = connection.execute(
        select(jobs.c.mail_id).where(or_(jobs.c.id == wanted, jobs.c.provider_id == wanted)).limit(1)
    ).scalar_one_or_none()
    mail = connection.execute(select(mails).where(mails.c.id == (mail_id or wanted))).mappings().one_or_none()
    if mail is None:
        return None
    rows = connection.execute(select(jobs).where(jobs.c.mail_id == mail["id"]).order_by(jobs.c.created_at, jobs.c.id))
    job_rows = tuple(job_row(row) for row in rows)
    tries = connection.execute(
        select(attempts)
        .where(attempts.c.job_id.in_([row.id for row in job_rows]))
        .order_by(attempts.c.started_at, attempts.c.job_id)
    ).mappings()
    notes = connection.execute(select(trail).where(trail.c.mail_id == mail["id"]).order_by(trail.c.id))
    return Story(
        mail={key: value for key, value in mail.items() if key not in _NOT_SHOWN},
        jobs=job_rows,
        attempts=tuple(dict(row) for row in tries),
        trail=tuple((row.at, row.job_id, Note(*note)) for row in notes for note in row.notes),
        replies=tuple(
            {"state": r.state, "to": r.recipient, "sent_at": r.sent_at, "tries": r.tries, "error": r.error}
            for r in replies_of(connection, mail["id"])
        ),
    )


_NOT_SHOWN = ("dedup_key", "copy", "dsn")
_PERHAPS_SENT = (State.UNCERTAIN.value, State.QUEUED.value)


def apply(connection: Connection, job_id: str, event: Event, now: float, who: str = "") -> State | None:
    """An operator's event: retry, cancel, hold, release. The new state, or None where the lifecycle forbids it."""
    row = connection.execute(
        select(jobs).where(jobs.c.id == job_id, jobs.c.state.in_([s.value for s in sources(event)])).with_for_update()
    ).one_or_none()
    if row is None or not row.route:  # without a route: refused before sending, there is nothing to send
        return None
    state = after(State(row.state), event)
    if state is State.QUEUED and row.text is None:  # erased by the retention
        return None
    due_at = now if state is State.QUEUED else None
    if event is Event.RELEASE:
        due_at = max(now, row.not_before or now)
    changes: dict[str, Any] = {
        "state": state.value,
        "due_at": due_at,
        "updated_at": now,
        "why": f"{event.value}",
        "storm": None,
    }
    if event is Event.RETRY:
        # The validity starts anew: somebody wants it sent now. The fence voids a call still in flight.
        changes |= {
            "tries": 0,
            "told": False,
            "reason": None,
            "reason_values": None,
            "fence": row.fence + 1,
            "expires_at": max(row.expires_at, now + (row.expires_at - row.created_at)),
            # What may have been sent keeps the key by which the provider knows it; what was refused is sent anew.
            "generation": row.generation + (row.state not in _PERHAPS_SENT),
        }
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(changes))
    if state is State.QUEUED:
        announce(connection, row.provider)
    note = Note("desk", event.value, {"by": who} if who else {})
    connection.execute(insert(trail), trail_row(row.mail_id, job_id, now, (note,)))
    return state


def pauses(connection: Connection, now: float) -> dict[str, tuple[float, str]]:
    """Provider accounts that are stopped: until when, and why."""
    rows = connection.execute(select(providers).where(providers.c.paused_until > now))
    return {row.name: (row.paused_until, row.paused_why) for row in rows}


def paused_providers(connection: Connection, now: float) -> dict[str, str]:
    """Provider accounts that are stopped, and why."""
    return {name: why for name, (_, why) in pauses(connection, now).items()}
