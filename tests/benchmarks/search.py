"""What a page of the message list costs in a store of a million SMS, for each key of the query language.

    python -m tests.benchmarks.search [--rows 1000000] [--engine sqlite|postgresql]

Half of the SMS are of one account, one in a thousand went through the spare provider; one mail in fifty was refused.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

import uvloop

from gateway.policy.search import parse
from gateway.spool import desk, search, waiting
from gateway.spool.search import Place
from gateway.spool.store import Store
from tests.benchmarks.claims import fill, opened, place

LIMIT = 50
ROUNDS = 5
QUERIES = [
    "",
    "79100500000",
    "A1000000100000",
    "A1000000100000-1",
    "id:5000400000",
    "nothing",
    "to:79100500000",
    "to:+79100000001",
    "from:Bank7",
    "from:user7@bank.example",
    "from:nobody@bank.example",
    "account:big",
    "account:acc13",
    "status:delivered",
    "status:failed",
    "status:held",
    "status:refused",
    "status:queued status:submitting status:held status:uncertain",
    "status:expired",
    "verdict:AUTH",
    "verdict:MSG",
    "verdict:MSG:7",
    "verdict:MSG:8",
    "verdict:FORBIDDEN",
    "verdict:BANNED",
    "provider:main",
    "provider:spare",
    "dialect:template",
    "dialect:smsc",
    "after:2d",
    "before:300d",
    "-status:delivered",
    "-account:big -status:delivered -status:failed -status:undelivered",
    "account:big status:failed",
    "account:big status:held",
    "account:acc13 provider:spare",
    "account:big provider:spare",
    "account:big account:acc13 from:Bank7 status:delivered after:100d before:50d",
    "status:failed provider:spare from:Bank8",
    "account:big status:expired",
    "dialect:template account:big status:failed",
    "dialect:template verdict:BANNED",
    "from:user7@bank.example status:failed",
    "account:big to:79100500000",
]


def variety(engine: str) -> list[str]:
    """Changes to what ``claims.fill`` has made."""
    n = "(CAST(destination AS bigint) - 79100000000)"
    m = "(CAST(substr(id, 2) AS bigint) - 1000000000000)"
    json = "::json" if engine == "postgresql" else ""
    return [
        f"""UPDATE jobs SET
            account = CASE WHEN {n} % 2 = 0 THEN 'big' ELSE 'acc' || ({n} % 97) END,
            originator = 'Bank' || ({n} % 41),
            provider = CASE WHEN {n} % 1000 = 0 THEN 'spare' ELSE 'main' END,
            state = CASE WHEN {n} % 50 = 0 THEN 'failed' WHEN {n} % 1000 = 1 THEN 'uncertain'
                         WHEN {n} % 20 = 2 THEN 'undelivered' WHEN {n} % 50000 = 3 THEN 'held' ELSE 'delivered' END,
            reason = CASE WHEN {n} % 100 = 0 THEN 'provider_refused' WHEN {n} % 100 = 50 THEN 'stop_listed' END,
            reason_values = CASE WHEN {n} % 100 = 0 THEN '{{"code": 7}}'{json} END
            WHERE state <> 'queued'""",
        f"""UPDATE mails SET reverse_path = 'user' || ({m} % 500) || '@bank.example',
            dialect = CASE WHEN {m} % 3 = 0 THEN 'template' WHEN {m} % 50000 = 1 THEN 'smsc' ELSE 'address' END,
            reason = CASE WHEN {m} % 50 = 0 THEN 'credentials_wrong' END""",
    ]


async def timed(store: Store, words: str) -> tuple[float, float, int, int, bool]:
    """Milliseconds of the first page and of the slowest of the next ones, rows, pages, whether that was all."""
    query = parse(words, datetime.fromtimestamp(time.time(), UTC))
    below: Place | None = None
    spans: list[float] = []
    rows = 0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        page = await store.read(lambda c, at=below: search.page(c, query, at, LIMIT))  # type: ignore[misc]
        spans.append((time.perf_counter() - began) * 1000)
        rows, below = rows + len(page.rows), page.next
        if below is None:
            break
    return spans[0], max(spans[1:], default=0.0), rows, len(spans), below is None


async def measure(engine: str, rows: int) -> None:
    """A table."""
    with place(engine) as url:
        async with opened(url):
            pass
        await fill(url, rows, 1000, time.time(), variety(engine))
        async with opened(url) as store:
            print(f"\n{engine}, {rows:,} SMS\n\n| query | first page, ms | next pages, ms | rows | pages |")
            print("|---|---|---|---|---|")
            for words in QUERIES:
                first, later, found, pages, is_all = await timed(store, words)
                print(
                    f"| `{words}` | {first:.0f} | {later:.0f} | {found} | {pages}{'' if is_all else '+'} |", flush=True
                )
            await looks(store)


async def looks(store: Store) -> None:
    """What the pages ask besides."""
    for name, look in {
        "one story": lambda c: desk.story(c, "A1000000100000"),
        "story by the provider's id": lambda c: desk.story(c, "5000400000"),
        "the queue": lambda c: waiting.lines(c, None),
        "counts": desk.counts,
    }.items():
        began = time.perf_counter()
        await store.read(look)
        print(f"{name}: {(time.perf_counter() - began) * 1000:.0f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--engine", choices=["sqlite", "postgresql"])
    chosen = parser.parse_args()
    for engine in [chosen.engine] if chosen.engine else ["sqlite", "postgresql"]:
        uvloop.run(measure(engine, chosen.rows))


if __name__ == "__main__":
    main()
