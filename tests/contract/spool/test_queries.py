"""What a busy store asks all the time reads an index, however many jobs are stored."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, Engine, event, insert, make_url, text

from gateway.lifecycle import Event, State
from gateway.model import Receipt
from gateway.policy.search import parse
from gateway.policy.storms import summary
from gateway.spool import (
    claims,
    engine,
    gathered,
    gauges,
    heartbeats,
    hooks,
    migrations,
    outbox,
    prepared,
    receipts,
    recovery,
    search,
)
from gateway.spool.put import put
from gateway.spool.receipts import Received
from gateway.spool.schema import heartbeats as beats
from gateway.spool.schema import storms
from gateway.spool.search import Place
from gateway.spool.settle import Settlement, settle
from gateway.spool.store import Store
from gateway.verdicts import ANSWER_LOST, VALIDITY_PASSED, Refusal
from tests.contract.spool.given import BOOT, MAIN, NOW, WINDOWED, mail, settled
from tests.contract.spool.test_storms import alarm

ROWS = 10_000
LATE = NOW + 200_000
Transaction = Callable[[Connection], object]


@dataclass(frozen=True)
class Full:
    """A store, and the loop that its connections belong to."""

    store: Store
    runner: asyncio.Runner

    def run(self, transaction: Callable[[Connection], Any]) -> Any:
        return self.runner.run(self.store.write(transaction))


def filled(url: str) -> Iterator[Full]:
    """Ten thousand jobs and reports that are done, and a few that wait."""

    def fill(connection: Connection) -> None:
        put(
            connection,
            [
                mail(
                    f"79{n:09}",
                    dropped=["79161234567"],
                    dedup_key=f"{n:032}".encode(),
                    reply_to=f"u{n % 500}@bank.example",
                )
                for n in range(ROWS)
            ],
        )
        connection.execute(
            text(
                "update jobs set state = 'submitted', due_at = null, sent_at = :now, provider_id = id, poll_at = :late"
            ),
            {"now": NOW, "late": 2 * LATE},
        )
        for statement in (
            "insert into parts (provider, provider_id, job_id, state) select 'main', id, id, 'submitted' from jobs",
            "insert into receipts (provider, provider_id, state, raw, details, received_at)"
            " select 'main', 'x' || id, 'delivered', '', '{}', created_at from jobs",
            "insert into hooks (account, event, created_at) select account, '{}', created_at from jobs",
        ):
            connection.execute(text(statement))
        connection.execute(text("update outbox set state = 'sent', sent_at = :now"), {"now": NOW})
        connection.execute(
            text("insert into attempts (job_id, number, provider, started_at) select id, 1, 'main', 0 from jobs")
        )
        put(connection, [mail(f"7910{n:07}", dropped=["79161234567"]) for n in range(30)])
        usual = {"account": "test_user", "sent": 1, "gathers": False, "since": NOW, "due_at": 2 * LATE}
        connection.execute(insert(storms), [usual | {"key": f"{n:016}".encode()} for n in range(ROWS)])
        put(connection, [alarm(NOW) for _ in range(20)])
        done = {"account": "test_user", "state": "ok", "deadline": NOW}
        connection.execute(insert(beats), [done | {"name": "day", "at": NOW + n} for n in range(ROWS)])
        due = "(select id from {} order by id limit 20)"
        connection.execute(text(f"update jobs set poll_at = {NOW} where id in {due.format('jobs')}"))
        connection.execute(text(f"update hooks set due_at = {NOW} where id in {due.format('hooks')}"))

    with asyncio.Runner() as runner:
        full = Full(Store(url), runner)
        full.run(migrations.upgrade)
        full.run(fill)
        if url.startswith("postgresql"):
            full.run(lambda connection: connection.exec_driver_sql("ANALYZE"))
        yield full
        runner.run(full.store.close())


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    yield from filled(f"sqlite:///{tmp_path_factory.mktemp('full')}/gateway.db")


@pytest.fixture(scope="module")
def full_server(postgres: str) -> Iterator[Full]:
    async def create() -> None:
        connection = await asyncpg.connect(postgres)
        await connection.execute(f"CREATE DATABASE queries_{os.getpid()}")
        await connection.close()

    asyncio.run(create())
    url = make_url(postgres).set(database=f"queries_{os.getpid()}")
    yield from filled(url.render_as_string(hide_password=False))


def plans(full: Full, transaction: Transaction, explain: Callable[[Connection, str, Any], list[str]]) -> list[str]:
    """How the engine goes about each SELECT and UPDATE of a transaction, with the values that it really has."""
    seen: list[str] = []

    def look(connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            seen.extend(explain(connection, statement, parameters[0] if many else parameters))

    def undone(connection: Connection) -> None:
        with connection.begin_nested() as savepoint:
            transaction(connection)
            savepoint.rollback()

    class Seen:
        """SQLite's own connection, as prepared statements use it."""

        def __init__(self, connection: Connection) -> None:
            self._connection, self._own = connection, engine.embedded(connection)

        def execute(self, statement: str, values: Any) -> Any:
            look(self._connection, None, statement, values, None, many=False)
            return self._own.execute(statement, values)

        def executemany(self, statement: str, values: Any) -> Any:
            look(self._connection, None, statement, values, None, many=True)
            return self._own.executemany(statement, values)

    event.listen(Engine, "before_cursor_execute", look)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prepared, "embedded", Seen)
            full.run(undone)
    finally:
        event.remove(Engine, "before_cursor_execute", look)
    return seen


def embedded(connection: Connection, statement: str, values: Any) -> list[str]:
    return [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]


def custom(connection: Connection, statement: str, values: Any) -> list[str]:
    """How PostgreSQL goes about it the first times, with an eye to the values."""
    return list(connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars())


def generic(connection: Connection, statement: str, _values: Any) -> list[str]:
    """How it goes about it later, whatever the values are."""
    places = len(set(re.findall(r"\$\d+", statement)))
    connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
    connection.exec_driver_sql(f"PREPARE looked_at AS {statement}")
    nulls = f"({', '.join(['NULL'] * places)})" if places else ""
    plan = list(connection.exec_driver_sql(f"EXPLAIN EXECUTE looked_at{nulls}").scalars())
    connection.exec_driver_sql("DEALLOCATE looked_at")
    return plan


_SMALL = "holds|providers|anon_1"
_GROW = "mails|jobs|attempts|trail|outbox|parts|receipts|incoming|hooks|storms|heartbeats"


def scans(seen: list[str]) -> list[str]:
    """The steps that read a whole table of those that grow."""
    embedded_ones = [step for step in seen if re.match(rf"SCAN (?!({_SMALL})\b)", step) and "(" not in step]
    return embedded_ones + [step for step in seen if re.search(f"Seq Scan on ({_GROW})", step)]


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
    assert len(recovery.expire(connection, LATE, Refusal(VALIDITY_PASSED))) == 50


def reports(connection: Connection) -> None:
    for item in outbox.take(connection, LATE, 5):
        outbox.rendered(connection, item, b"mail")
        outbox.sent_since(connection, item.notice.to, LATE)
        outbox.postpone(connection, item.id, LATE, "")
        outbox.finish(connection, item.id, "sent", LATE)


def taken(connection: Connection) -> None:
    """With ids: whose receipts may be here already."""
    attempts = claims.claim(connection, MAIN, 10, LATE - 150_000, BOOT)
    items = [settled(a, Event.ACK, provider_id=a.job.id, parts=(f"{a.job.id}p",), poll_at=LATE) for a in attempts]
    assert settle(connection, items) == [True] * 10


def receipt(connection: Connection) -> None:
    ids = connection.execute(text("select provider_id from parts where provider = 'main' limit 5")).scalars()
    items = [Received("main", Receipt(i, State.DELIVERED, ""), LATE) for i in (*ids, "unknown")]
    assert [applied.state for applied in receipts.record(connection, items)] == [State.DELIVERED] * 5 + [None]


def questions(connection: Connection) -> None:
    assert len(receipts.questions(connection, "main", LATE, 10)) == 10


def called(connection: Connection) -> None:
    for call in hooks.take(connection, LATE, 5):
        hooks.postpone(connection, call.id, LATE, "")
        hooks.finish(connection, call.id)


def put_one(connection: Connection) -> None:
    put(connection, [mail("79101234567", dedup_key=b"k" * 32, per_hour=9)])


def gathers_one(connection: Connection) -> None:
    put(connection, [alarm(NOW + 1)])


def tells(connection: Connection) -> None:
    (storm,) = gathered.sum_up(
        connection, NOW + 1000, 10, lambda who, text, n, s: summary(text, n, s, "en", 10), lambda who: 1.0
    )
    assert storm.count == 18


EVERYTHING = {
    "gather": (gathers_one, "storms_pkey", "(key=?)"),
    "tell": (tells, "jobs_storm", "(storm=?)"),
    "storms": (lambda connection: gathered.is_due(connection, NOW), "storms_due", "(due_at<?)"),
    "heartbeat": (heartbeats.waiting, "heartbeats_waiting", ""),
    "last heartbeat": (lambda connection: heartbeats.last(connection, 5, "day"), "heartbeats_pkey", ""),
    "claim": (claimed, "jobs_due", "(provider=? AND state=? AND due_at<?)"),
    "window": (claimed_in_window, "jobs_fingerprint", "(fingerprint=? AND sent_at>?)"),
    "settle": (answers, "outbox_open", "(mail_id=?)"),
    "recover": (recovered, "jobs_open", "(state=?)"),
    "expire": (expired, "jobs_open", "(state=? AND expires_at<?)"),
    "reports": (reports, "outbox_due", "(due_at<?)"),
    "put": (put_one, "mails_dedup_key_key", "(dedup_key=?)"),
    "take": (taken, "receipts_id", "(provider_id=?)"),
    "receipt": (receipt, "jobs_provider_id", "(provider_id=?)"),
    "questions": (questions, "jobs_poll", "(provider=? AND poll_at<?)"),
    "webhooks": (called, "hooks_due", "(due_at<?)"),
    "next question": (lambda connection: receipts.next_question(connection, "main"), "jobs_poll", "(provider=?"),
    "next webhook": (hooks.next_due, "hooks_due", ""),
    "next job": (lambda connection: claims.next_due(connection, "main"), "jobs_due", "(provider=? AND state=?"),
    "figures": (
        lambda connection: gauges.read(connection, ["main"], ["day"], NOW),
        "jobs_due",
        "(provider=? AND state=? AND due_at<?)",
    ),
    "oldest": (lambda connection: gauges.read(connection, [], [], NOW), "jobs_open", "(state=?)"),
    "last success": (lambda connection: gauges.last_successes(connection, NOW), "jobs_created", "(created_at<?)"),
    "next report": (outbox.next_due, "outbox_due", ""),
}
everything = pytest.mark.parametrize(("transaction", "index", "condition"), EVERYTHING.values(), ids=EVERYTHING)


@everything
def test_nothing_reads_a_whole_table(full: Full, transaction: Transaction, index: str, condition: str) -> None:
    seen = plans(full, transaction, embedded)
    name = re.sub(
        r"(\w+)_pkey", r"sqlite_autoindex_\1_1", index.replace("mails_dedup_key_key", "sqlite_autoindex_mails_2")
    )
    assert any(f"INDEX {name} {condition}".strip() in step for step in seen), seen
    assert scans(seen) == []


@everything
@pytest.mark.parametrize("explain", [custom, generic])
def test_nothing_reads_a_whole_table_of_a_server(
    full_server: Full, transaction: Transaction, index: str, condition: str, explain: Any
) -> None:
    seen = plans(full_server, transaction, explain)
    found = index.replace("outbox_open", "outbox_(open|mail)")  # a mail has few reports, whatever their state
    assert any(re.search(rf"(using|on) {found}\b", step) for step in seen), seen
    assert scans(seen) == []


@pytest.mark.parametrize("explain", [custom, generic])
def test_the_window_reads_the_last_minute_and_not_the_year(full_server: Full, explain: Any) -> None:
    """An alarm comes with the same words every day."""
    seen = plans(full_server, claimed_in_window, explain)
    (condition,) = [step for step in seen if "Index Cond: " in step and "fingerprint" in step]
    assert "sent_at >" in condition


def in_a_backlog(transaction: Transaction) -> Transaction:
    """Half of all jobs wait, and the server knows it."""

    def within(connection: Connection) -> None:
        connection.execute(
            text(
                "update jobs set state = 'queued', attempt = 1, due_at = :now, expires_at = :late where id like '%-1'"
            ),
            {"now": NOW, "late": LATE},
        )
        connection.exec_driver_sql("ANALYZE jobs")
        transaction(connection)

    return within


def nothing_expired(connection: Connection) -> None:
    assert recovery.expire(connection, NOW + 100_000, Refusal(VALIDITY_PASSED)) == []


@pytest.mark.parametrize(
    "transaction",
    [claimed, claimed_in_window, answers, recovered, nothing_expired, put_one, EVERYTHING["next job"][0]],
    ids=["claim", "window", "settle", "recover", "expire", "put", "next job"],
)
def test_nothing_reads_a_whole_table_when_half_of_it_waits(full_server: Full, transaction: Transaction) -> None:
    seen = plans(full_server, in_a_backlog(transaction), custom)
    assert seen
    assert scans(seen) == []


@pytest.mark.parametrize(
    "transaction",
    [claimed, lambda connection: outbox.take(connection, NOW - 1, 20)],
    ids=["claim", "reports"],
)
def test_the_order_comes_from_the_index(full: Full, transaction: Transaction) -> None:
    seen = plans(full, transaction, embedded)
    assert seen
    assert not [step for step in seen if "TEMP B-TREE" in step]


def test_the_states_of_the_indexes_are_those_of_the_lifecycle(full: Full) -> None:
    """What is due by itself is what can be claimed."""
    waiting = full.run(
        lambda c: set(c.execute(text("select distinct state from jobs where due_at is not null")).scalars())
    )
    assert waiting == {State.QUEUED}


# ── the query language ───────────────────────────────────────────────────────────────────────

SEARCHES = {
    "to:79000000007": "jobs_by_destination",
    "from:nobody": "jobs_by_originator",
    "from:nobody@bank.example": "mails_sender",
    "account:nobody": "jobs_by_account",
    "status:held": "jobs_by_state",
    "status:refused": "jobs_by_provider",
    "verdict:NUMBER": "jobs_reason",
    "verdict:MSG:7": "jobs_reason",
    "provider:spare": "jobs_by_provider",
    "dialect:smsc": "mails_dialect",
    "id:nothing": "jobs_provider_id",
    "nothing": "jobs_mail",
    "after:2h": "jobs_created",
    "": "jobs_created",
    "-status:submitted": "jobs_created",
    "account:test_user status:held": "jobs_by_(account|state)",
    "account:test_user verdict:LIMIT dialect:template": "jobs_(reason|by_account)|mails_dialect",
}
searches = pytest.mark.parametrize(("words", "index"), SEARCHES.items(), ids=SEARCHES)


def searched(words: str) -> Transaction:
    """The first page, and one further down."""
    query = parse(words, datetime.fromtimestamp(NOW + 3600, UTC))

    def both(connection: Connection) -> None:
        search.page(connection, query, None, 20)
        search.page(connection, query, Place(NOW, "MAIL"), 20)

    return both


@searches
def test_a_search_reads_an_index(full: Full, words: str, index: str) -> None:
    seen = plans(full, searched(words), embedded)
    assert any(re.search(rf"INDEX ({index})\b", step) for step in seen), seen
    whole = [step for step in scans(seen) if not re.search("INDEX (jobs_created|mails_refused)$", step)]
    assert [step for step in whole if not re.match("SCAN (anon|CONSTANT ROW)", step)] == [], "but from the newest on"


RARE = [words for words in SEARCHES if words and not re.match("status:refused|after|-|account:test_user", words)]


@pytest.mark.parametrize("words", RARE)
def test_a_search_for_what_is_rare_reads_an_index_of_a_server(full_server: Full, words: str) -> None:
    """All these SMS came at one moment, so that for what is not rare the order of an index is worth nothing:
    ``tests/benchmarks/search.py`` looks at those."""
    seen = plans(full_server, searched(words), custom)
    assert any(re.search(rf"(using|on) ({SEARCHES[words]})\b", step) for step in seen), seen
    assert [step for step in scans(seen) if "Seq Scan on mails" not in step] == [], "as good as none was refused"
