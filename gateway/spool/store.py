"""The store as the service uses it: one object, every write in a batch with its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from gateway.spool import claims, migrations
from gateway.spool.batch import Batch
from gateway.spool.claims import Settlement
from gateway.spool.engine import Database
from gateway.spool.put import Put, StoredMail, put

T = TypeVar("T")


class Store:
    """``put`` and ``settle`` are the hot paths and commit in groups; the rest are single transactions."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.put: Batch[StoredMail, Put] = Batch(self.database, put)
        self.settle: Batch[Settlement, bool] = Batch(self.database, claims.settle)

    @classmethod
    def open(cls, url: str, *, exclusive: bool) -> Store:
        """Open and bring the schema up to date. ``exclusive`` is for the daemon.

        Raises ``StoreInUse`` when another daemon has the file, ``SchemaTooNew`` when a newer version
        of the gateway wrote it.
        """
        store = cls(url)
        try:
            store.database.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if exclusive:
                store.database.lock()
            store.database.path.touch(mode=0o600)
            store.database.run_now(migrations.upgrade)
        except BaseException:
            store.close()
            raise
        return store

    async def write(self, transaction: Callable[[Connection], T]) -> T:
        """A transaction of its own."""
        return await self.database.write(transaction)

    async def read(self, transaction: Callable[[Connection], T]) -> T:
        """A look, beside whatever is being written."""
        return await self.database.read(transaction)

    def close(self) -> None:
        """Finish and release the file."""
        self.database.close()
