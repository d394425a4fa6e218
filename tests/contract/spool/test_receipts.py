"""What providers say later, on both engines: it finds its job, early or late, whole or in parts, once."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise, permutations

import pytest

from gateway.lifecycle import Event, State
from gateway.model import Accepted, Incoming, Receipt, Reply, Tell
from gateway.spool import hooks, incoming, outbox, receipts, recovery, retention
from gateway.spool.incoming import Arrived
from gateway.spool.put import StoredMail
from gateway.spool.receipts import POLL_FOR_S, Applied, Question, Received
from gateway.spool.store import Store
from gateway.verdicts import VALIDITY_PASSED, Refusal
from tests.contract.spool.given import NOW, VALIDITY_S, claim, job, mail, put_jobs, rows, settled, value

LATER = NOW + 60.0


def said(provider_id: str, state: State, raw: str = "raw", **more: object) -> Received:
    return Received("main", Receipt(provider_id, state, raw, **more), LATER)  # type: ignore[arg-type]


def watched(*tell: Tell, **details: object) -> StoredMail:
    """A mail of an account that wants to hear more than failures."""
    item = mail("79101234567", **details)  # type: ignore[arg-type]
    assert isinstance(item.accepted, Accepted)
    jobs = tuple(replace(job, tell=frozenset(tell)) for job in item.accepted.jobs)
    return replace(item, accepted=replace(item.accepted, jobs=jobs))


async def submitted(store: Store, provider_id: str = "11", *parts: str, notify: bool = False) -> str:
    """One job that the provider has taken."""
    (attempt,) = await claim(store)
    await store.settle(settled(attempt, Event.ACK, provider_id=provider_id, parts=parts, notify=notify))
    return attempt.job.id


async def due_mails(store: Store) -> list[outbox.Outgoing]:
    return await store.read(lambda connection: outbox.take(connection, LATER + 10, 20))


@pytest.mark.parametrize(
    ("state", "told"),
    [(State.DELIVERED, False), (State.UNDELIVERED, True), (State.EXPIRED, True), (State.UNCERTAIN, True)],
)
async def test_a_receipt_ends_the_job_and_failures_are_told(store: Store, state: State, told: bool) -> None:
    await put_jobs(store, 1)
    job_id = await submitted(store)
    applied = await store.record(said("11", state, "word", price="1.15", details={"err": "5"}))
    assert applied == Applied(job_id, state)
    row = await job(store, job_id)
    assert (row.state, row.cost, json.loads(row.result), row.poll_at) == (state.value, "1.15", {"err": "5"}, None)
    mails = await due_mails(store)
    assert [told.state for item in mails for told in item.notice.told] == ([state] if told else [])
    (story,) = await rows(store, "select notes from trail where job_id = :id order by id desc limit 1", id=job_id)
    assert f"receipt: {state.value}" in story.notes


async def test_news_on_the_way_change_nothing(store: Store) -> None:
    await put_jobs(store, 1)
    job_id = await submitted(store)
    assert await store.record(said("11", State.SUBMITTED, "enroute")) == Applied(job_id)
    assert (await job(store, job_id)).state == "submitted"


async def test_what_is_final_stays(store: Store) -> None:
    await put_jobs(store, 1)
    job_id = await submitted(store)
    await store.record(said("11", State.DELIVERED))
    assert await store.record(said("11", State.UNDELIVERED)) == Applied(job_id)
    assert (await job(store, job_id)).state == "delivered"


async def test_what_is_known_after_all_ends_the_uncertainty(store: Store) -> None:
    """The platform had said that nothing would ever be known."""
    await put_jobs(store, 1)
    job_id = await submitted(store)
    await store.record(said("11", State.UNCERTAIN, "partly_deliver"))
    assert await store.record(said("11", State.DELIVERED)) == Applied(job_id, State.DELIVERED)


async def test_a_receipt_may_come_before_the_answer(store: Store) -> None:
    await put_jobs(store, 1)
    (attempt,) = await claim(store)
    assert await store.record(said("11", State.DELIVERED, "DELIVRD", details={"err": "0"})) == Applied()
    assert (await job(store, attempt.job.id)).state == "submitting"
    await store.settle(settled(attempt, Event.ACK, provider_id="11"))
    row = await job(store, attempt.job.id)
    assert (row.state, json.loads(row.result)) == ("delivered", {"err": "0"})
    assert await value(store, "select count(*) from receipts") == 0


async def test_a_receipt_of_nothing_is_forgotten_after_a_day(store: Store) -> None:
    await store.record(said("404", State.DELIVERED))
    assert await store.write(lambda c: receipts.forget_early(c, LATER)) == 0
    assert await store.write(lambda c: receipts.forget_early(c, LATER + 1)) == 1
    assert await value(store, "select count(*) from receipts") == 0


async def test_ids_of_another_provider_are_not_ours(store: Store) -> None:
    await put_jobs(store, 1)
    job_id = await submitted(store)
    receipt = Receipt("11", State.DELIVERED, "x")
    assert await store.record(Received("spare", receipt, LATER)) == Applied()
    assert (await job(store, job_id)).state == "submitted"


@pytest.mark.parametrize("order", list(permutations(["11", "12", "13"])))
async def test_a_long_sms_is_delivered_with_its_last_part(store: Store, order: tuple[str, ...]) -> None:
    await put_jobs(store, 1)
    job_id = await submitted(store, "11", "12", "13")
    for number, provider_id in enumerate(order, 1):
        assert (await job(store, job_id)).state == "submitted"
        applied = await store.record(said(provider_id, State.DELIVERED))
        assert applied == Applied(job_id, State.DELIVERED if number == 3 else None)
    assert (await job(store, job_id)).state == "delivered"


async def test_one_lost_part_is_a_lost_sms(store: Store) -> None:
    await put_jobs(store, 1)
    job_id = await submitted(store, "11", "12")
    await store.record(said("11", State.DELIVERED))
    assert await store.record(said("12", State.EXPIRED)) == Applied(job_id, State.EXPIRED)


async def test_parts_may_come_before_the_answer_too(store: Store) -> None:
    await put_jobs(store, 1)
    (attempt,) = await claim(store)
    await store.record(said("12", State.DELIVERED))
    await store.settle(settled(attempt, Event.ACK, provider_id="11", parts=("12",)))
    assert (await job(store, attempt.job.id)).state == "submitted"
    await store.record(said("11", State.DELIVERED))
    assert (await job(store, attempt.job.id)).state == "delivered"


async def test_several_receipts_in_one_batch(store: Store) -> None:
    """They share a transaction, and the later word on one job counts for nothing."""
    await put_jobs(store, 2)
    one, two = await claim(store)
    await store.settle(settled(one, Event.ACK, provider_id="1"))
    await store.settle(settled(two, Event.ACK, provider_id="2"))
    batch = [
        said("1", State.DELIVERED),
        said("2", State.EXPIRED),
        said("1", State.UNDELIVERED),
        said("3", State.DELIVERED),
    ]
    applied = await store.write(lambda connection: receipts.record(connection, batch))
    assert applied == [
        Applied(one.job.id, State.DELIVERED),
        Applied(two.job.id, State.EXPIRED),
        Applied(one.job.id),
        Applied(),
    ]


# ── who is told ──────────────────────────────────────────────────────────────────────────────


async def test_who_wants_a_receipt_gets_it(store: Store) -> None:
    await store.put(watched(Tell.RECEIPT))
    job_id = await submitted(store)
    assert await due_mails(store) == []
    await store.record(said("11", State.DELIVERED))
    (item,) = await due_mails(store)
    assert ([told.state for told in item.notice.told], item.notice.is_failure) == ([State.DELIVERED], False)
    await store.write(lambda connection: outbox.rendered(connection, item, b"mail"))
    (row,) = await rows(store, "select kind from outbox")
    assert (row.kind, bool((await job(store, job_id)).told)) == ("confirmation", True)


async def test_after_sent_the_receipt_is_told_again(store: Store) -> None:
    await store.put(watched(Tell.SENT, Tell.RECEIPT))
    await submitted(store, notify=True)
    (first,) = await due_mails(store)
    assert [told.state for told in first.notice.told] == [State.SUBMITTED]
    await store.write(lambda connection: outbox.rendered(connection, first, b"mail"))
    await store.record(said("11", State.DELIVERED))
    (second,) = await due_mails(store)
    assert [told.state for told in second.notice.told] == [State.DELIVERED]


async def test_a_program_hears_of_each_step_once(store: Store) -> None:
    await store.put(watched(Tell.HOOK))
    job_id = await submitted(store)
    await store.record(said("11", State.UNDELIVERED, "UNDELIV"))
    calls = await store.write(lambda connection: hooks.take(connection, LATER, 10))
    assert [(call.account, call.event["state"], call.event["job"]) for call in calls] == [
        ("test_user", "submitted", job_id),
        ("test_user", "undelivered", job_id),
    ]
    assert await store.write(lambda connection: hooks.take(connection, LATER, 10)) == []
    await store.write(lambda connection: hooks.finish(connection, calls[0].id))
    await store.write(lambda connection: hooks.postpone(connection, calls[1].id, LATER + 5, "HTTP 500"))
    (again,) = await store.write(lambda connection: hooks.take(connection, LATER + 5, 10))
    assert (again.id, again.tries) == (calls[1].id, 1)


async def test_a_program_hears_of_what_was_never_sent(store: Store) -> None:
    await store.put(watched(Tell.HOOK))
    assert len(await store.write(lambda c: recovery.expire(c, NOW + VALIDITY_S, Refusal(VALIDITY_PASSED)))) == 1
    (call,) = await store.write(lambda connection: hooks.take(connection, NOW + VALIDITY_S, 10))
    assert (call.event["state"], call.event["verdict"]) == ("expired", "EXPIRED")


async def test_what_was_told_is_not_kept_longer_than_texts(store: Store) -> None:
    """It may hold the words of an SMS that came in."""
    sms = Incoming("mo-1", "79107654321", "79990001122", "words")
    await store.write(lambda c: incoming.keep(c, Arrived("I1", "main", sms, "test_user", None, hook=True, at=NOW)))
    (call,) = await store.write(lambda connection: hooks.take(connection, NOW, 10))
    await store.write(lambda connection: retention.erase_texts(connection, NOW + 1))
    assert await value(store, "select count(*) from hooks") == 1  # it is still being told
    await store.write(lambda connection: hooks.finish(connection, call.id))
    await store.write(lambda connection: retention.erase_texts(connection, NOW + 1))
    assert await value(store, "select count(*) from hooks") == 0
    assert await value(store, "select text from incoming") is None


# ── asking ───────────────────────────────────────────────────────────────────────────────────


async def ask(store: Store, at: float) -> list[Question]:
    return await store.write(lambda connection: receipts.questions(connection, "main", at, 10))


async def test_asking_becomes_rarer_and_ends(store: Store) -> None:
    await put_jobs(store, 1)
    (attempt,) = await claim(store)
    await store.settle(settled(attempt, Event.ACK, provider_id="11", poll_at=NOW + 10))
    asked: list[float] = []
    while (at := await store.read(lambda c: receipts.next_question(c, "main"))) is not None:
        questions = await ask(store, at)
        if questions:
            assert questions == [Question(attempt.job.id, "79101234567", ("11",))]
            asked.append(at - NOW)
    waits = [later - earlier for earlier, later in pairwise(asked)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (10.0, 3600.0)
    assert POLL_FOR_S < asked[-1] < POLL_FOR_S + 3601
    assert len(asked) < 100


async def test_who_is_done_is_not_asked_about(store: Store) -> None:
    await put_jobs(store, 2)
    one, two = await claim(store)
    await store.settle(settled(one, Event.ACK, provider_id="1", parts=("2",), poll_at=NOW + 10))
    await store.settle(settled(two, Event.ACK, provider_id="3", poll_at=NOW + 10))
    await store.record(said("3", State.DELIVERED))
    (question,) = await ask(store, LATER)
    assert (question.job_id, sorted(question.ids)) == (one.job.id, ["1", "2"])
    assert await ask(store, LATER) == []  # no other process asks, too


# ── incoming ─────────────────────────────────────────────────────────────────────────────────


async def test_an_incoming_sms_is_kept_and_forwarded_once(store: Store) -> None:
    sms = Incoming("mo-1", "79107654321", "79990001122", "Да\0!")
    reply = Reply("ops@bank.example", b"finished")
    item = Arrived("I1", "main", sms, "test_user", reply, hook=True, at=NOW)
    assert await store.write(lambda connection: incoming.keep(connection, item))
    assert not await store.write(lambda connection: incoming.keep(connection, replace(item, id="I2")))
    (row,) = await rows(store, "select * from incoming")
    assert (row.id, row.sender, row.text, row.account) == ("I1", "79107654321", "Да?!", "test_user")
    (mail,) = await due_mails(store)
    assert (mail.kind, mail.message, mail.notice.to) == ("incoming", b"finished", "ops@bank.example")
    (call,) = await store.write(lambda connection: hooks.take(connection, NOW, 10))
    assert (call.event["type"], call.event["from"], call.event["to"]) == ("incoming", "79107654321", "79990001122")
