"""Reply mails that wait for the smarthost, and what they are rendered from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import LABEL_STYLE_TABLENAME_PLUS_COL, Connection, Row, func, insert, select, text, true, update

from gateway.lifecycle import State
from gateway.model import Dsn, Note, Notice, Told
from gateway.spool.engine import insert_missing
from gateway.spool.put import REPORT_DELAY_S, outbox_row
from gateway.spool.schema import OPEN_REPORT, PENDING, TAKEN, jobs, mails, outbox, trail
from gateway.spool.trail import trail_row
from gateway.verdicts import REASONS, Refusal

_WORTH_TELLING = (
    State.FAILED,
    State.EXPIRED,
    State.UNCERTAIN,
    State.UNDELIVERED,
    State.SUBMITTED,
    State.DELIVERED,
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One reply that is due. ``message`` is None until the first try has rendered it."""

    id: int
    notice: Notice
    message: bytes | None
    tries: int
    created_at: float
    expires_at: float
    job_ids: tuple[str, ...] = field(default=())
    """The jobs that this reply tells of."""
    kind: str = "report"


def take(connection: Connection, now: float, limit: int, owner: str = "") -> list[Outgoing]:
    """Replies to be sent now, oldest first. For ``SENDING_S`` no other process takes them, unless this one dies:
    a second error mail is cheap, and has the same Message-ID."""
    rows = connection.execute(
        select(outbox, mails)
        .outerjoin(mails, mails.c.id == outbox.c.mail_id)
        .where(text(f"outbox.{PENDING}"), outbox.c.due_at <= now)
        .order_by(outbox.c.due_at)
        .limit(limit)
        .with_for_update(of=outbox, skip_locked=True)
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
    ).all()
    if rows:
        ids = [row.outbox_id for row in rows]
        connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(due_at=now + SENDING_S, owner=owner))
    return [_outgoing(connection, row) for row in rows]


SENDING_S = 60.0


def hasten(connection: Connection, now: float, by_s: float) -> None:
    """The clock was set back by so much: replies wait no longer than was meant."""
    connection.execute(update(outbox).where(text(PENDING), outbox.c.due_at > now).values(due_at=outbox.c.due_at - by_s))


def release(connection: Connection, now: float, alive: Collection[str] = ()) -> None:
    """Replies that a dead process was sending are due again."""
    orphaned = outbox.c.owner.not_in(list(alive)) if alive else true()
    connection.execute(update(outbox).where(text(TAKEN), orphaned).values(due_at=now, owner=None))


def _outgoing(connection: Connection, row: Row[Any]) -> Outgoing:
    told = _untold(connection, row.outbox_mail_id) if row.mails_reason is None else []
    return Outgoing(
        id=row.outbox_id,
        notice=_notice(row, told) if row.mails_id is not None else _of_no_mail(row),
        message=row.outbox_message,
        tries=row.outbox_tries,
        created_at=row.outbox_created_at,
        expires_at=row.outbox_expires_at,
        job_ids=tuple(job.id for job in told),
        kind=row.outbox_kind,
    )


def _of_no_mail(row: Row[Any]) -> Notice:
    """An incoming SMS: its mail is finished already."""
    return Notice(row.outbox_mail_id, row.outbox_recipient, "en", "", None, (), "", "", "", row.outbox_created_at)


def _notice(row: Row[Any], told: Sequence[Row[Any]]) -> Notice:
    return Notice(
        mail_id=row.mails_id,
        to=row.outbox_recipient,
        language=row.mails_language,
        message_id=row.mails_message_id,
        refusal=refusal_of(row.mails_reason, row.mails_reason_values),
        told=tuple(_told(job) for job in told),
        dialect=row.mails_dialect,
        account=row.mails_account or "",
        originator=row.mails_originator or "",
        received_at=row.mails_received_at,
        dsn=Dsn(**row.mails_dsn) if row.mails_dsn else None,
    )


def _untold(connection: Connection, mail_id: str) -> list[Row[Any]]:
    """The jobs of which the sender must still learn. A lost answer that is still being asked for is no news."""
    rows = connection.execute(
        select(jobs)
        .where(
            jobs.c.mail_id == mail_id,
            jobs.c.told.is_(False),
            jobs.c.state.in_([state.value for state in _WORTH_TELLING]),
        )
        .order_by(jobs.c.id)
    )
    return [row for row in rows if row.due_at is None]


def _told(row: Row[Any]) -> Told:
    refusal = refusal_of(row.reason, row.reason_values)
    return Told(row.destination, State(row.state), refusal, row.why, row.recipient, row.result or {})


def refusal_of(key: str | None, values: Mapping[str, str | int] | None) -> Refusal | None:
    """The stored form of a refusal, read back."""
    return Refusal(REASONS[key], values or {}) if key else None


def sent_since(connection: Connection, recipient: str, since: float) -> int:
    """How many reports of failures went to an address since then. What somebody has asked for is not counted."""
    mine = (outbox.c.recipient == recipient, outbox.c.state == "sent", outbox.c.sent_at > since)
    return connection.execute(select(func.count()).where(*mine, outbox.c.kind == "report")).scalar_one()


def rendered(connection: Connection, item: Outgoing, message: bytes) -> None:
    """Keep the finished mail, and that its jobs are told of: a retry sends the same words."""
    kind = "report" if item.notice.is_failure else "confirmation"
    connection.execute(update(outbox).where(outbox.c.id == item.id).values(message=message, kind=kind))
    if item.job_ids:
        connection.execute(
            update(jobs)
            .where(jobs.c.id.in_(item.job_ids), jobs.c.state.in_([state.value for state in _WORTH_TELLING]))
            .values(told=True)
        )
    if item.notice.refusal is None and (late := _untold(connection, item.notice.mail_id)):
        # They changed after ``take`` had read them, found this report still open and so asked for no other.
        ask_for_reports(connection, [item.notice.mail_id], max(row.updated_at for row in late), 0.0)


def ask_for_reports(
    connection: Connection, mail_ids: Collection[str], now: float, delay_s: float = REPORT_DELAY_S
) -> None:
    """One open report for each mail whose sender may be told, whoever of its jobs asks for it.

    An open one is locked: when it is being rendered at this moment, that waits, and then tells of this job, too.
    """
    wanted = {
        row.id: row.reply_to
        for row in connection.execute(
            select(mails.c.id, mails.c.reply_to).where(mails.c.id.in_(set(mail_ids)), mails.c.reply_to.is_not(None))
        )
    }
    while wanted:
        found = connection.execute(
            select(outbox.c.mail_id)
            .where(outbox.c.mail_id.in_(list(wanted)), text(OPEN_REPORT))
            .order_by(outbox.c.id)
            .with_for_update()
        )
        for mail_id in found.scalars():
            del wanted[mail_id]
        if wanted:
            rows = [outbox_row(mail_id, reply_to, now, delay_s) for mail_id, reply_to in wanted.items()]
            connection.execute(insert_missing(connection, outbox), rows)


def finish(connection: Connection, item_id: int, state: str, now: float, error: str = "") -> None:
    """``sent``, ``dropped`` (refused or too old) or ``suppressed`` (too many to one address)."""
    sent_at = now if state == "sent" else None
    mail_id = connection.execute(select(outbox.c.mail_id).where(outbox.c.id == item_id)).scalar_one_or_none()
    if mail_id is not None:  # not deleted meanwhile, because it is so old
        note = Note("reply", state, {"why": error} if error else {})
        connection.execute(insert(trail), trail_row(mail_id, None, now, (note,)))
    connection.execute(
        update(outbox)
        .where(outbox.c.id == item_id)
        .values(state=state, sent_at=sent_at, error=error, message=None, owner=None)
    )


def postpone(connection: Connection, item_id: int, due_at: float, error: str) -> None:
    """Try again later."""
    connection.execute(
        update(outbox)
        .where(outbox.c.id == item_id)
        .values(due_at=due_at, error=error, tries=outbox.c.tries + 1, owner=None)
    )


def next_due(connection: Connection) -> float | None:
    """When the next reply is due."""
    earliest: float | None = connection.execute(select(func.min(outbox.c.due_at)).where(text(PENDING))).scalar_one()
    return earliest


def replies_of(connection: Connection, mail_id: str) -> Sequence[Row[Any]]:
    """The replies to one mail, for the desk."""
    return connection.execute(select(outbox).where(outbox.c.mail_id == mail_id).order_by(outbox.c.id)).all()
