"""What is too old to be kept: texts first, later everything about a mail."""

from __future__ import annotations

from sqlalchemy import Connection, delete, exists, select, text, update

from gateway.lifecycle import State
from gateway.policy.caps import periods
from gateway.spool import audit
from gateway.spool.holds import BURSTS
from gateway.spool.schema import (
    WITH_COPY,
    WITH_TEXT,
    attempts,
    heartbeats,
    hooks,
    incoming,
    jobs,
    mails,
    number_usage,
    outbox,
    parts,
    trail,
    usage,
)

AT_ONCE = 1000
"""Other writes wait meanwhile."""
_WAITING = [state.value for state in (State.QUEUED, State.SUBMITTING, State.HELD)]


def erase_texts(connection: Connection, before: float) -> int:
    """The words of SMS and mails that came before then, but for what still waits. Fewer than ``AT_ONCE``: all done."""
    is_done = jobs.c.state.not_in(_WAITING)
    old = select(jobs.c.id).where(text(WITH_TEXT), jobs.c.created_at < before, is_done).limit(AT_ONCE)
    erased = connection.execute(
        update(jobs).where(jobs.c.id.in_(old)).values(text=None, extras=None, result=None)
    ).rowcount
    connection.execute(update(incoming).where(incoming.c.received_at < before).values(text=None))
    connection.execute(delete(hooks).where(hooks.c.created_at < before, hooks.c.due_at.is_(None)))
    waits = exists().where(jobs.c.mail_id == mails.c.id, jobs.c.state.in_(_WAITING))
    copied = select(mails.c.id).where(text(WITH_COPY), mails.c.received_at < before, ~waits).limit(AT_ONCE)
    blanked = connection.execute(update(mails).where(mails.c.id.in_(copied)).values(copy=None)).rowcount
    return max(erased, blanked)


def delete_records(connection: Connection, before: float) -> int:
    """Everything about mails that came before then, but for those of which something still waits."""
    waits = exists().where(jobs.c.mail_id == mails.c.id, jobs.c.state.in_(_WAITING))
    old = select(mails.c.id).where(mails.c.received_at < before, ~waits).order_by(mails.c.received_at).limit(AT_ONCE)
    ids = list(connection.execute(old).scalars())
    if ids:
        theirs = select(jobs.c.id).where(jobs.c.mail_id.in_(ids))
        for table in (attempts, parts):
            connection.execute(delete(table).where(table.c.job_id.in_(theirs)))
        for table in (jobs, trail, outbox):
            connection.execute(delete(table).where(table.c.mail_id.in_(ids)))
        connection.execute(delete(mails).where(mails.c.id.in_(ids)))
    answered = select(incoming.c.id).where(incoming.c.received_at < before)
    for table in (outbox, trail):
        connection.execute(delete(table).where(table.c.mail_id.in_(answered)))
    connection.execute(delete(incoming).where(incoming.c.received_at < before))
    _, day = periods(before)
    connection.execute(delete(usage).where(usage.c.period < day))
    connection.execute(delete(heartbeats).where(heartbeats.c.at < before))
    audit.forget(connection, before)
    return len(ids)


def forget_counters(connection: Connection, now: float) -> None:
    """What was counted for caps of hours and days that are over, where it says who got SMS or is much."""
    yesterday = now - 86400.0
    connection.execute(delete(number_usage).where(number_usage.c.day < int(yesterday // 86400)))
    _, day = periods(yesterday)
    connection.execute(delete(usage).where(usage.c.period < day, usage.c.period.like(BURSTS)))
