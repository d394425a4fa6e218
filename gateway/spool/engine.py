"""Two engines, one set of statements: plain SQLAlchemy Core functions of a ``Connection``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Executable, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

T = TypeVar("T")


class StoreInUse(Exception):
    """Another process serves from this database file."""


class Database(Protocol):
    """Transactions; each is on the disk when it returns. Any exception rolls all of it back."""

    async def open(self, *, exclusive: bool) -> None:
        """Connect. ``exclusive`` claims an embedded database for this daemon; raises ``StoreInUse``."""

    async def write(self, transaction: Callable[[Connection], T], *, brief: bool = False) -> T:
        """Run in one transaction, to its commit. ``brief``: some milliseconds of work, and may hold the loop for it."""

    async def read(self, transaction: Callable[[Connection], T], *, brief: bool = False) -> T:
        """Run beside whatever is being written. ``brief``: some steps down an index, which wait for no longer look and
        may hold the loop."""

    @property
    def inode(self) -> int | None:
        """Of an embedded database's file: a copy has another."""

    def has_room(self, size: int) -> bool:
        """Whether that many bytes can be taken in without filling the disk."""

    def spend_reserve(self) -> None:
        """The disk is full, and something must be written all the same: give up the space kept for that."""

    def keep_reserve(self) -> None:
        """Keep some space, as soon as there is."""

    async def scrub(self) -> None:
        """What has been erased leaves the files now, as far as that is ours to do."""

    async def watch(self, heard: Callable[[str], None]) -> None:
        """Until cancelled: call ``heard`` with the name of each provider for which another process has queued."""

    async def close(self) -> None:
        """Finish what is in progress, and disconnect."""


_AWAY = ("08", "28", "3D", "40", "53", "55P03", "57", "58")
"""SQLSTATEs of PostgreSQL: no connection, no login, no such database, deadlock, out of space or connections, lock
time-out, starting, stopping or statement time-out, fault of the system. SQLAlchemy has no class of its own for them."""


def is_away(error: Exception) -> bool:
    """Whether the database itself failed (locked, full, restarting, out of reach), not one statement's data."""
    if isinstance(error, OperationalError | InterfaceError | OSError | TimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or str(getattr(error.orig, "sqlstate", None)).startswith(_AWAY)


def is_misconfigured(error: Exception) -> bool:
    """Whether the server is there and does not want us: no such database, role, password or permission."""
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None) or ""
    return state.startswith(("28", "3D", "42501"))


def is_full(error: Exception) -> bool:
    """Whether there was no room on the disk."""
    original: Any = getattr(error, "orig", None) or error
    code = getattr(original, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_FULL or getattr(original, "sqlstate", None) == "53100"


def cause(error: BaseException) -> str:
    """What the database said, without the statement and its values: they hold texts and numbers."""
    original = getattr(error, "orig", None) or error
    return f"{type(original).__name__}: {original}".splitlines()[0]


def insert_missing(connection: Connection, table: Table) -> Executable:
    """INSERT that skips rows whose key is there already, on either engine."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def embedded(connection: Connection) -> sqlite3.Connection:
    """SQLite's own, below SQLAlchemy's."""
    raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    return raw


def told(error: sqlite3.Error) -> BaseException:
    """As SQLAlchemy would raise it, without the values."""
    return DBAPIError.instance(None, None, error, sqlite3.Error, hide_parameters=True)


def announce(connection: Connection, provider: str) -> None:
    """Tell the other processes, at the commit, that there is work for this provider."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_notify('email2sms', $1)", (provider,))


def on_connect(engine: Any, statements: list[str]) -> None:
    """Run these on each new connection of the engine."""

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
