"""What the overview, the list of providers and a report cost in a store of a million SMS.

    python -m tests.benchmarks.figures [--rows 1000000] [--days 365] [--waiting 10000] [--engine sqlite|postgresql]

Twelve accounts, two providers. ``first count`` is what a store that was never counted takes once; ``count`` what one
minute's changes take; the others are pages, as long as a browser waits for the server without the drawing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import uvloop

from gateway.service.balances import Balances, Terms
from gateway.service.figures import Figures
from gateway.service.providers import About, Providers
from gateway.service.reports import By, months_ago, table, today
from gateway.spool import balances
from gateway.spool.balances import Reading
from gateway.spool.schema import levels as level_rows
from gateway.spool.store import Store
from tests.benchmarks.claims import fill, opened, place

ROUNDS = 5
PROVIDERS = ("main", "spare")
YEAR_S = 365 * 86400.0


def variety(engine: str, now: float, days: float) -> list[str]:
    """Changes to what ``claims.fill`` has made: it spreads the SMS over a year."""
    n = "(CAST(destination AS bigint) - 79100000000)"
    json = "::json" if engine == "postgresql" else ""
    at = f"({now} - ({now} - {{}}) * {days / 365})"
    created = at.format("created_at")
    return [
        f"UPDATE mails SET received_at = {at.format('received_at')}, peer = '10.0.0.' || (length(reverse_path) % 200)",
        f"""UPDATE jobs SET
            account = 'acc' || ({n} % 12),
            provider = CASE WHEN {n} % 10 = 0 THEN 'spare' ELSE 'main' END,
            state = CASE WHEN {n} % 50 = 0 THEN 'failed' WHEN {n} % 1000 = 1 THEN 'uncertain'
                         WHEN {n} % 20 = 2 THEN 'undelivered' ELSE 'delivered' END,
            reason = CASE WHEN {n} % 50 = 0 THEN 'provider_refused' END,
            reason_values = CASE WHEN {n} % 50 = 0 THEN '{{"code": 7, "text": "no such number"}}'{json} END,
            why = CASE WHEN {n} % 20 = 2 THEN 'the provider says: UNDELIV' ELSE '' END,
            alphabet = CASE WHEN {n} % 3 = 0 THEN 'GSM-7' ELSE 'UCS-2' END,
            cost = CASE WHEN {n} % 50 = 0 THEN NULL ELSE '2.' || ({n} % 7) END,
            created_at = {created},
            submitted_at = CASE WHEN {n} % 50 = 0 THEN NULL ELSE {created} + ({n} % 97) * 0.1 END,
            updated_at = {created} + ({n} % 97) * 0.1 + ({n} % 61) * 2
            WHERE state <> 'queued'""",
        f"UPDATE jobs SET account = 'acc' || ({n} % 12) WHERE state = 'queued'",
    ]


async def timed(name: str, work: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


async def measure(engine: str, rows: int, waiting: int, days: float) -> None:
    """A table."""
    with place(engine) as url:
        async with opened(url):
            pass
        now = time.time()
        await fill(url, rows, waiting, now, variety(engine, now, days))
        async with opened(url) as store:
            print(f"\n{engine}, {rows:,} SMS in {days:g} days, {waiting:,} waiting\n\n| | ms |\n|---|---|", flush=True)
            await _measured(store)


async def _measured(store: Store) -> None:
    figures = Figures(store, YEAR_S)
    terms = {name: Terms(300) for name in PROVIDERS}
    about = {name: About("http", 30.0, 20) for name in PROVIDERS}
    providers = Providers(store, about, {}, Balances(store, terms, {}))
    now = time.time()
    for n in range(7 * 288):
        reading = Reading("main", now - 300.0 * (7 * 288 - n), 10_000.0 - n, "RUB")
        await store.write(lambda c, one=reading: balances.write(c, one))  # type: ignore[misc]
    for n in range(24 * 60):
        await store.write(lambda c, at=now - 60.0 * n: c.execute(level_rows.insert(), _level(at)))  # type: ignore[misc]
    first = await timed("first", figures.count())
    print(f"| first count | {first:.0f} |", flush=True)
    day = today(time.time())
    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "count": lambda: figures.count(900.0),
        "overview": figures.overview,
        "overview of one account": lambda: figures.overview({"acc3"}),
        "providers": providers.listed,
        "report of this month": lambda: figures.report(day.replace(day=1), day),
        "report of a year by month": lambda: figures.report(months_ago(day, 11), day, by_month=True),
        "report of a year by day": lambda: figures.report(months_ago(day, 11), day),
    }
    for name, work in works.items():
        spans, burnt = [], time.process_time()
        for _ in range(ROUNDS):
            figures._looked_at = float("-inf")  # as if some time had passed
            spans.append(await timed(name, work()))
        cpu = (time.process_time() - burnt) * 1000 / ROUNDS
        print(f"| {name} | {sorted(spans)[ROUNDS // 2]:.0f}, at most {max(spans):.0f}, CPU {cpu:.0f} |", flush=True)
    report = await figures.report(day - timedelta(days=364), day)
    print(f"\n{table(report, By.PROVIDER)}")


def _level(at: float) -> list[dict[str, Any]]:
    minute = int(at // 60) * 60
    return [{"at": minute, "state": state, "depth": 3, "oldest_at": at} for state in ("queued", "held", "uncertain")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--days", type=float, default=365)
    parser.add_argument("--engine", choices=["sqlite", "postgresql"])
    chosen = parser.parse_args()
    for engine in [chosen.engine] if chosen.engine else ["sqlite", "postgresql"]:
        uvloop.run(measure(engine, chosen.rows, chosen.waiting, chosen.days))


if __name__ == "__main__":
    main()
