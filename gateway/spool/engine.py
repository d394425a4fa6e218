"""Transactions on SQLite: one thread writes, one reads, and each commit is on the disk when it returns.

Statements are plain SQLAlchemy Core functions of a ``Connection``; a whole batch of them costs one hop
to the thread and one fsync.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import StaticPool

T = TypeVar("T")


class StoreInUse(Exception):
    """Another process serves from this database file."""


class Database:
    """The embedded engine. ``path`` is the file; its folder must exist."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.path = Path(self._url.database or "")
        self._lock_file: IO[str] | None = None
        # IMMEDIATE: a transaction that reads and then writes must not find, at its first write, that
        # another process has written in between.
        self._engines = {True: _engine(self._url, "BEGIN IMMEDIATE"), False: _engine(self._url, "BEGIN")}
        self._threads = {
            True: ThreadPoolExecutor(1, thread_name_prefix="spool-write"),
            False: ThreadPoolExecutor(1, thread_name_prefix="spool-read"),
        }

    def lock(self) -> None:
        """Claim the file for this process until ``close``. Raises ``StoreInUse``.

        Two daemons on one file would both resolve each other's calls in flight (reliability, row 23).
        The command line works on the store beside a daemon without this lock.
        """
        path = self.path.with_name(self.path.name + ".lock")
        path.touch(mode=0o600)
        self._lock_file = path.open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock_file.close()
            self._lock_file = None
            raise StoreInUse(str(self.path)) from None

    async def write(self, transaction: Callable[[Connection], T]) -> T:
        """Run in one transaction; returns after the fsync. Any exception rolls all of it back."""
        return await self._run(True, transaction)

    async def read(self, transaction: Callable[[Connection], T]) -> T:
        """Run on the reading thread, beside a write in progress."""
        return await self._run(False, transaction)

    async def _run(self, write: bool, transaction: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads[write], self.run_now, transaction, write)

    def run_now(self, transaction: Callable[[Connection], T], write: bool = True) -> T:
        """The same in the calling thread, for migrations and tools."""
        with self._engines[write].begin() as connection:
            return transaction(connection)

    def close(self) -> None:
        """Finish what is queued and release the file."""
        for thread in self._threads.values():
            thread.shutdown()
        for engine in self._engines.values():
            engine.dispose()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None


def _engine(url: URL, begin: str) -> Engine:
    engine = create_engine(
        url,
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": 10.0, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # a commit survives the loss of power, not only of the process
            "secure_delete=ON",  # erased texts do not linger in free pages
            "journal_size_limit=67108864",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
