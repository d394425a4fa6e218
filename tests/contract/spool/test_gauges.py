"""The store in gauges."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, text

from gateway.lifecycle import Event
from gateway.spool import gauges, holds, pace
from gateway.spool.gauges import Gauges
from gateway.spool.holds import Hold, Scope
from gateway.spool.schema import heartbeats
from gateway.spool.store import Store
from tests.contract.spool.given import NOW, claim, put_jobs, settled


async def look(store: Store, at: float = NOW) -> Gauges:
    return await store.read(lambda connection: gauges.read(connection, ["main"], ["day", "night"], at))


async def change(store: Store, sql: str, **values: object) -> None:
    await store.write(lambda connection: connection.execute(text(sql), values))


async def test_an_empty_store_has_gauges_too(store: Store) -> None:
    found = await look(store)
    assert (found.ready, found.waiting, found.in_flight, found.oldest_age_s, found.holds) == (0, 0, 0, 0.0, ())
    assert found.size_bytes > 100_000


async def test_each_job_is_counted_once(store: Store) -> None:
    ready, later, gone, kept, lost, called, other, done = await put_jobs(store, 8)
    await change(store, "update jobs set due_at = :at, tries = 1 where id = :id", at=NOW + 60, id=later)
    await change(store, "update jobs set state = 'held', due_at = null where id = :id", id=kept)
    await change(store, "update jobs set state = 'uncertain', due_at = null where id = :id", id=lost)
    await change(store, "update jobs set state = 'submitting', due_at = null where id = :id", id=called)
    await change(store, "update jobs set provider = 'of yesterday' where id = :id", id=other)
    await change(store, "update jobs set state = 'failed', due_at = null where id in (:a, :b)", a=gone, b=done)
    found = await look(store)
    assert (found.ready, found.waiting, found.in_flight, found.held, found.uncertain) == (1, 1, 1, 1, 1)
    assert ready


async def test_it_is_counted_so_far_and_no_further(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "MANY", 2)
    await put_jobs(store, 3)
    assert (await look(store)).ready == 2


async def test_the_age_is_that_of_what_should_have_gone_out(store: Store) -> None:
    old, tried, planned = await put_jobs(store, 3)
    await change(store, "update jobs set not_before = :at, due_at = :at, expires_at = :far where id = :id",
                 at=NOW + 500, far=NOW + 90_000, id=planned)  # fmt: skip
    assert (await look(store, NOW + 100)).oldest_age_s == 100
    assert (await look(store, NOW + 600)).oldest_age_s == 600
    await change(store, "update jobs set due_at = :at where id = :id", at=NOW + 3600, id=old)  # quiet hours
    await change(store, "update jobs set due_at = :at, tries = 3 where id = :id", at=NOW + 3600, id=tried)
    await change(store, "update jobs set created_at = created_at - 50 where id = :id", id=tried)
    assert (await look(store, NOW + 600)).oldest_age_s == 650
    await change(store, "update jobs set state = 'failed', due_at = null where id = :id", id=tried)
    assert (await look(store, NOW + 600)).oldest_age_s == 100
    assert (await look(store, NOW + 100)).oldest_age_s == 0


async def test_who_is_stopped_and_what_beats(store: Store) -> None:
    await store.write(lambda connection: pace.pause(connection, "main", NOW + 10, "the money is used up"))
    await store.write(lambda connection: holds.begin(connection, Hold(Scope.ACCOUNT, "shop", NOW)))
    beat = {"account": "a", "deadline": NOW, "state": "ok"}
    rows = [beat | {"name": "day", "at": NOW - 60}, beat | {"name": "day", "at": NOW, "state": "failed"}]
    await store.write(lambda connection: connection.execute(insert(heartbeats), rows))
    found = await look(store)
    assert found.paused == {"main": "the money is used up"}
    assert [hold.name for hold in found.holds] == ["shop"]
    assert found.heartbeats == {"day": NOW - 60}
    assert (await look(store, NOW + 11)).paused == {}


async def test_the_last_success_is_known_after_a_restart(store: Store) -> None:
    await put_jobs(store, 2)
    first, second = await claim(store)
    await store.settle(settled(first, Event.ACK))
    await store.settle(settled(second, Event.NACK))
    assert await store.read(lambda connection: gauges.last_successes(connection, NOW)) == {"main": NOW}
