from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway.lifecycle import TRANSITIONS, Event, State
from gateway.model import Attempt, Note
from gateway.spool import claims, desk, outbox, pace, recovery
from gateway.spool.claims import OVERDUE_S, START_WITHIN_S, Claimant, ProviderTerms
from gateway.spool.put import REPORT_DELAY_S, put
from gateway.spool.schema import metadata
from gateway.spool.store import Store
from gateway.verdicts import ANSWER_LOST, PROVIDER_REFUSED, VALIDITY_PASSED, Refusal
from tests.contract.spool.given import (
    MAIN,
    NOW,
    VALIDITY_S,
    WINDOWED,
    claim,
    job,
    mail,
    only_sqlite,
    put_jobs,
    rows,
    settled,
    value,
)

LOST = Refusal(ANSWER_LOST, {"provider": "main"})
OLD = Refusal(VALIDITY_PASSED)


def texts(attempts: list[Attempt]) -> list[str]:
    return [attempt.job.text for attempt in attempts]


def later(seconds: float) -> Claimant:
    return Claimant("boot-1", 1000.0 + seconds)


# ── claim ────────────────────────────────────────────────────────────────────────────────────


async def test_submitting_is_on_the_disk_before_anybody_calls(store: Store, other: Store) -> None:
    item = mail("79101234567", words="Привет")
    await store.put(item)
    (attempt,) = await claim(store, at=NOW + 1)
    assert item.accepted is not None
    assert attempt == Attempt(item.accepted.jobs[0], "main", number=1, fence=1, send_before=1000.0 + START_WITHIN_S)
    row = await job(other, attempt.job.id)
    assert (row.state, row.attempt, row.fence, row.due_at) == ("submitting", 1, 1, None)
    assert (row.sent_at, row.window_boot, row.window_start) == (NOW + 1, "boot-1", 1000.0)
    assert await rows(other, "select job_id, number, provider, started_at, finished_at, outcome from attempts") == [
        (attempt.job.id, 1, "main", NOW + 1, None, None)
    ]
    assert await claim(store, at=NOW + 1) == await claim(other, at=NOW + 1) == []


async def test_oldest_first_and_no_more_than_there_are_slots(store: Store) -> None:
    for offset in (3, 0, 2, 1):
        await store.put(mail("79101234567", words=str(offset), at=NOW + offset))
    assert await claim(store, slots=0, at=NOW + 9) == []
    assert texts(await claim(store, slots=2, at=NOW + 9)) == ["0", "1"]
    assert texts(await claim(store, slots=2, at=NOW + 2)) == ["2"]  # the last is not due yet
    assert await store.read(lambda c: claims.next_due(c, "main")) == NOW + 3


async def test_each_provider_has_its_own_queue(store: Store) -> None:
    await store.put(mail("79101234567", words="a"))
    await store.put(mail("79101234567", words="b", route=("spare",)))
    assert texts(await claim(store, terms=ProviderTerms("spare"))) == ["b"]
    assert await store.read(lambda c: claims.next_due(c, "spare")) is None
    assert await store.read(lambda c: claims.next_due(c, "main")) == NOW


async def test_two_processes_never_claim_the_same_job(store: Store, other: Store) -> None:
    await put_jobs(store, 60)
    groups = await asyncio.gather(*(claim(one, slots=7) for one in (store, other) * 5))
    ids = [attempt.job.id for group in groups for attempt in group]
    assert len(ids) == len(set(ids)) == 60


async def test_a_lost_answer_goes_before_the_backlog(store: Store) -> None:
    """Its time is short: a queue of an hour must not let the window pass."""
    await put_jobs(store, 3)
    (first,) = await claim(store, slots=1)
    await store.settle(settled(first, Event.LOSE, due_at=NOW + 2))
    (repeat,) = await claim(store, slots=1, at=NOW + 2, terms=WINDOWED)
    assert (repeat.job.id, repeat.repeats) == (first.job.id, True)


async def test_what_is_past_its_validity_is_not_sent(store: Store) -> None:
    """Also where nobody has called ``expire`` yet, as after a start."""
    await put_jobs(store, 1)
    await put_jobs(store, 1, at=NOW + 1)
    assert len(await claim(store, at=NOW + VALIDITY_S)) == 1


# ── rate ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rate", "step", "steps", "expected"),
    [
        (10.0, 0.1, 30, 10 + 30),  # a second's worth at once, then ten a second
        (3.0, 0.25, 40, 3 + 30),
        (1.0, 0.5, 20, 1 + 10),
        (0.2, 1.0, 30, 1 + 6),  # slower than one a second: one at once
        (33.0, 0.01, 100, 33 + 33),
    ],
)
async def test_the_rate_is_exact_over_processes(
    store: Store, other: Store, rate: float, step: float, steps: int, expected: int
) -> None:
    await store.put(mail(*(f"7910{n:07}" for n in range(100))))
    terms = ProviderTerms("main", rate=rate)
    claimed = 0
    for tick in range(steps + 1):
        for one in (store, other):
            claimed += len(await claim(one, slots=50, at=NOW + tick * step, terms=terms))
    assert claimed == expected


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=12), slots=st.integers(1, 9), rate=st.sampled_from([0.5, 4, 7])
)
async def test_no_interval_holds_more_than_the_rate_and_one_second_of_savings(
    store: Store, gaps: list[float], slots: int, rate: float
) -> None:
    terms = ProviderTerms("main", rate=rate)

    def simulate(connection: Connection) -> list[tuple[float, int]]:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
        put(connection, [mail(*(f"7910{n:07}" for n in range(120)))])
        at = NOW
        seen: list[tuple[float, int]] = []
        for gap in gaps:
            at += gap
            seen.append((at, len(claims.claim(connection, terms, slots, at, later(0)))))
        return seen

    seen = await store.write(simulate)
    for first in range(len(seen)):
        for last in range(first, len(seen)):
            calls = sum(count for _, count in seen[first : last + 1])
            assert calls <= max(1.0, rate) + (seen[last][0] - seen[first][0]) * rate + 1e-3


async def test_savings_end_at_one_second(store: Store) -> None:
    await put_jobs(store, 30)
    terms = ProviderTerms("main", rate=5)
    assert len(await claim(store, slots=3, at=NOW, terms=terms)) == 3
    assert len(await claim(store, slots=30, at=NOW + 500, terms=terms)) == 5


async def test_a_clock_that_is_set_back_does_not_stop_the_provider(store: Store) -> None:
    await put_jobs(store, 30)
    terms = ProviderTerms("main", rate=5)
    assert len(await claim(store, slots=30, at=NOW + 3600, terms=terms)) == 5
    assert await claim(store, slots=30, at=NOW, terms=terms) == []
    assert len(await claim(store, slots=30, at=NOW + 1, terms=terms)) == 5


async def test_a_paused_provider_gets_nothing(store: Store) -> None:
    await put_jobs(store, 2)
    await store.write(lambda connection: pace.pause(connection, "main", NOW + 300, "no funds"))
    assert await claim(store, at=NOW + 299) == []
    assert await store.read(lambda c: desk.paused_providers(c, NOW + 299)) == {"main": "no funds"}
    assert await store.read(lambda c: desk.paused_providers(c, NOW + 300)) == {}
    assert len(await claim(store, slots=1, at=NOW + 300)) == 1
    await store.write(lambda connection: pace.pause(connection, "main", NOW + 900, "no funds"))
    await store.write(lambda connection: pace.pause(connection, "main", None, ""))
    assert len(await claim(store, slots=1, at=NOW + 301)) == 1


# ── the provider's window for identical requests ─────────────────────────────────────────────


async def test_identical_jobs_in_one_batch_go_one_in_each_window(store: Store) -> None:
    await store.put(mail("79101234567", "79101234567", "79101234567", words="same"))
    await store.put(mail("79102345678", words="same"))
    await store.put(mail("79101234567", words="other"))
    assert len(await claim(store, terms=WINDOWED)) == 3
    held = await rows(
        store, "select due_at from jobs where state = 'queued' and why like 'an identical SMS%' order by 1"
    )
    assert held == [(NOW + 70,), (NOW + 140,)]
    for seconds, count in [(69, 0), (70, 1), (139, 0), (140, 1), (1000, 0)]:
        assert len(await claim(store, at=NOW + seconds, terms=WINDOWED)) == count
    notes = await rows(store, "select notes from trail where job_id is not null")
    assert notes == [('[["relay", "held for the duplicate window", {"provider": "main"}]]',)] * 2


async def test_identical_jobs_across_batches(store: Store) -> None:
    await store.put(mail("79101234567", words="same"))
    (first,) = await claim(store, terms=WINDOWED)
    await store.settle(settled(first, Event.ACK))
    await store.put(mail("79101234567", words="same", at=NOW + 69))
    assert await claim(store, at=NOW + 69.5, terms=WINDOWED) == []
    assert await store.read(lambda c: claims.next_due(c, "main")) == NOW + 70
    assert len(await claim(store, at=NOW + 70, terms=WINDOWED)) == 1


async def test_another_provider_knows_nothing_of_the_first_request(store: Store) -> None:
    await store.put(mail("79101234567", words="same"))
    await store.put(mail("79101234567", words="same", route=("spare",)))
    assert len(await claim(store, terms=WINDOWED)) == 1
    assert len(await claim(store, terms=replace(WINDOWED, name="spare"))) == 1


async def test_a_provider_without_a_window_takes_identical_jobs(store: Store) -> None:
    await store.put(mail("79101234567", "79101234567", words="same"))
    assert len(await claim(store, terms=MAIN)) == 2


async def test_a_job_does_not_wait_for_its_own_earlier_try(store: Store) -> None:
    await store.put(mail("79101234567"))
    (first,) = await claim(store, terms=WINDOWED)
    await store.settle(settled(first, Event.DEFER, due_at=NOW + 5))
    assert len(await claim(store, at=NOW + 5, terms=WINDOWED)) == 1


async def test_two_that_were_both_sent_before_wait_for_each_other(store: Store) -> None:
    """Both have left once, so the answer to either could mean the other's request."""
    await store.put(mail("79101234567", words="same"))
    (first,) = await claim(store, terms=WINDOWED)
    await store.settle(settled(first, Event.DEFER, due_at=NOW + 75))
    await store.put(mail("79101234567", words="same", at=NOW + 70))
    (second,) = await claim(store, at=NOW + 70, terms=WINDOWED)
    await store.settle(settled(second, Event.DEFER, due_at=NOW + 75))
    (again,) = await claim(store, at=NOW + 75, terms=WINDOWED)
    assert again.job.id == second.job.id


async def test_a_repeat_is_never_held_and_holds_the_others(store: Store) -> None:
    await store.put(mail("79101234567", words="same"))
    (first,) = await claim(store, terms=WINDOWED)
    await store.settle(settled(first, Event.LOSE, due_at=NOW + 2))
    await store.put(mail("79101234567", words="same", at=NOW + 1))
    (repeat,) = await claim(store, at=NOW + 2, terms=WINDOWED)
    assert repeat.repeats
    assert await store.read(lambda c: claims.next_due(c, "main")) == NOW + 72


async def test_a_storm_of_one_alarm_does_not_stop_other_peoples_messages(store: Store) -> None:
    await store.put(mail(*["79101234567"] * 700, words="ALARM"))
    await put_jobs(store, 2, at=NOW + 1)
    assert len(await claim(store, slots=3, at=NOW + 1, terms=WINDOWED)) == 3
    assert await value(store, "select count(*) from jobs where text = 'ALARM' and state = 'submitting'") == 1
    assert await value(store, "select count(*) from jobs where due_at <= :now", now=NOW + 1) == 0


@only_sqlite
async def test_a_storm_costs_as_much_for_each_job_as_a_few_equals(store: Store) -> None:
    """Ten thousand were once compared with one another, and nobody else could write meanwhile."""
    await store.put(mail(*["79101234567"] * 500, words="ALARM"))
    steps = 0

    def count(frame: FrameType, happens: str, _: Any) -> None:
        nonlocal steps
        steps += happens == "call" and frame.f_code.co_filename == claims.__file__

    def counted(connection: Connection) -> list[Attempt]:
        sys.setprofile(count)
        try:
            return claims.claim(connection, WINDOWED, 500, NOW, later(0))
        finally:
            sys.setprofile(None)

    assert len(await store.write(counted)) == 1
    assert await value(store, "select count(*) from jobs where due_at > :now", now=NOW) == 499
    assert steps < 20 * 500


# ── settle ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("happens", "changes"),
    [
        (Event.ACK, {"provider_id": "42", "why": "held by provider"}),
        (Event.NACK, {"refusal": Refusal(PROVIDER_REFUSED, {"code": 7})}),
        (Event.DEFER, {"provider": "spare", "due_at": NOW + 5, "tries": 2, "why": "busy"}),
        (Event.LOSE, {"refusal": LOST, "why": "timeout"}),
        (Event.LOSE, {"due_at": NOW + 2, "tries": 1, "why": "timeout"}),
        (Event.EXPIRE, {"refusal": OLD, "why": "busy"}),
    ],
)
async def test_settle(store: Store, happens: Event, changes: dict[str, Any]) -> None:
    (job_id,) = await put_jobs(store, 1)
    (attempt,) = await claim(store)
    note = Note("provider", "spoke", {"n": 1})
    assert await store.settle(settled(attempt, happens, at=NOW + 3, notes=(note,), **changes))
    row = await job(store, job_id)
    refusal = changes.get("refusal")
    assert row.state == TRANSITIONS[State.SUBMITTING, happens]
    assert (row.provider, row.due_at, row.tries) == (
        changes.get("provider", "main"),
        changes.get("due_at"),
        changes.get("tries", 0),
    )
    assert (row.why, row.provider_id, row.updated_at) == (changes.get("why", ""), changes.get("provider_id"), NOW + 3)
    assert row.reason == (refusal.reason.key if refusal else None)
    assert (row.reason_values is None) == (refusal is None)
    assert await rows(store, "select finished_at, outcome, detail from attempts") == [
        (NOW + 3, happens.name.lower(), changes.get("why", ""))
    ]
    story = await store.read(lambda c: desk.story(c, job_id))
    assert story is not None
    assert story.trail[-1] == (NOW + 3, job_id, note)
    assert story.jobs[0].verdict == (refusal.code if refusal else "")


async def test_settles_that_wait_together_share_a_commit(store: Store, commits: list[Connection]) -> None:
    await store.put(mail(*(f"7910{n:07}" for n in range(100))))
    attempts = await claim(store, slots=100)
    commits.clear()
    assert (
        await asyncio.gather(*(store.settle(settled(a, Event.ACK, provider_id=a.job.id)) for a in attempts))
        == [True] * 100
    )
    assert len(commits) == 1
    assert await value(store, "select count(*) from jobs where provider_id = id and state = 'submitted'") == 100


async def test_a_late_answer_changes_nothing(store: Store) -> None:
    (job_id,) = await put_jobs(store, 1)
    (first,) = await claim(store)
    assert await store.settle(settled(first, Event.DEFER, due_at=NOW + 1))
    (second,) = await claim(store, at=NOW + 1)
    assert (second.number, second.fence) == (2, 2)
    before = await job(store, job_id)
    note = Note("provider", "late")
    late = settled(first, Event.NACK, refusal=LOST, notify=True, notes=(note,), why="late")
    assert not await store.settle(late)
    assert await job(store, job_id) == before
    assert await value(store, "select count(*) from trail where job_id is not null") == 0
    assert await value(store, "select count(*) from outbox") == 0
    assert await rows(store, "select outcome from attempts order by number") == [("defer",), (None,)]


async def test_a_late_answer_spoils_no_neighbour(store: Store) -> None:
    await put_jobs(store, 2)
    first, second = await claim(store)
    late = settled(replace(first, fence=0), Event.NACK)
    unknown = settled(replace(first, job=replace(first.job, id="nothing")), Event.ACK)
    twice = [settled(second, Event.ACK, provider_id="1"), settled(second, Event.NACK, refusal=LOST)]
    results = await asyncio.gather(*map(store.settle, [late, *twice, unknown, settled(first, Event.ACK)]))
    assert results == [False, True, False, False, True]
    assert await rows(store, "select distinct state, reason from jobs") == [("submitted", None)]


@pytest.mark.parametrize("change", [Event.RETRY, Event.CANCEL])
async def test_an_answer_after_an_operators_change_is_late(store: Store, change: Event) -> None:
    (job_id,) = await put_jobs(store, 1)
    (attempt,) = await claim(store)
    await store.write(lambda c: recovery.recover(c, NOW + 1))
    state = await store.write(lambda c: desk.apply(c, job_id, change, NOW + 2))
    assert not await store.settle(settled(attempt, Event.ACK))
    assert (await job(store, job_id)).state == state


# ── lost answers ─────────────────────────────────────────────────────────────────────────────


async def test_a_lost_answer_is_asked_for_in_the_window_of_the_first_call(store: Store) -> None:
    (job_id,) = await put_jobs(store, 1)
    (attempt,) = await claim(store, terms=WINDOWED)
    assert (attempt.repeats, attempt.send_before) == (False, 1000.0 + START_WITHIN_S)
    for tries, seconds in enumerate((2.0, 6.0, 14.0), 1):
        assert await store.settle(settled(attempt, Event.LOSE, due_at=NOW + seconds, tries=tries))
        assert await claim(store, at=NOW + seconds - 0.1, terms=WINDOWED) == []
        (attempt,) = await claim(store, at=NOW + seconds, terms=WINDOWED, who=later(seconds))
        assert (attempt.repeats, attempt.send_before) == (True, 1050.0)
        assert (attempt.tries, attempt.number) == (tries, tries + 1)
        row = await job(store, job_id)
        assert (row.state, row.window_boot, row.window_start) == ("submitting", "boot-1", 1000.0)
        assert row.sent_at == NOW + seconds  # others wait from the last bytes on


async def test_a_lost_answer_without_a_due_time_stays(store: Store) -> None:
    await put_jobs(store, 1)
    (attempt,) = await claim(store, terms=WINDOWED)
    await store.settle(settled(attempt, Event.LOSE, refusal=LOST))
    assert await claim(store, at=NOW + 1e6, terms=WINDOWED) == []
    assert await store.read(lambda c: claims.next_due(c, "main")) is None
    assert await store.write(lambda c: recovery.expire(c, NOW + 1e6, OLD)) == []


async def test_a_call_that_came_after_a_deferral_opens_a_window_of_its_own(store: Store) -> None:
    await put_jobs(store, 1)
    (attempt,) = await claim(store, terms=WINDOWED)
    await store.settle(settled(attempt, Event.DEFER, due_at=NOW + 100))
    (attempt,) = await claim(store, at=NOW + 100, terms=WINDOWED, who=later(100))
    await store.settle(settled(attempt, Event.LOSE, due_at=NOW + 102))
    (repeat,) = await claim(store, at=NOW + 102, terms=WINDOWED, who=later(102))
    assert repeat.send_before == 1150.0


@pytest.mark.parametrize(
    ("clock", "after_s", "terms", "send_before"),
    [
        (later(5), 0.0, WINDOWED, 1050.0),
        (Claimant("boot-2", 3.0), OVERDUE_S, WINDOWED, 0.0),  # nobody knows how long ago it was
        (later(5), 0.0, MAIN, 1000.0),  # the provider has no window: it is over before it began
    ],
)
async def test_recover(store: Store, clock: Claimant, after_s: float, terms: ProviderTerms, send_before: float) -> None:
    lost, kept = await put_jobs(store, 2)
    await claim(store, slots=1, terms=terms)
    assert [j.id for j in await store.write(lambda c: recovery.recover(c, NOW + 5))] == [lost]
    row = await job(store, lost)
    assert (row.state, row.due_at, row.updated_at) == ("uncertain", NOW + 5, NOW + 5)
    assert (await job(store, kept)).state == "queued"
    assert await store.write(lambda c: recovery.recover(c, NOW + 6)) == []
    if after_s:  # the machine that asked first may still come back
        (other,) = await claim(store, at=NOW + 5 + after_s - 1, terms=terms, who=clock)
        assert other.job.id == kept
    (repeat,) = await claim(store, slots=1, at=NOW + 5 + after_s, terms=terms, who=clock)
    assert (repeat.job.id, repeat.repeats, repeat.send_before) == (lost, True, send_before)


async def test_a_restart_recovers_what_another_process_left(store: Store, url: str) -> None:
    (job_id,) = await put_jobs(store, 1)
    (attempt,) = await claim(store)
    await store.close()
    reopened = await Store.open(url, exclusive=True)
    try:
        await reopened.write(lambda c: recovery.recover(c, NOW + 1))
        assert not await reopened.settle(settled(attempt, Event.ACK))  # the dead process's word is late
        assert (await job(reopened, job_id)).state == "uncertain"
    finally:
        await reopened.close()


# ── expiry and telling ───────────────────────────────────────────────────────────────────────


async def test_expire(store: Store) -> None:
    item = mail("79101234567", "79102345678", "79990000000", "79990000001")
    await store.put(item)
    queued, held, submitting, failed = (f"{item.envelope.queue_id}-{n}" for n in (4, 3, 1, 2))
    attempts = await claim(store, slots=2)
    await store.settle(settled(attempts[1], Event.NACK, refusal=LOST))
    await store.write(lambda c: desk.apply(c, held, Event.HOLD, NOW))
    assert await store.write(lambda c: recovery.expire(c, NOW + VALIDITY_S - 1, OLD)) == []
    expired = await store.write(lambda c: recovery.expire(c, NOW + VALIDITY_S, OLD))
    assert {j.id for j in expired} == {queued, held}
    for job_id in (queued, held):
        row = await job(store, job_id)
        assert (row.state, row.due_at, row.reason, row.reason_values) == ("expired", None, "validity_passed", "{}")
    assert (await job(store, submitting)).state == "submitting"
    assert (await job(store, failed)).state == "failed"
    assert await rows(store, "select due_at from outbox") == [(NOW + VALIDITY_S + REPORT_DELAY_S,)]
    assert await value(store, "select count(*) from trail where cast(notes as text) like '%expired%'") == 2
    assert await store.write(lambda c: recovery.expire(c, NOW + VALIDITY_S, OLD)) == []


async def test_any_number_of_jobs_expires(store: Store) -> None:
    for _ in range(2):
        await store.put(mail(*(f"79{n:09}" for n in range(4_000))))
    expired = [len(await store.write(lambda c: recovery.expire(c, NOW + VALIDITY_S, OLD))) for _ in range(3)]
    assert expired == [recovery.EXPIRE_AT_ONCE, 8_000 - recovery.EXPIRE_AT_ONCE, 0]
    assert await value(store, "select count(*) from outbox") == 2


async def test_one_report_waits_for_each_mail(store: Store) -> None:
    first, second = mail("79101234567", "79102345678", "79990000000"), mail("79101234567")
    await store.put(first)
    await store.put(second)
    attempts = await claim(store)
    one_by_one = attempts.pop()
    await asyncio.gather(*(store.settle(settled(a, Event.NACK, refusal=LOST, notify=True)) for a in attempts))
    await store.settle(settled(one_by_one, Event.LOSE, refusal=LOST, notify=True, at=NOW + 1))
    assert await rows(store, "select mail_id, due_at from outbox order by mail_id") == [
        (first.envelope.queue_id, NOW + REPORT_DELAY_S),
        (second.envelope.queue_id, NOW + REPORT_DELAY_S + (one_by_one.job.mail_id == second.envelope.queue_id)),
    ]


@pytest.mark.parametrize(("reply_to", "notify"), [(None, True), ("alerts@bank.example", False)])
async def test_nobody_is_told_who_may_not_or_need_not_be(store: Store, reply_to: str | None, notify: bool) -> None:
    await store.put(mail("79101234567", reply_to=reply_to))
    (attempt,) = await claim(store)
    await store.settle(settled(attempt, Event.NACK, refusal=LOST, notify=notify))
    assert await value(store, "select count(*) from outbox") == 0
    assert await store.read(outbox.next_due) is None


# ── out of reach ─────────────────────────────────────────────────────────────────────────────


async def test_a_pause_does_not_stop_asking_for_lost_answers(store: Store) -> None:
    """Asking sends nothing new, and its time is short."""
    await put_jobs(store, 2)
    (first,) = await claim(store, slots=1, terms=WINDOWED)
    await store.settle(settled(first, Event.LOSE, due_at=NOW + 2))
    await store.write(lambda c: pace.pause(c, "main", NOW + 60, "down"))
    (repeat,) = await claim(store, at=NOW + 2, terms=WINDOWED)
    assert (repeat.job.id, repeat.repeats) == (first.job.id, True)


async def test_what_waits_for_a_provider_out_of_reach_goes_to_the_next(store: Store) -> None:
    queued, lost = await put_jobs(store, 2, route=("main", "spare", "last"))
    await put_jobs(store, 1, route=("main",))
    (attempt,) = await claim(store, slots=1, terms=WINDOWED)
    await store.settle(settled(attempt, Event.LOSE, due_at=NOW + 2))
    taken, other = attempt.job.id, lost if attempt.job.id == queued else queued
    await store.write(lambda c: pace.pause(c, "main", NOW + 60, "down"))
    await store.write(lambda c: pace.pause(c, "spare", NOW + 60, "down"))
    assert await store.write(lambda c: recovery.reroute(c, "main", NOW + 1)) == [other]
    assert (await job(store, other)).provider == "last"
    assert (await job(store, taken)).provider == "main"  # it may have been sent: nobody else gets it
    assert len(await claim(store, at=NOW + 1, terms=ProviderTerms("last"))) == 1
    assert await store.write(lambda c: recovery.reroute(c, "last", NOW + 1)) == []
