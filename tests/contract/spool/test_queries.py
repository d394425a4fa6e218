"""What a busy store asks all the time reads an index, however many jobs are stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, make_url, text

from gateway.lifecycle import Event, State
from gateway.spool import claims, migrations, outbox, recovery
from gateway.spool.put import put
from gateway.spool.settle import Settlement, settle
from gateway.spool.sqlite import SqliteDatabase
from gateway.verdicts import ANSWER_LOST, VALIDITY_PASSED, Refusal
from tests.contract.spool.given import BOOT, MAIN, NOW, WINDOWED, mail, settled

ROWS = 10_000
LATE = NOW + 200_000


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteDatabase]:
    """Ten thousand jobs and reports that are done, and a few that wait."""
    database = SqliteDatabase(make_url(f"sqlite:///{tmp_path_factory.mktemp('full')}/gateway.db"))
    database.run_now(migrations.upgrade)

    def fill(connection: Connection) -> None:
        put(
            connection, [mail(f"79{n:09}", dropped=["79161234567"], dedup_key=f"{n:032}".encode()) for n in range(ROWS)]
        )
        connection.execute(text("update jobs set state = 'submitted', due_at = null, sent_at = :now"), {"now": NOW})
        connection.execute(text("update outbox set state = 'sent', sent_at = :now"), {"now": NOW})
        put(connection, [mail(f"7910{n:07}", dropped=["79161234567"]) for n in range(30)])

    database.run_now(fill)
    yield database
    asyncio.run(database.close())


def plans(database: SqliteDatabase, transaction: Callable[[Connection], object]) -> list[str]:
    """How SQLite goes about each SELECT and UPDATE of a transaction, with the values that it really has."""
    seen: list[str] = []

    def explain(
        _connection: Connection, cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            values = parameters[0] if many else parameters
            plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            seen.extend(str(row[3]) for row in plan)

    def undone(connection: Connection) -> None:
        with connection.begin_nested() as savepoint:
            transaction(connection)
            savepoint.rollback()

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        database.run_now(undone)
    finally:
        event.remove(Engine, "before_cursor_execute", explain)
    return seen


def scans(seen: list[str]) -> list[str]:
    """The steps that read a whole table."""
    return [step for step in seen if step.startswith("SCAN") and "(" not in step]


def claimed(connection: Connection) -> None:
    assert len(claims.claim(connection, MAIN, 10, LATE - 150_000, BOOT)) == 10


def claimed_in_window(connection: Connection) -> None:
    assert len(claims.claim(connection, WINDOWED, 10, LATE - 150_000, BOOT)) == 10


def answers(connection: Connection) -> None:
    attempts = claims.claim(connection, MAIN, 10, LATE - 150_000, BOOT)
    refusal = Refusal(ANSWER_LOST)
    items: list[Settlement] = [settled(a, Event.NACK, refusal=refusal, notify=True) for a in attempts]
    assert settle(connection, items) == [True] * 10


def recovered(connection: Connection) -> None:
    claims.claim(connection, MAIN, 5, LATE - 150_000, BOOT)
    assert len(recovery.recover(connection, LATE)) == 5


def expired(connection: Connection) -> None:
    assert len(recovery.expire(connection, LATE, Refusal(VALIDITY_PASSED))) == 30


def reports(connection: Connection) -> None:
    for item in outbox.take(connection, LATE, 5):
        outbox.rendered(connection, item, b"mail")
        outbox.sent_since(connection, item.notice.to, LATE)
        outbox.postpone(connection, item.id, LATE, "")
        outbox.finish(connection, item.id, "sent", LATE)


def put_one(connection: Connection) -> None:
    put(connection, [mail("79101234567", dedup_key=b"k" * 32, per_hour=9)])


@pytest.mark.parametrize(
    ("transaction", "expected"),
    [
        (claimed, "USING INDEX jobs_due (provider=? AND state=? AND due_at<?)"),
        (claimed_in_window, "USING INDEX jobs_fingerprint (fingerprint=?)"),
        (answers, "INDEX outbox_open (mail_id=?)"),
        (recovered, "USING INDEX jobs_open (state=?)"),
        (expired, "USING INDEX jobs_open (state=? AND expires_at<?)"),
        (reports, "USING INDEX outbox_due (due_at<?)"),
        (put_one, "INDEX sqlite_autoindex_mails_2 (dedup_key=?)"),
        (lambda connection: claims.next_due(connection, "main"), "COVERING INDEX jobs_due (provider=? AND state=?"),
        (outbox.next_due, "SEARCH outbox USING INDEX outbox_due"),
    ],
    ids=["claim", "window", "settle", "recover", "expire", "reports", "put", "next job", "next report"],
)
def test_nothing_reads_a_whole_table(
    full: SqliteDatabase, transaction: Callable[[Connection], object], expected: str
) -> None:
    seen = plans(full, transaction)
    assert any(expected in step for step in seen), seen
    assert scans(seen) == []


@pytest.mark.parametrize(
    "transaction",
    [claimed, lambda connection: outbox.take(connection, NOW - 1, 20)],
    ids=["claim", "reports"],
)
def test_the_order_comes_from_the_index(full: SqliteDatabase, transaction: Callable[[Connection], object]) -> None:
    seen = plans(full, transaction)
    assert seen
    assert not [step for step in seen if "TEMP B-TREE" in step]


def test_the_states_of_the_indexes_are_those_of_the_lifecycle(full: SqliteDatabase) -> None:
    """What is due by itself is what can be claimed."""
    waiting = full.run_now(
        lambda c: set(c.execute(text("select distinct state from jobs where due_at is not null")).scalars())
    )
    assert waiting == {State.QUEUED}
