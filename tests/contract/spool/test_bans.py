"""Wrong credentials are counted once, whoever sees them."""

from __future__ import annotations

import asyncio

from gateway.policy.guessing import DAY_S, Record, Terms
from gateway.spool import bans
from gateway.spool.bans import Strike
from gateway.spool.store import Store

NOW = 1_800_000_000.0
NETWORK, ACCOUNT = "network 192.0.2.7/32", "account user"


def strike(*subjects: str, at: float = NOW) -> Strike:
    return Strike(subjects, at, Terms())


async def test_two_processes_count_together_and_both_know(store: Store, other: Store) -> None:
    one, two = (NETWORK, ACCOUNT), (ACCOUNT, NETWORK)
    seen = await asyncio.gather(
        *(s.strike(strike(*order)) for _ in range(2) for s, order in ((store, one), (other, two)))
    )
    assert sorted(record.today for records in seen for record in records) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert await other.read(lambda c: bans.shut_out(c, NOW)) == []
    (last,) = await store.strike(strike(NETWORK))
    assert last == Record(NETWORK, today=5, today_since=NOW, until=NOW + 3600, bans=1)
    assert await other.read(lambda c: bans.shut_out(c, NOW)) == [last]
    assert await other.read(lambda c: bans.shut_out(c, NOW + 3600)) == []


async def test_a_flood_shares_commits(store: Store, commits: list[object]) -> None:
    await asyncio.gather(*(store.strike(strike(f"network 192.0.2.{n % 7}/32")) for n in range(200)))
    assert len(commits) <= 3


async def test_lifted_is_forgotten(store: Store) -> None:
    for _ in range(5):
        await store.strike(strike(NETWORK))
    assert await store.write(lambda c: bans.lift(c, NETWORK))
    assert not await store.write(lambda c: bans.lift(c, NETWORK))
    (fresh,) = await store.strike(strike(NETWORK))
    assert (fresh.today, fresh.bans, fresh.until) == (1, 0, 0)


async def test_a_quiet_day_ends_it(store: Store) -> None:
    for _ in range(5):
        await store.strike(strike(NETWORK))
    await store.strike(strike(ACCOUNT))
    await store.write(lambda c: bans.forget_old(c, NOW + DAY_S + 1))  # the ban has not been over for a day
    assert await store.write(lambda c: bans.lift(c, NETWORK))
    assert not await store.write(lambda c: bans.lift(c, ACCOUNT))
