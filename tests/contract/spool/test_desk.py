from __future__ import annotations

from itertools import product

import pytest

from gateway.lifecycle import TRANSITIONS, Event, State
from gateway.model import Note
from gateway.spool import desk, recovery
from gateway.spool.desk import JobRow
from gateway.spool.store import Store
from gateway.verdicts import CREDENTIALS_WRONG, PROVIDER_REFUSED, VALIDITY_PASSED, Refusal
from tests.contract.spool.given import NOW, VALIDITY_S, claim, job, mail, put_jobs, refused_mail, rows, settled, value

REFUSED = Refusal(PROVIDER_REFUSED, {"code": 7})
OPERATORS = (Event.RETRY, Event.CANCEL, Event.HOLD, Event.RELEASE)


async def apply(store: Store, job_id: str, happens: Event, at: float = NOW + 10) -> State | None:
    return await store.write(lambda connection: desk.apply(connection, job_id, happens, at))


async def bring(store: Store, state: State) -> str:
    """A job in this state, by the ways that lead there."""
    (job_id,) = await put_jobs(store, 1)
    match state:
        case State.QUEUED:
            return job_id
        case State.HELD:
            await apply(store, job_id, Event.HOLD)
            return job_id
        case State.CANCELLED:
            await apply(store, job_id, Event.CANCEL)
            return job_id
        case State.EXPIRED:
            await store.write(lambda c: recovery.expire(c, NOW + VALIDITY_S, Refusal(VALIDITY_PASSED)))
            return job_id
    (attempt,) = await claim(store)
    happens = {State.SUBMITTED: Event.ACK, State.FAILED: Event.NACK, State.UNCERTAIN: Event.LOSE}.get(state)
    if happens is not None:
        await store.settle(settled(attempt, happens, refusal=None if happens is Event.ACK else REFUSED))
    return job_id


# No receipts are recorded yet, so nothing brings a job to DELIVERED or UNDELIVERED.
REACHABLE = [state for state in State if state not in {State.DELIVERED, State.UNDELIVERED}]


@pytest.mark.parametrize(("state", "happens"), list(product(REACHABLE, OPERATORS)))
async def test_an_operator_may_do_what_the_lifecycle_says(store: Store, state: State, happens: Event) -> None:
    job_id = await bring(store, state)
    before = await job(store, job_id)
    assert before.state == state
    notes = await value(store, "select count(*) from trail")
    after = await apply(store, job_id, happens)
    assert after is TRANSITIONS.get((state, happens))
    row = await job(store, job_id)
    if after is None:
        assert row == before
        assert await value(store, "select count(*) from trail") == notes
        return
    assert (row.state, row.updated_at, row.why) == (after, NOW + 10, happens.value)
    assert row.due_at == (NOW + 10 if after is State.QUEUED else None)
    assert await rows(store, "select job_id, at, notes from trail order by id desc limit 1") == [
        (job_id, NOW + 10, f'[["desk", "{happens.value}", {{}}]]')
    ]
    claimed = [attempt.job.id for attempt in await claim(store, at=NOW + 10)]
    assert claimed == ([job_id] if after is State.QUEUED else [])


async def test_a_retry_starts_anew(store: Store) -> None:
    job_id = await bring(store, State.FAILED)
    await apply(store, job_id, Event.RETRY, NOW + 2 * VALIDITY_S)
    row = await job(store, job_id)
    assert (row.expires_at, row.tries, row.told) == (NOW + 3 * VALIDITY_S, 0, 0)
    assert (row.reason, row.reason_values) == (None, None)
    (attempt,) = await claim(store, at=NOW + 2 * VALIDITY_S)
    assert (attempt.repeats, attempt.number, attempt.fence) == (False, 2, 3)


async def test_a_retry_never_shortens_the_validity(store: Store) -> None:
    (job_id,) = await put_jobs(store, 1, at=NOW + 1000)
    await apply(store, job_id, Event.RETRY, NOW)
    assert (await job(store, job_id)).expires_at == NOW + 1000 + VALIDITY_S


@pytest.mark.parametrize("happens", OPERATORS)
async def test_there_is_nothing_to_do_with_what_was_never_to_be_sent(store: Store, happens: Event) -> None:
    item = mail(dropped=["79161234567"])
    await store.put(item)
    assert await apply(store, f"{item.envelope.queue_id}-1", happens) is None
    assert await apply(store, "nothing", happens) is None


async def test_the_newest_jobs_of_some_states(store: Store) -> None:
    for offset in range(4):
        await store.put(mail("79101234567", words=str(offset), at=NOW + offset))
    (attempt,) = await claim(store, at=NOW)
    await store.settle(settled(attempt, Event.NACK, refusal=REFUSED, why="said no", at=NOW + 9, provider_id="42"))

    async def listed(*states: State, limit: int = 10) -> list[JobRow]:
        return await store.read(lambda c: desk.listed(c, states, limit))

    assert [row.created_at - NOW for row in await listed()] == [3, 2, 1, 0]
    assert [row.created_at - NOW for row in await listed(State.QUEUED, State.HELD, limit=2)] == [3, 2]
    assert await listed(State.FAILED) == [
        JobRow(
            id=attempt.job.id,
            account="test_user",
            originator="My Bank",
            destination="79101234567",
            segments=1,
            provider="main",
            state=State.FAILED,
            verdict="MSG:7",
            why="said no",
            created_at=NOW,
            updated_at=NOW + 9,
            due_at=None,
            expires_at=NOW + VALIDITY_S,
            attempt=1,
            provider_id="42",
            reason="provider_refused",
            values={"code": 7},
        )
    ]
    assert await listed(State.CANCELLED) == []
    assert await store.read(desk.counts) == {"queued": 3, "failed": 1}


async def test_the_story_of_a_mail_by_any_of_its_ids(store: Store) -> None:
    item = mail("79101234567", dropped=["79161234567"], dedup_key=b"k" * 32)
    await store.put(mail("79102345678"))
    await store.put(item)
    attempts = {attempt.job.mail_id: attempt for attempt in await claim(store, at=NOW + 1)}
    queue_id = item.envelope.queue_id
    done = settled(attempts[queue_id], Event.ACK, provider_id="4711", at=NOW + 2, notes=(Note("provider", "took it"),))
    await store.settle(done)
    wanted = (queue_id, f"{queue_id}-1", f"{queue_id}-2", "4711")
    stories = [await store.read(lambda c, w=w: desk.story(c, w)) for w in wanted]  # type: ignore[misc]
    story = stories[0]
    assert story is not None
    assert stories == [story] * 4
    assert story.mail["id"] == queue_id
    assert story.mail["recipients"] == ["x@sms.example.com"]
    assert "dedup_key" not in story.mail
    assert [(row.id, row.state) for row in story.jobs] == [
        (f"{queue_id}-1", State.SUBMITTED),
        (f"{queue_id}-2", State.FAILED),
    ]
    assert [(a["started_at"], a["finished_at"], a["outcome"]) for a in story.attempts] == [(NOW + 1, NOW + 2, "ack")]
    assert story.trail == (
        (NOW, None, Note("door", "came in", {"bytes": 12})),
        (NOW + 2, f"{queue_id}-1", Note("provider", "took it")),
    )
    assert [(reply["to"], reply["state"]) for reply in story.replies] == [("alerts@bank.example", "pending")]


async def test_a_mail_without_jobs_has_a_story_too(store: Store) -> None:
    item = refused_mail(Refusal(CREDENTIALS_WRONG))
    await store.put(item)
    story = await store.read(lambda c: desk.story(c, item.envelope.queue_id))
    assert story is not None
    assert (story.mail["reason"], story.jobs, story.attempts) == ("credentials_wrong", (), ())
    assert await store.read(lambda c: desk.story(c, "nothing")) is None
