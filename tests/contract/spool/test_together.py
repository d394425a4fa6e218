"""Writes that wait at one moment share a commit, and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from gateway.spool.store import Store
from tests.contract.spool.given import only_sqlite, value

COUNT = "select count(*) from usage"


def insert(name: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(text("insert into usage (account, period, jobs) values (:name, 'p', 1)"), {"name": name})
        return name

    return work


def fails(connection: Connection) -> None:
    insert("of the one that fails")(connection)
    raise LookupError


@only_sqlite
async def test_what_waits_is_committed_at_once(store: Store) -> None:
    held, commits = threading.Event(), []

    def first(connection: Connection) -> None:
        held.wait(10)

    def watched(name: str) -> Callable[[Connection], str]:
        def work(connection: Connection) -> str:
            commits.append(connection.execute(text(COUNT)).scalar_one())
            return insert(name)(connection)

        return work

    begun = asyncio.create_task(store.write(first))
    rest = [asyncio.create_task(store.write(watched(f"a{n}"))) for n in range(5)]
    await asyncio.sleep(0)
    held.set()
    await begun
    assert await asyncio.gather(*rest) == [f"a{n}" for n in range(5)]
    assert commits == [0, 1, 2, 3, 4]  # in their order, each sees those before it
    assert await value(store, COUNT) == 5


async def test_one_that_fails_takes_nobody_with_it(store: Store) -> None:
    works = [insert("a"), fails, insert("b"), insert("a"), insert("c")]
    results = await asyncio.gather(*(store.write(work) for work in works), return_exceptions=True)
    assert isinstance(results[1], LookupError)
    assert (results[2], results[4]) == ("b", "c")
    assert {type(results[n]) for n in (0, 3)} == {
        str,
        IntegrityError,
    }  # one "a"; of a server's writes either comes first
    assert await value(store, COUNT) == 3


@only_sqlite
async def test_a_full_disk_is_everybodys(store: Store) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.execute(text("pragma page_count")).scalar_one()
        connection.execute(text(f"pragma max_page_count={pages}"))

    def too_much(connection: Connection) -> None:
        insert("x" * 1_000_000)(connection)

    await store.write(fill)
    results = await asyncio.gather(
        store.write(insert("before")), store.write(too_much), store.write(insert("after")), return_exceptions=True
    )
    full = [result for result in results if isinstance(result, OperationalError)]
    assert full, results
    assert all(isinstance(error.orig, sqlite3.Error) and error.orig.sqlite_errorcode == 13 for error in full)
    said = [result for result in results if isinstance(result, str)]
    assert await value(store, COUNT) == len(said)  # whoever got an answer is stored, and nobody else


@only_sqlite
async def test_a_caller_that_leaves_leaves_its_write(store: Store) -> None:
    task = asyncio.create_task(store.write(insert("a")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.write(insert("b"))
    assert await value(store, COUNT) == 2


@only_sqlite
async def test_the_log_is_copied_back_beside_the_writers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.spool.sqlite.COPY_BACK_EVERY_S", 0.0)
    path = store.database.path  # type: ignore[attr-defined]
    await store.write(insert("a"))
    async with asyncio.timeout(10):
        while not await is_copied(path):
            await store.write(lambda connection: None)
    assert await value(store, COUNT) == 1


async def is_copied(path: Path) -> bool:
    """Whether the file has it without its log: both are looked at by no other connection."""
    alone = path.with_name("alone.db")
    alone.write_bytes(path.read_bytes())
    alone.with_name("alone.db-wal").write_bytes(b"")
    try:
        with closing(sqlite3.connect(alone)) as connection:
            return bool(connection.execute(COUNT).fetchone()[0])
    except sqlite3.Error:
        return False
    finally:
        for left in path.parent.glob("alone.db*"):
            left.unlink()


@only_sqlite
async def test_a_store_that_is_closed_says_so(store: Store) -> None:
    await store.close()
    async with asyncio.timeout(10):
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await store.write(insert("a"))
