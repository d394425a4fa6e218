"""Who has looked at what people wrote."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from gateway.spool.schema import audit, jobs, mails


@dataclass(frozen=True, slots=True)
class Look:
    """One entry."""

    at: float
    who: str
    what: str
    subject: str
    """A queue id, or a masked number."""


@dataclass(frozen=True, slots=True)
class Words:
    """What people wrote. None: erased, or never stored."""

    copy: str | None
    texts: dict[str, str | None]
    """By job."""


def note(connection: Connection, look: Look) -> None:
    """Write it down."""
    row = {"at": look.at, "who": look.who, "what": look.what, "subject": look.subject}
    connection.execute(insert(audit), row)


def looks(connection: Connection, limit: int) -> list[Look]:
    """The newest first."""
    rows = connection.execute(select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit))
    return [Look(row.at, row.who, row.what, row.subject) for row in rows]


def forget(connection: Connection, before: float) -> None:
    """Entries from before then."""
    connection.execute(delete(audit).where(audit.c.at < before))


def words(connection: Connection, mail_id: str, who: str, now: float) -> Words:
    """The words of a mail and its SMS; that somebody has looked is written down in the same transaction."""
    note(connection, Look(now, who, "text", mail_id))
    copy = connection.execute(select(mails.c.copy).where(mails.c.id == mail_id)).scalar_one_or_none()
    rows = connection.execute(select(jobs.c.id, jobs.c.text).where(jobs.c.mail_id == mail_id).order_by(jobs.c.id))
    return Words(copy, {row.id: row.text for row in rows})
