"""Who is signed in. The cookie's secret is not here, only its digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select, update

from gateway.policy.people import User
from gateway.spool.people import user_of
from gateway.spool.schema import sessions, users

_SHOWN = [column for column in sessions.columns if column.name != "digest"]


@dataclass(frozen=True, slots=True)
class Session:
    """One browser of one user."""

    id: str
    login: str
    created_at: float
    seen_at: float
    """To the minute."""
    expires_at: float
    peer: str
    agent: str
    """What the browser calls itself."""
    how: str
    """``password``, ``link``, ``oidc`` or ``proxy``."""


def begin(connection: Connection, session: Session, digest: str) -> None:
    """Sign in."""
    connection.execute(insert(sessions), {**asdict(session), "digest": digest})


def find(connection: Connection, digest: str, now: float, idle_s: float) -> tuple[Session, User] | None:
    """Whose this is; None: nobody's, too old, idle for too long, or of somebody who may not come in any more."""
    query = (
        select(*_SHOWN, *users.columns)
        .join(users, users.c.login == sessions.c.login)
        .where(
            sessions.c.digest == digest,
            sessions.c.expires_at > now,
            sessions.c.seen_at > now - idle_s,
            users.c.disabled.is_(False),
        )
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    return Session(**{column.name: row._mapping[column] for column in _SHOWN}), user_of(row)


def touch(connection: Connection, session_id: str, now: float) -> None:
    """It is in use."""
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(seen_at=now))


def listed(connection: Connection, login: str, now: float, idle_s: float) -> Sequence[Session]:
    """Of one user, the last used first."""
    query = (
        select(*_SHOWN)
        .where(sessions.c.login == login, sessions.c.expires_at > now, sessions.c.seen_at > now - idle_s)
        .order_by(sessions.c.seen_at.desc(), sessions.c.id)
    )
    return [Session(**row) for row in connection.execute(query).mappings()]


def end(connection: Connection, login: str, *, only: str | None = None, but: str | None = None) -> int:
    """Sign out: all of his, only one, or all but one. How many were ended."""
    query = delete(sessions).where(sessions.c.login == login)
    if only is not None:
        query = query.where(sessions.c.id == only)
    if but is not None:
        query = query.where(sessions.c.id != but)
    return connection.execute(query).rowcount
