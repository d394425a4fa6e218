"""Who may come into the console: users, and the links that let them in once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.policy.people import User
from gateway.policy.permissions import Role
from gateway.spool.engine import insert_missing
from gateway.spool.schema import links, sessions, tokens, users

FIRST = ""
"""Whose link makes the first admin."""


@dataclass(frozen=True, slots=True)
class Link:
    """Somebody may come in once."""

    login: str
    expires_at: float
    enters: bool


class LastAdmin(Exception):
    """Nobody would be left who could manage the others."""


def user_of(row: Row[Any]) -> User:
    """From a row that has the columns of ``users``."""
    values = {column.name: row._mapping[column] for column in users.columns}
    accounts = values.pop("accounts")
    return User(**{**values, "role": Role(values["role"])}, accounts=None if accounts is None else frozenset(accounts))


def _row(user: User) -> dict[str, Any]:
    accounts = None if user.accounts is None else sorted(user.accounts)
    return {**asdict(user), "role": user.role.value, "accounts": accounts}


def lock(connection: Connection) -> None:
    """Until the commit nobody else changes users: what must hold for all of them can be checked."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(2526)")


def listed(connection: Connection) -> list[User]:
    """All, by login."""
    return [user_of(row) for row in connection.execute(select(users).order_by(users.c.login))]


def is_empty(connection: Connection) -> bool:
    """Whether there is nobody yet."""
    return connection.execute(select(users.c.login).limit(1)).first() is None


def find(connection: Connection, login: str) -> User | None:
    """By login."""
    row = connection.execute(select(users).where(users.c.login == login)).first()
    return user_of(row) if row is not None else None


def find_subject(connection: Connection, subject: str) -> User | None:
    """By what the OpenID provider calls him."""
    row = connection.execute(select(users).where(users.c.subject == subject)).first()
    return user_of(row) if row is not None else None


def add(connection: Connection, user: User) -> bool:
    """False: the login is taken."""
    return connection.execute(insert_missing(connection, users), _row(user)).rowcount == 1


def write(connection: Connection, user: User) -> None:
    """All of it, as ``user`` is."""
    connection.execute(update(users).where(users.c.login == user.login).values(_row(user)))


def change(connection: Connection, user: User) -> None:
    """The same, by one of us. Who is disabled is out at once. Raises ``LastAdmin``."""
    write(connection, user)
    if user.disabled:
        connection.execute(delete(sessions).where(sessions.c.login == user.login))
        connection.execute(delete(links).where(links.c.login == user.login))
    _somebody_manages(connection)


def remove(connection: Connection, login: str) -> bool:
    """With his sessions, tokens and links. False: there is none. Raises ``LastAdmin``."""
    for table in (sessions, tokens, links):
        connection.execute(delete(table).where(table.c.login == login))
    removed = connection.execute(delete(users).where(users.c.login == login)).rowcount == 1
    if removed:
        _somebody_manages(connection)
    return removed


def _somebody_manages(connection: Connection) -> None:
    admins = select(users).where(users.c.role == Role.ADMIN.value)
    if not any(user_of(row).is_admin for row in connection.execute(admins)):
        raise LastAdmin


def seen(connection: Connection, login: str, now: float) -> None:
    """He has signed in."""
    connection.execute(update(users).where(users.c.login == login).values(seen_at=now))


# ── links ────────────────────────────────────────────────────────────────────────────────────


def put_link(connection: Connection, link: Link, digest: str) -> None:
    """The only one of this login from now on."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(links)
    row = {**asdict(link), "digest": digest}
    connection.execute(statement.on_conflict_do_update(index_elements=[links.c.login], set_=row), row)


def find_link(connection: Connection, digest: str, now: float) -> Link | None:
    """That is still good."""
    row = connection.execute(select(links).where(links.c.digest == digest, links.c.expires_at > now)).first()
    return Link(row.login, row.expires_at, row.enters) if row is not None else None


def use_link(connection: Connection, digest: str, now: float) -> Link | None:
    """The same, and nobody can use it again."""
    found = find_link(connection, digest, now)
    if found is None or not connection.execute(delete(links).where(links.c.digest == digest)).rowcount:
        return None
    return found


def void_link(connection: Connection, login: str) -> None:
    """His link is good no more."""
    connection.execute(delete(links).where(links.c.login == login))


def forget(connection: Connection, now: float) -> None:
    """What nobody can use any more."""
    for table in (links, sessions):
        connection.execute(delete(table).where(table.c.expires_at < now))
