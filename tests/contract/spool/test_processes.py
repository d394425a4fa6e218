"""Whose calls in flight are whose, and what becomes of them when a process dies."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from gateway.lifecycle import Event
from gateway.model import Attempt
from gateway.spool import epoch, outbox, processes, recovery
from gateway.spool.claims import Claimant
from gateway.spool.engine import is_away
from gateway.spool.processes import Process
from gateway.spool.recovery import POISON
from gateway.spool.store import Store
from gateway.verdicts import ANSWER_LOST, Refusal
from tests.contract.spool.given import (
    MAIN,
    NOW,
    WINDOWED,
    claim,
    job,
    mail,
    only_postgres,
    put_jobs,
    refused_mail,
    rows,
    settled,
    value,
)

ONE = Process("one", "here", 1, 10, "host", "abc")
LOST = Refusal(ANSWER_LOST)


def by(process: str, seconds: float = 1000.0) -> Claimant:
    return Claimant("boot-1", seconds, process)


async def beat(store: Store, *known: str) -> None:
    for name in known:
        await store.write(lambda c, name=name: processes.beat(c, replace(ONE, id=name, at=NOW)))  # type: ignore[misc]


async def recover(store: Store, *alive: str, at: float = NOW) -> list[str]:
    return [lost.id for lost in await store.write(lambda c: recovery.recover(c, at, alive))]


async def test_a_beat_makes_known_and_counts(store: Store) -> None:
    await store.write(lambda c: processes.beat(c, replace(ONE, at=NOW)))
    await store.write(lambda c: processes.beat(c, replace(ONE, configuration="new", at=NOW + 3)))
    assert await store.read(processes.listed) == [replace(ONE, configuration="new", beat=1, at=NOW + 3)]
    await store.write(lambda c: processes.forget(c, ["one"]))
    assert await store.read(processes.listed) == []


async def test_only_the_dead_lose_their_calls(store: Store) -> None:
    await beat(store, "one", "two")
    first, second, third = await put_jobs(store, 3)
    await claim(store, slots=1, who=by("one"))
    await claim(store, slots=1, who=by("two"))
    assert await recover(store, "one") == [second]
    assert [(await job(store, name)).state for name in (first, second, third)] == ["submitting", "uncertain", "queued"]
    assert await recover(store, "one") == []


async def test_who_has_been_given_up_claims_nothing_and_its_late_word_is_void(store: Store) -> None:
    """It was frozen for longer than the others waited, and wakes up."""
    await beat(store, "one")
    await put_jobs(store, 2)
    (attempt,) = await claim(store, slots=1, who=by("one"))
    await store.write(lambda c: processes.forget(c, ["one"]))
    await recover(store, "two")
    assert await claim(store, who=by("one")) == []
    assert not await store.settle(settled(attempt, Event.ACK))
    await beat(store, "one")
    assert len(await claim(store, slots=1, who=by("one"))) == 1


async def test_a_job_at_which_the_gateway_dies_again_and_again_is_left_for_a_person(store: Store) -> None:
    poison, harmless = await put_jobs(store, 2)
    for death in range(1, POISON + 1):
        at = NOW + death
        (attempt,) = await claim(store, slots=1, at=at, terms=WINDOWED, who=by("", 1000.0 + death))
        assert attempt.job.id == poison
        assert await recover(store, at=at) == [poison]
    row = await job(store, poison)
    assert (row.state, row.due_at, row.reason) == ("uncertain", None, "answer_lost")
    assert row.why.endswith(f"{POISON} times: somebody must look")
    assert await value(store, "select count(*) from outbox") == 1
    (attempt,) = await claim(store, at=NOW + 9, terms=WINDOWED)
    assert attempt.job.id == harmless


async def test_replies_of_the_dead_are_sent_by_the_living(store: Store) -> None:
    for _ in range(2):
        await store.put(refused_mail(LOST))
    (one,) = await store.write(lambda c: outbox.take(c, NOW + 1, 1, "one"))
    (two,) = await store.write(lambda c: outbox.take(c, NOW + 1, 1, "two"))
    await store.write(lambda c: outbox.release(c, NOW + 2, {"two"}))
    assert [item.id for item in await store.write(lambda c: outbox.take(c, NOW + 2, 9, "two"))] == [one.id]
    await store.write(lambda c: outbox.postpone(c, two.id, NOW + 60, "busy"))
    await store.write(lambda c: outbox.release(c, NOW + 3))
    assert [item.id for item in await store.write(lambda c: outbox.take(c, NOW + 3, 9))] == [one.id]


# ── a claim whose commit was not heard of ────────────────────────────────────────────────────


async def hand_back(store: Store, *in_flight: str) -> list[str]:
    return await store.write(lambda c: recovery.hand_back(c, "main", "one", in_flight, NOW + 1))


async def test_what_was_claimed_unheard_goes_back_and_what_is_called_stays(store: Store) -> None:
    await beat(store, "one", "two")
    called, unheard, others = await put_jobs(store, 3)
    await claim(store, slots=2, who=by("one"))
    await claim(store, slots=1, who=by("two"))
    assert await hand_back(store, called) == [unheard]
    assert [(await job(store, name)).state for name in (called, unheard, others)] == [
        "submitting",
        "queued",
        "submitting",
    ]
    assert await rows(store, "select number, outcome from attempts where job_id = :id", id=unheard) == [(1, "deferred")]
    (again,) = await claim(store, at=NOW + 1, who=by("one"))
    assert (again.job.id, again.repeats, again.number) == (unheard, False, 2)


@pytest.mark.parametrize("lost", ["answer", "process"])
async def test_a_question_that_was_claimed_unheard_remains_a_question(store: Store, lost: str) -> None:
    """Its first request has left: back in the queue it would be sent a second time."""
    await beat(store, "one")
    (job_id,) = await put_jobs(store, 1)
    (attempt,) = await claim(store, terms=WINDOWED, who=by("one"))
    if lost == "answer":
        await store.settle(settled(attempt, Event.LOSE, due_at=NOW, outcome="uncertain"))
    else:
        await recover(store)
    assert len(await claim(store, terms=WINDOWED, who=by("one"))) == 1
    assert await hand_back(store) == [job_id]
    assert (await job(store, job_id)).state == "uncertain"
    (again,) = await claim(store, at=NOW + 1, terms=WINDOWED, who=by("one"))
    assert again.repeats


async def test_after_a_deferral_a_claim_is_no_question(store: Store) -> None:
    await beat(store, "one")
    (job_id,) = await put_jobs(store, 1)
    (attempt,) = await claim(store, who=by("one"))
    await store.settle(settled(attempt, Event.DEFER, due_at=NOW, outcome="deferred"))
    assert len(await claim(store, who=by("one"))) == 1
    assert await hand_back(store) == [job_id]
    assert (await job(store, job_id)).state == "queued"


# ── several machines ─────────────────────────────────────────────────────────────────────────


@only_postgres
async def test_a_store_gets_one_name(store: Store, other: Store) -> None:
    found = await asyncio.gather(*(one.write(epoch.current) for one in (store, other) * 5))
    assert len(set(found)) == 1
    assert await value(store, "select count(*) from epoch") == 1


@only_postgres
async def test_many_processes_claim_each_job_once(store: Store, other: Store, url: str) -> None:
    third = await Store.open(url, exclusive=False)
    try:
        names = await put_jobs(store, 120)
        claimed: list[Attempt] = []

        async def work(one: Store) -> None:
            while got := await claim(one, slots=5):
                claimed.extend(got)

        await asyncio.gather(*(work(one) for one in (store, other, third) for _ in range(3)))
        assert sorted(a.job.id for a in claimed) == sorted(names)
    finally:
        await third.close()


@only_postgres
async def test_identical_jobs_on_two_machines_wait_for_each_other(store: Store, other: Store) -> None:
    for _ in range(6):
        await store.put(mail("79101234567", words="fire"))
    both = await asyncio.gather(*(claim(one, terms=WINDOWED) for one in (store, other) * 3))
    assert sum(map(len, both)) == 1


@only_postgres
async def test_the_rate_is_shared(store: Store, other: Store) -> None:
    await put_jobs(store, 30)
    terms = replace(MAIN, rate=7.0)
    both = await asyncio.gather(*(claim(one, terms=terms) for one in (store, other) * 4))
    assert sum(map(len, both)) == 7


@only_postgres
async def test_a_reply_is_sent_by_one(store: Store, other: Store) -> None:
    for _ in range(9):
        await store.put(refused_mail(LOST))
    both = await asyncio.gather(*(one.write(lambda c: outbox.take(c, NOW + 5, 3)) for one in (store, other) * 3))
    ids = [item.id for items in both for item in items]
    assert len(ids) == len(set(ids))


@only_postgres
async def test_reports_of_two_machines_forget_nobody(store: Store, other: Store) -> None:
    """Each round, two machines settle two jobs of a mail while a third renders its report."""
    for _ in range(10):
        await store.put(mail("79101234567", "79102345678", "79103456789"))
        first, *rest = await claim(store)
        await store.settle(settled(first, Event.NACK, refusal=LOST, notify=True))
        (report,) = await store.write(lambda c: outbox.take(c, NOW + 5, 1))
        await asyncio.gather(
            *(
                one.settle(settled(a, Event.NACK, refusal=LOST, notify=True))
                for one, a in zip((store, other), rest, strict=True)
            ),
            store.write(lambda c: outbox.rendered(c, report, b"mail")),  # noqa: B023
        )
        told = set(report.job_ids)
        await store.write(lambda c: outbox.finish(c, report.id, "sent", NOW))  # noqa: B023
        for item in await store.write(lambda c: outbox.take(c, NOW + 9, 9)):
            await store.write(lambda c: outbox.rendered(c, item, b"mail"))  # noqa: B023
            await store.write(lambda c: outbox.finish(c, item.id, "sent", NOW))  # noqa: B023
            assert told.isdisjoint(item.job_ids)
            told |= set(item.job_ids)
        assert told == {first.job.id, *(a.job.id for a in rest)}


@only_postgres
async def test_work_is_announced(store: Store, other: Store) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    watching = asyncio.create_task(other.database.watch(heard.put_nowait))
    async with asyncio.timeout(10):
        while heard.empty():  # until it listens
            await store.put(mail("79101234567"))
            await asyncio.sleep(0.05)
    assert heard.get_nowait() == "main"
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


@only_postgres
async def test_a_connection_that_breaks_costs_one_transaction(store: Store, other: Store) -> None:
    await store.put(mail("79101234567"))
    others = "datname = current_database() and pid <> pg_backend_pid()"
    await other.write(
        lambda c: c.execute(text(f"select pg_terminate_backend(pid) from pg_stat_activity where {others}")).all()
    )
    with pytest.raises(Exception) as caught:
        await store.put(mail("79101234567"))
    assert is_away(caught.value)
    assert not (await store.put(mail("79101234567"))).duplicate
    assert await value(store, "select count(*) from mails") == 2


async def test_a_clock_that_is_set_back_makes_nothing_wait_longer(store: Store) -> None:
    waiting, lost, due = await put_jobs(store, 3)
    for attempt in await claim(store, slots=2, terms=WINDOWED):
        happens = Event.DEFER if attempt.job.id == waiting else Event.LOSE
        await store.settle(settled(attempt, happens, due_at=NOW + 60))
    await store.put(refused_mail(LOST))
    (reply,) = await store.write(lambda c: outbox.take(c, NOW + 1, 1))
    await store.write(lambda c: outbox.postpone(c, reply.id, NOW + 60, "busy"))
    await store.write(lambda c: recovery.hasten(c, NOW - 3600 + 10, 3600.0))
    await store.write(lambda c: outbox.hasten(c, NOW - 3600 + 10, 3600.0))
    assert [(await job(store, name)).due_at - NOW for name in (waiting, lost, due)] == [-3540, -3540, -3600]
    assert await store.read(outbox.next_due) == NOW - 3540
