"""What the gateway remembers outside its store: whether the store is a restored backup."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from sqlalchemy import Connection

from gateway.spool import epoch
from gateway.spool.epoch import Epoch
from gateway.spool.store import Store

log = structlog.get_logger()


class Memory:
    """The copy of the store's epoch, in a file that backups of the store must leave out.

    The file also names the inode of an embedded database: where both were restored together, that is another.
    """

    def __init__(self, path: Path, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._store = store
        self._clock = clock
        self._last = Epoch("", 0)
        self._dirty = False

    async def check(self) -> None:
        """At the start, before anything goes out. Raises ``OSError`` when the file cannot be written."""
        known = _read(self._path)
        written = await self._store.write(epoch.current)
        inode = self._store.database.inode
        if known is None:  # nodes before a database server may come and go; a file has its memory beside it
            is_old = inode is not None and written.number > 0
        else:
            was, at = known
            is_old = was.store == written.store and (was.number > written.number or at != (inode or 0))
        await (self._hold(known[0].number if known else 0) if is_old else self._remember(written))

    def mark(self) -> None:
        """SMS are going out."""
        self._dirty = True

    async def advance(self) -> None:
        """Write down that SMS have gone out since the last call."""
        if not self._dirty:
            return
        self._dirty = False

        def transaction(connection: Connection) -> Epoch | None:
            return None if epoch.current(connection).number < self._last.number else epoch.advance(connection)

        later = await self._store.write(transaction)
        await (self._hold(self._last.number) if later is None else self._remember(later))

    async def _hold(self, known: int) -> None:
        def transaction(connection: Connection) -> tuple[int, Epoch]:
            return epoch.hold_all(connection, self._clock()), epoch.advance(connection, known)

        held, now = await self._store.write(transaction)
        log.error("store.restored", held=held, why=epoch.RESTORED, alert=True)
        await self._remember(now)

    async def _remember(self, now: Epoch) -> None:
        await asyncio.to_thread(_write, self._path, now, self._store.database.inode or 0)
        self._last = now


def _read(path: Path) -> tuple[Epoch, int] | None:
    try:
        store, number, inode = path.read_text("ascii").split()
        return Epoch(store, int(number)), int(inode)
    except (OSError, ValueError):
        return None


def _write(path: Path, now: Epoch, inode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with fresh.open("w") as file:
        file.write(f"{now.store} {now.number} {inode}\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
