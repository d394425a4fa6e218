"""Writes that wait at one moment share a commit, and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from gateway.spool.batch import BRIEF, Batch
from gateway.spool.engine import embedded
from gateway.spool.store import Store
from tests.contract.spool.given import only_sqlite, value

COUNT = "select count(*) from usage"


def insert(name: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(text("insert into usage (account, period, jobs) values (:name, 'p', 1)"), {"name": name})
        return name

    return work


on_loop_or_not = pytest.mark.parametrize("brief", [False, True], ids=["in the thread", "on the loop"])


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


@on_loop_or_not
async def test_one_that_fails_takes_nobody_with_it(store: Store, brief: bool) -> None:
    works = [insert("a"), fails, insert("b"), insert("a"), insert("c")]
    results = await asyncio.gather(*(store.write(work, brief=brief) for work in works), return_exceptions=True)
    assert isinstance(results[1], LookupError)
    assert (results[2], results[4]) == ("b", "c")
    assert {type(results[n]) for n in (0, 3)} == {str, IntegrityError}  # of a server's writes either comes first
    assert await value(store, COUNT) == 3


@only_sqlite
@on_loop_or_not
async def test_a_full_disk_is_everybodys(store: Store, brief: bool) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.execute(text("pragma page_count")).scalar_one()
        connection.execute(text(f"pragma max_page_count={pages}"))

    def too_much(connection: Connection) -> None:
        insert("x" * 1_000_000)(connection)

    await store.write(fill)
    works = [insert("before"), too_much, insert("after")]
    results = await asyncio.gather(*(store.write(work, brief=brief) for work in works), return_exceptions=True)
    full = [result for result in results if isinstance(result, OperationalError)]
    assert full, results
    assert all(isinstance(error.orig, sqlite3.Error) and error.orig.sqlite_errorcode == 13 for error in full)
    said = [result for result in results if isinstance(result, str)]
    assert await value(store, COUNT) == len(said)  # whoever got an answer is stored, and nobody else


@only_sqlite
@on_loop_or_not
async def test_a_caller_that_leaves_leaves_its_write(store: Store, brief: bool) -> None:
    task = asyncio.create_task(store.write(insert("a"), brief=brief))
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


def where(_connection: Connection) -> int:
    return threading.get_ident()


@only_sqlite
async def test_only_what_is_brief_holds_the_loop(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here = threading.get_ident()
    assert await store.write(where, brief=True) == here
    assert await store.write(where) != here
    assert here not in await asyncio.gather(store.write(where, brief=True), store.write(where))
    monkeypatch.setattr("gateway.spool.sqlite.HOLDS_LOOP_S", 0.0)
    monkeypatch.setattr("gateway.spool.sqlite.LOOP_SHARE", 1e-9)
    assert await store.write(where, brief=True) == here  # and takes too long
    assert await store.write(where, brief=True) != here


@only_sqlite
async def test_a_neighbour_that_writes_does_not_hold_the_loop(store: Store, other: Store) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def long(connection: Connection) -> None:
        insert("theirs")(connection)
        begun.set()
        assert go_on.wait(10)

    theirs = asyncio.create_task(other.write(long))
    await asyncio.to_thread(begun.wait, 10)
    ours = asyncio.create_task(store.write(insert("ours"), brief=True))
    for _ in range(10):  # turns enough for it to begin
        await asyncio.sleep(0)
    go_on.set()  # which nobody could do if it held the loop
    assert await ours == "ours"
    await theirs
    assert await value(store, COUNT) == 2


@only_sqlite
@on_loop_or_not
async def test_a_commit_that_fails_is_everybodys(store: Store, brief: bool) -> None:
    (await store.write(embedded)).execute("pragma foreign_keys=on")

    def orphan(connection: Connection) -> None:
        connection.execute(text("create table parent (id integer primary key)"))
        connection.execute(text("create table child (id references parent deferrable initially deferred)"))
        connection.execute(text("insert into child values (1)"))

    works = [insert("a"), orphan, insert("b")]
    results = await asyncio.gather(*(store.write(work, brief=brief) for work in works), return_exceptions=True)
    assert [type(result) for result in results] == [IntegrityError] * 3
    assert await store.write(insert("c"), brief=brief) == "c"
    assert await value(store, COUNT) == 1


@only_sqlite
async def test_a_brief_look_waits_for_no_longer_one(store: Store) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def report(_connection: Connection) -> bool:
        begun.set()
        return go_on.wait(10)

    long = asyncio.create_task(store.read(report))
    await asyncio.to_thread(begun.wait, 10)
    assert await store.read(lambda connection: connection.execute(text(COUNT)).scalar_one(), brief=True) == 0
    go_on.set()
    assert await long


@only_sqlite
async def test_what_comes_before_its_turn_goes_along(store: Store) -> None:
    """A batch waits for a neighbour: what comes meanwhile is in it, up to what is brief."""
    sizes: list[int] = []

    def flush(connection: Connection, items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        return items

    batch = Batch(store.database, flush, rows=lambda item: item)
    with closing(sqlite3.connect(store.database.path, isolation_level=None)) as neighbour:  # type: ignore[attr-defined]
        neighbour.execute("BEGIN IMMEDIATE")
        tasks = [asyncio.create_task(batch(BRIEF - 4))]
        await asyncio.sleep(0.005)
        tasks += [asyncio.create_task(batch(n)) for n in (1, 2, 3)]
        await asyncio.sleep(0.005)
        assert sizes == []
        neighbour.execute("COMMIT")
        assert await asyncio.gather(*tasks) == [BRIEF - 4, 1, 2, 3]
    assert sizes == [3, 1]


async def test_where_none_can_begin_all_that_wait_hear_it(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    async def away(*_: object, **__: object) -> None:
        raise OperationalError("BEGIN", {}, ConnectionError())

    monkeypatch.setattr(store.database, "write", away)
    batch = Batch[int, int](store.database, lambda connection, items: items)
    async with asyncio.timeout(10):
        results = await asyncio.gather(*(batch(n) for n in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [OperationalError] * 3
