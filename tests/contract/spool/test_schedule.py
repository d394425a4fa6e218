"""What is to go out at a certain time waits for it, whatever happens meanwhile."""

from __future__ import annotations

from dataclasses import replace

from gateway.lifecycle import Event, State
from gateway.spool import claims, desk, pace, recovery, retention
from gateway.spool.store import Store
from tests.contract.spool.given import NOW, claim, job, mail

WHEN = NOW + 9 * 86400.0


async def scheduled(store: Store) -> str:
    """One job that is to go out in nine days."""
    item = mail("79101234567")
    assert item.accepted is not None
    (one,) = item.accepted.jobs
    jobs = (replace(one, due_at=WHEN, expires_at=WHEN + 86400),)
    await store.put(replace(item, accepted=replace(item.accepted, jobs=jobs)))
    return one.id


async def test_it_goes_out_then_and_not_before(store: Store) -> None:
    job_id = await scheduled(store)
    assert await store.read(lambda c: claims.next_due(c, "main")) == WHEN
    assert await claim(store, at=WHEN - 1) == []
    assert await store.write(lambda c: recovery.expire(c, WHEN, None)) == []  # type: ignore[arg-type]
    await store.write(lambda c: retention.erase_texts(c, WHEN - 1))
    (attempt,) = await claim(store, at=WHEN)
    assert (attempt.job.id, attempt.job.text) == (job_id, "text")


async def test_a_provider_that_is_away_does_not_make_it_early(store: Store) -> None:
    job_id = await scheduled(store)
    await store.write(lambda c: pace.pause(c, "main", NOW + 60, "away"))
    assert await store.write(lambda c: recovery.reroute(c, "main", NOW)) == [job_id]
    row = await job(store, job_id)
    assert (row.provider, row.due_at) == ("spare", WHEN)


async def test_held_and_released_it_still_waits(store: Store) -> None:
    job_id = await scheduled(store)
    assert await store.write(lambda c: desk.apply(c, job_id, Event.HOLD, NOW)) is State.HELD
    assert await store.write(lambda c: desk.apply(c, job_id, Event.RELEASE, NOW + 5)) is State.QUEUED
    assert (await job(store, job_id)).due_at == WHEN


async def test_a_clock_that_is_set_back_changes_nothing(store: Store) -> None:
    job_id = await scheduled(store)
    await store.write(lambda c: recovery.hasten(c, NOW - 3600, 3600.0))
    assert (await job(store, job_id)).due_at == WHEN


async def test_it_can_be_cancelled(store: Store) -> None:
    job_id = await scheduled(store)
    assert await store.write(lambda c: desk.apply(c, job_id, Event.CANCEL, NOW)) is State.CANCELLED
    assert await claim(store, at=WHEN) == []
