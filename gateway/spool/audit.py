"""Who has looked at what people wrote, and what people did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, delete, insert, select, tuple_

from gateway.model import Job
from gateway.spool.claims import job_of
from gateway.spool.schema import audit, jobs, mails


@dataclass(frozen=True, slots=True)
class Look:
    """One entry."""

    at: float
    who: str
    what: str
    subject: str
    """A queue id, a login, a masked number …"""
    via: str = "cli"
    """The door: ``cli``, ``console`` or ``api``."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries. None: whatever it is."""

    who: str | None = None
    what: str | None = None
    since: float | None = None
    until: float | None = None


Place = tuple[float, int]
"""In the list: the time and serial number of an entry."""


@dataclass(frozen=True, slots=True)
class Words:
    """What people wrote. None: erased, or never stored."""

    copy: str | None
    texts: dict[str, str | None]
    """By job."""
    jobs: tuple[Job, ...]
    """Those that have a provider and a text, each with the provider that it is at as its route."""


def note(connection: Connection, look: Look) -> None:
    """Write it down."""
    connection.execute(insert(audit), asdict(look))


def note_all(connection: Connection, found: Sequence[Look]) -> None:
    """The same."""
    connection.execute(insert(audit), [asdict(look) for look in found])


def looks(connection: Connection, limit: int) -> list[Look]:
    """The newest first."""
    return search(connection, Wanted(), limit)[0]


def search(
    connection: Connection, wanted: Wanted, limit: int, after: Place | None = None
) -> tuple[list[Look], Place | None]:
    """The newest first, from behind ``after``, and where to go on; None: there are no more."""
    query = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit + 1)
    for column, value in ((audit.c.who, wanted.who), (audit.c.what, wanted.what)):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit.c.at < wanted.until)
    if after is not None:
        query = query.where(tuple_(audit.c.at, audit.c.id) < after)
    rows = connection.execute(query).all()
    found = [Look(row.at, row.who, row.what, row.subject, row.via) for row in rows[:limit]]
    return found, (rows[limit - 1].at, rows[limit - 1].id) if len(rows) > limit else None


def forget(connection: Connection, before: float) -> None:
    """Entries from before then."""
    connection.execute(delete(audit).where(audit.c.at < before))


def words(connection: Connection, mail_id: str, who: str, now: float, via: str = "cli") -> Words:
    """The words of a mail and its SMS; that somebody has looked is written down in the same transaction."""
    note(connection, Look(now, who, "text", mail_id, via))
    copy = connection.execute(select(mails.c.copy).where(mails.c.id == mail_id)).scalar_one_or_none()
    rows = connection.execute(select(jobs).where(jobs.c.mail_id == mail_id).order_by(jobs.c.id)).all()
    asked = [replace(job_of(row), route=(row.provider,)) for row in rows if row.provider and row.text is not None]
    return Words(copy, {row.id: row.text for row in rows}, tuple(asked))
