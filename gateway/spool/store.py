"""The store as the service uses it: one object, every write in a batch with its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import URL, Connection, make_url

from gateway.policy.guessing import Record
from gateway.spool import migrations, sealing
from gateway.spool.bans import Strike, strike
from gateway.spool.batch import Batch
from gateway.spool.engine import Database
from gateway.spool.lists import Found, Wanted, lookup
from gateway.spool.put import Put, StoredMail, confirm, put
from gateway.spool.receipts import Applied, Received, record
from gateway.spool.sealing import Sealing
from gateway.spool.settle import Settlement, settle
from gateway.spool.sqlite import SqliteDatabase

T = TypeVar("T")


def _database(url: URL, min_free: int, key: Sealing | None) -> Database:
    if url.get_backend_name() == "sqlite":
        return SqliteDatabase(url, min_free, key)
    from gateway.spool.postgres import PostgresDatabase  # noqa: PLC0415  (ten megabytes that SQLite need not pay)

    return PostgresDatabase(url, key)


def _jobs(mail: StoredMail) -> int:
    return len(mail.accepted.jobs) + len(mail.accepted.dropped) if mail.accepted else 1


class Store:
    """``put``, ``confirm``, ``settle``, ``record`` and ``strike`` are the hot paths and commit in groups, ``lookup``
    looks in groups; the others are single."""

    def __init__(self, url: str, min_free: int = 0, key: Sealing | None = None) -> None:
        self.database = _database(make_url(url), min_free, key)
        self.put: Batch[StoredMail, Put] = Batch(self.database, put, rows=_jobs)
        self.confirm: Batch[str, None] = Batch(self.database, confirm)
        self.settle: Batch[Settlement, bool] = Batch(self.database, settle)
        self.strike: Batch[Strike, tuple[Record, ...]] = Batch(self.database, strike)
        self.record: Batch[Received, Applied] = Batch(self.database, record)
        self.lookup: Batch[Wanted, Found] = Batch(self.database, lookup, reads=True)

    @classmethod
    async def open(cls, url: str, *, exclusive: bool, min_free: int = 0, key: Sealing | None = None) -> Store:
        """Open and bring the schema up to date. ``exclusive`` is for the daemon; ``min_free`` are bytes of the disk;
        with a ``key``, what people wrote is sealed from now on.

        Raises ``StoreInUse`` when another daemon has the file, ``SchemaTooNew`` when a newer version of the gateway
        wrote it, ``WrongKey`` when it is sealed with another key, and what ``is_away`` knows when the server cannot
        be reached.
        """
        store = cls(url, min_free, key)
        try:
            await store.database.open(exclusive=exclusive)
            await store.write(migrations.upgrade)
            await store.write(sealing.check)
        except BaseException:
            await store.close()
            raise
        return store

    async def write(self, transaction: Callable[[Connection], T], *, brief: bool = False) -> T:
        """A transaction of its own; ``brief``: of some milliseconds, that may hold the loop."""
        return await self.database.write(transaction, brief=brief)

    async def read(self, transaction: Callable[[Connection], T], *, brief: bool = False) -> T:
        """A look, beside whatever is being written; ``brief``: before longer ones."""
        return await self.database.read(transaction, brief=brief)

    async def close(self) -> None:
        """Finish and disconnect."""
        await self.database.close()
