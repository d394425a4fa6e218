"""The embedded engine: one connection writes, two read, and each commit is on the disk when it returns.

All writes that wait at one moment cost one fsync, on a thread. What is brief runs on the loop until then: statement by
statement in the thread it would want the interpreter's lock back each time, and that costs more than the statements.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from gateway.spool.engine import StoreInUse, cause, embedded, on_connect, told
from gateway.spool.sealing import Sealing

T = TypeVar("T")

log = structlog.get_logger()

RESERVE = 4 * 1024 * 1024
PATIENCE_S = 10.0
"""For other processes that write."""
LOOK_AGAIN_S = 0.001
"""uvloop's clock ticks in these; for less it would look in each turn of the loop."""
COPY_BACK_EVERY_S = 0.25
"""The pages that all mails touch are copied the less often; but while many are written the disk has no time for a
commit: in a store of ten millions for 35 ms, where it was two seconds."""
HOLDS_LOOP_S = 0.05
LOOP_SHARE = 0.05
"""Writes that have held the loop for longer than that (pages that come from a slow disk, a storm of equal alarms) go to
the thread until it was a twentieth of the time."""
TOGETHER_S = 0.01
"""What has taken so long is committed, and what still waits comes into the next transaction: nobody waits for others'
work much longer than alone."""
_BROKEN = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_WRITE,
    }
)
"""The disk fails. A second fsync may succeed although the pages of the first are gone (reliability, row 6)."""


class SqliteDatabase:
    """``path`` is the file. Its folder is made when it does not exist."""

    def __init__(self, url: URL, min_free: int = 0, key: Sealing | None = None) -> None:
        self.path = Path(url.database or "")
        self._min_free = min_free
        self._reserve = self.path.with_name(self.path.name + ".reserve")
        self._lock_file: IO[str] | None = None
        self._writer = _engine(url, writes=True)
        self._reader = _engine(url, writes=False)
        self._looker = _engine(url, writes=False)
        for engine in (self._writer, self._reader, self._looker):
            engine.dialect.sealing = key  # type: ignore[attr-defined]  # for the types of ``sealing``
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="spool-write")
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="spool-read")
        self._copy_thread = ThreadPoolExecutor(1, thread_name_prefix="spool-copy")
        self._waiting: list[tuple[Callable[[Connection], Any], bool, asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        """Of the connection that writes."""
        self._elsewhere_until = 0.0
        self._closed = False
        self._copied_at = 0.0

    async def open(self, *, exclusive: bool) -> None:
        """Make the file. ``exclusive`` claims it until ``close``; raises ``StoreInUse``, ``OSError``.

        Two daemons on one file would both resolve each other's calls in flight (reliability, row 23).
        The command line works on the store beside a daemon without this lock.
        """
        if exclusive:
            self._lock_file = lock(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(mode=0o600)

    async def write(self, transaction: Callable[[Connection], T], *, brief: bool = False) -> T:
        """With what else waits; returns after the fsync. A caller that is cancelled does not cancel the write."""
        if self._closed:
            raise RuntimeError("the store is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((transaction, brief, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await future

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = [transaction for transaction, _, _ in self._waiting]
            brief = all(brief for _, brief, _ in self._waiting)
            async with self._turn:
                if brief and loop.time() > self._elsewhere_until:
                    done = await self._here(group)
                else:
                    done = await loop.run_in_executor(self._write_thread, self._together, group)
            self._copy_back_at_times(loop.time())
            answered, self._waiting = self._waiting[: len(done)], self._waiting[len(done) :]
            for (_, _, future), result in zip(answered, done, strict=True):
                if not future.done():
                    result(future)
            await asyncio.sleep(0)  # who has been answered may have more to write

    def _copy_back_at_times(self, now: float) -> None:
        if now > self._copied_at + COPY_BACK_EVERY_S:
            self._copied_at = now
            self._copy_thread.submit(self._copy_back)

    def _copy_back(self) -> None:
        """What is committed, from the log of changes into the file. SQLite itself would do it in a commit, and whoever
        writes would wait for it: half a second in a store of a million."""
        try:
            # A file that was moved away is not made anew.
            with closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=rw", uri=True, timeout=0)) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            self._look_at(error)

    async def _here(self, group: Sequence[Callable[[Connection], Any]]) -> list[_Result]:
        """``_together`` on the loop, but for the disk, which is waited for in the thread. For the neighbour's lock the
        loop looks itself: a thread that looks so often would have to take the interpreter from the loop each time."""
        loop = asyncio.get_running_loop()
        results: list[_Result] = []
        try:
            with self._writer.connect() as connection:
                raw = embedded(connection)
                give_up_at = loop.time() + PATIENCE_S
                while not _begins(raw, insist=loop.time() > give_up_at):  # noqa: ASYNC110  (another process ends it)
                    await asyncio.sleep(LOOK_AGAIN_S)
                try:
                    transaction = connection.begin()
                    if (held_s := self._some(connection, group, results)) > HOLDS_LOOP_S:
                        self._elsewhere_until = loop.time() + held_s / LOOP_SHARE
                    await loop.run_in_executor(self._write_thread, transaction.commit)
                except BaseException:
                    raw.rollback()
                    raise
        except Exception as error:  # of the database: it is everybody's
            self._look_at(error)
            return [_failure(error)] * (len(results) or len(group))
        return results

    def _together(self, group: Sequence[Callable[[Connection], Any]]) -> list[_Result]:
        """Some of the group, at least the first, in one transaction."""
        results: list[_Result] = []
        try:
            self._run(self._writer, lambda connection: self._some(connection, group, results))
        except BaseException as error:  # of the database: it is everybody's
            return [_failure(error)] * (len(results) or len(group))
        return results

    def _some(
        self, connection: Connection, group: Sequence[Callable[[Connection], Any]], results: list[_Result]
    ) -> float:
        """Seconds that it took."""
        began, took_s = time.monotonic(), 0.0
        for transaction in group:
            results.append(self._alone(connection, transaction))
            if (took_s := time.monotonic() - began) > TOGETHER_S:
                break
        return took_s

    def _alone(self, connection: Connection, transaction: Callable[[Connection], Any]) -> _Result:
        """In the transaction of others: what fails is undone, and its neighbours stay. What it raises is its own."""
        raw = embedded(connection)
        raw.execute("SAVEPOINT one")
        try:
            result = _answer(transaction(connection))
        except BaseException as error:
            self._look_at(error)
            if not raw.in_transaction:
                raise  # a full disk undoes all of it
            raw.execute("ROLLBACK TO one")
            result = _failure(error)
        raw.execute("RELEASE one")
        return result

    async def read(self, transaction: Callable[[Connection], T], *, brief: bool = False) -> T:
        """On the reading thread; what is brief on the loop, or SMS would wait until a report has been made."""
        if brief:
            return self._run(self._looker, transaction)
        return await asyncio.get_running_loop().run_in_executor(self._read_thread, self._run, self._reader, transaction)

    def _run(self, engine: Engine, transaction: Callable[[Connection], T]) -> T:
        try:
            with engine.begin() as connection:
                return transaction(connection)
        except DatabaseError as error:
            self._look_at(error)
            raise

    def _look_at(self, error: BaseException) -> None:
        """Ends the process where the disk fails: whoever starts next reads what is really on it, as after a crash."""
        if getattr(getattr(error, "orig", error), "sqlite_errorcode", None) in _BROKEN:
            log.critical("store.broken", path=str(self.path), why=cause(error), alert=True)
            os._exit(os.EX_IOERR)

    @property
    def inode(self) -> int:
        """Of the file."""
        return self.path.stat().st_ino

    def has_room(self, size: int) -> bool:
        """With ``min_free`` to spare: the relay must be able to write down what providers answer."""
        disk = os.statvfs(self.path.parent)
        return disk.f_bavail * disk.f_frsize >= self._min_free + size

    def spend_reserve(self) -> None:
        """Give up the file that keeps the space."""
        if self._reserve.exists():
            log.error("store.reserve_spent", path=str(self._reserve), alert=True)
            self._reserve.unlink(missing_ok=True)

    def keep_reserve(self) -> None:
        """Some answers' worth of space, while there is plenty."""
        if self._min_free and not self._reserve.exists() and self.has_room(RESERVE):
            with suppress(OSError), self._reserve.open("xb") as file:  # another process may do the same
                os.posix_fallocate(file.fileno(), 0, RESERVE)

    async def scrub(self) -> None:
        """The log of changes is written into the file, where erased pages are zeros, and cut to nothing."""
        async with self._turn:
            await asyncio.get_running_loop().run_in_executor(self._write_thread, self._checkpoint)

    def _checkpoint(self) -> None:
        connection = self._writer.raw_connection()
        cursor = connection.cursor()
        for statement in (f"busy_timeout={round(PATIENCE_S * 1000)}", "wal_checkpoint(TRUNCATE)", "busy_timeout=0"):
            cursor.execute(f"PRAGMA {statement}")
        connection.close()

    async def watch(self, heard: Callable[[str], None]) -> None:
        """Nobody tells: processes on one file look again each second."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Finish what is queued and release the file."""
        self._closed = True
        if self._writing is not None and not self._writing.done():
            await self._writing
        for thread in (self._write_thread, self._read_thread, self._copy_thread):
            thread.shutdown()
        for engine in (self._writer, self._reader, self._looker):
            engine.dispose()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None


_Result = Callable[["asyncio.Future[Any]"], None]


def _answer(value: Any) -> _Result:
    return lambda future: future.set_result(value)


def _failure(error: BaseException) -> _Result:
    return lambda future: future.set_exception(error)


def lock(path: Path) -> IO[str]:
    """Claim the database file until the result is closed, by every process that inherited it.

    Raises ``StoreInUse``, ``OSError``.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = path.with_name(path.name + ".lock")
    path.touch(mode=0o600)
    held = path.open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise StoreInUse(str(path.with_suffix(""))) from None
    return held


def _engine(url: URL, *, writes: bool) -> Engine:
    engine = create_engine(
        url,
        poolclass=StaticPool,
        hide_parameters=True,  # an error goes into the log; texts and numbers do not
        connect_args={"check_same_thread": False, "timeout": PATIENCE_S, "isolation_level": None},
    )
    on_connect(
        engine,
        [
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",  # a commit survives the loss of power, not only of the process
            "PRAGMA secure_delete=ON",  # erased texts do not linger in free pages
            "PRAGMA journal_size_limit=67108864",
            "PRAGMA temp_store=MEMORY",  # what a savepoint could have to undo: else a file is made for each transaction
            "PRAGMA wal_autocheckpoint=16000",  # if ``_copy_back`` does not come to it
            *(["PRAGMA cache_size=-16384"] if writes else []),  # kB; of a store of a million, indexes for the most part
            *(["PRAGMA busy_timeout=0"] if writes else []),  # ``_begin_writing`` waits itself
        ],
    )
    event.listen(engine, "begin", _begin_writing if writes else _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
    """IMMEDIATE: a transaction that reads and then writes must not find, at its first write, that another process has
    written in between. SQLite's own way to wait sleeps for up to a tenth of a second; a neighbour that writes again
    and again, a few milliseconds each, would be let in front all the time."""
    raw = embedded(connection)
    give_up_at = time.monotonic() + PATIENCE_S
    while not raw.in_transaction and not _begins(raw, insist=time.monotonic() > give_up_at):
        time.sleep(LOOK_AGAIN_S)


def _begins(raw: sqlite3.Connection, *, insist: bool = False) -> bool:
    """Whether no other process writes; raises instead of False where we ``insist``, and for what is no waiting."""
    try:
        raw.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if insist or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise told(error) from error
        return False
    return True
