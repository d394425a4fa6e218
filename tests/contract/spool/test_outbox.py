from __future__ import annotations

from sqlalchemy import Connection

from gateway.lifecycle import Event, State
from gateway.model import Told
from gateway.spool import desk, outbox, recovery
from gateway.spool.outbox import Outgoing
from gateway.spool.put import REPLY_VALIDITY_S, REPORT_DELAY_S
from gateway.spool.store import Store
from gateway.verdicts import ANSWER_LOST, CREDENTIALS_WRONG, PROVIDER_REFUSED, STOP_LISTED, VALIDITY_PASSED, Refusal
from tests.contract.spool.given import NOW, VALIDITY_S, WINDOWED, claim, mail, refused_mail, rows, settled, value

LOST = Refusal(ANSWER_LOST, {"provider": "main"})
REFUSED = Refusal(PROVIDER_REFUSED, {"code": 7})
SOON = NOW + REPORT_DELAY_S


async def due(store: Store, at: float = SOON, limit: int = 20) -> list[Outgoing]:
    return await store.read(lambda connection: outbox.take(connection, at, limit))


async def send(store: Store, item: Outgoing) -> None:
    """What the post does when the smarthost takes the mail."""
    await store.write(lambda c: outbox.rendered(c, item, b"mail"))
    await store.write(lambda c: outbox.finish(c, item.id, "sent", SOON))


async def test_the_notice_of_a_refused_mail(store: Store) -> None:
    refusal = Refusal(CREDENTIALS_WRONG, {"login": "x"})
    item = refused_mail(refusal)
    await store.put(item)
    (outgoing,) = await due(store, NOW)
    notice = outgoing.notice
    assert (notice.mail_id, notice.to, notice.language) == (item.envelope.queue_id, "alerts@bank.example", "ru")
    assert (notice.message_id, notice.dialect, notice.account) == ("<1@bank.example>", "template", "")
    assert (notice.refusal, notice.told, notice.received_at) == (refusal, (), NOW)
    assert (outgoing.message, outgoing.tries, outgoing.expires_at) == (None, 0, NOW + REPLY_VALIDITY_S)


async def test_a_report_waits_a_moment_and_names_only_what_went_wrong(store: Store) -> None:
    await store.put(mail("79101234567", "79102345678", "79990000000", dropped=["79161234567"]))
    lost, ok, held = await claim(store)
    await store.settle(settled(lost, Event.LOSE, refusal=LOST, why="timeout", notify=True))
    await store.settle(settled(ok, Event.ACK, provider_id="1"))
    await store.settle(settled(held, Event.ACK, provider_id="2", why="held by provider", notify=True))
    assert await due(store, SOON - 0.1) == []
    (outgoing,) = await due(store)
    assert outgoing.notice.refusal is None
    assert outgoing.notice.told == (
        Told("79101234567", State.UNCERTAIN, LOST, "timeout"),
        Told("79990000000", State.SUBMITTED, None, "held by provider"),
        Told(
            "79161234567",
            State.FAILED,
            Refusal(STOP_LISTED, {"number": "7916"}),
            "refused before sending",
            "x@sms.example.com",
        ),
    )


async def test_oldest_first_and_no_more_than_asked(store: Store) -> None:
    for at in (2.0, 0.0, 1.0):
        await store.put(refused_mail(LOST, envelope=mail(at=NOW + at).envelope))
    assert [item.notice.received_at - NOW for item in await due(store, NOW + 1, limit=2)] == [0, 1]
    # The two are on their way. When their process dies, somebody sends them again after a minute.
    assert await due(store, NOW + 1) == []
    again = await due(store, NOW + 2 + outbox.SENDING_S)
    assert sorted(item.notice.received_at - NOW for item in again) == [0, 1, 2]


async def test_a_try_that_failed_sends_the_same_words_later(store: Store) -> None:
    await store.put(refused_mail(LOST))
    (item,) = await due(store)
    await store.write(lambda c: outbox.rendered(c, item, b"the words"))
    await store.write(lambda c: outbox.postpone(c, item.id, NOW + 60, "connection refused"))
    assert await due(store, NOW + 59) == []
    assert await store.read(outbox.next_due) == NOW + 60
    (again,) = await due(store, NOW + 60)
    assert (again.id, again.message, again.tries) == (item.id, b"the words", 1)
    assert await rows(store, "select state, error from outbox") == [("pending", "connection refused")]


async def test_what_is_finished_is_not_due_again_and_keeps_no_words(store: Store) -> None:
    for _ in range(3):
        await store.put(refused_mail(LOST))
    for item, state in zip(await due(store), ("sent", "dropped", "suppressed"), strict=True):
        await store.write(lambda c, item=item: outbox.rendered(c, item, b"mail"))  # type: ignore[misc]
        await store.write(lambda c, i=item.id, s=state: outbox.finish(c, i, s, NOW + 5, "why"))  # type: ignore[misc]
    assert await due(store, NOW + 1e6) == []
    assert await store.read(outbox.next_due) is None
    assert await rows(store, "select state, sent_at, message, error from outbox order by id") == [
        ("sent", NOW + 5, None, "why"),
        ("dropped", None, None, "why"),
        ("suppressed", None, None, "why"),
    ]

    def since(connection: Connection) -> list[int]:
        asked = [("alerts@bank.example", NOW), ("alerts@bank.example", NOW + 5), ("b@bank.example", NOW)]
        return [outbox.sent_since(connection, address, at) for address, at in asked]

    assert await store.read(since) == [1, 0, 0]


# ── nobody is told twice, and nobody is forgotten ────────────────────────────────────────────


async def test_the_second_report_tells_only_what_is_new(store: Store) -> None:
    await store.put(mail("79101234567", "79102345678"))
    first, second = await claim(store)
    await store.settle(settled(first, Event.NACK, refusal=REFUSED, notify=True))
    (report,) = await due(store)
    await send(store, report)
    await store.settle(settled(second, Event.NACK, refusal=LOST, notify=True))
    (report,) = await due(store)
    assert [told.destination for told in report.notice.told] == [second.job.destination]


async def test_a_job_that_fails_while_the_report_is_written_gets_its_own(store: Store) -> None:
    """Read, then rendered: what comes between found an open report and so asked for no other."""
    await store.put(mail("79101234567", "79102345678"))
    first, second = await claim(store)
    await store.settle(settled(first, Event.NACK, refusal=REFUSED, notify=True))
    (report,) = await due(store)
    await store.settle(settled(second, Event.NACK, refusal=REFUSED, notify=True, at=NOW + 1))
    assert await value(store, "select count(*) from outbox") == 1
    await send(store, report)
    (late,) = await due(store)
    assert [told.destination for told in late.notice.told] == [second.job.destination]
    await send(store, late)
    assert await store.read(outbox.next_due) is None


async def test_a_report_that_waits_for_the_smarthost_does_not_swallow_the_next(store: Store) -> None:
    await store.put(mail("79101234567", "79102345678"))
    first, second = await claim(store)
    await store.settle(settled(first, Event.NACK, refusal=REFUSED, notify=True))
    (report,) = await due(store)
    await store.write(lambda c: outbox.rendered(c, report, b"mail"))
    await store.write(lambda c: outbox.postpone(c, report.id, NOW + 60, "busy"))
    await store.settle(settled(second, Event.NACK, refusal=REFUSED, notify=True))
    (late,) = await due(store)
    assert late.job_ids == (second.job.id,)


async def test_a_lost_answer_that_is_still_asked_for_is_no_news(store: Store) -> None:
    await store.put(mail("79101234567", "79102345678"))
    first, second = await claim(store, terms=WINDOWED)
    await store.settle(settled(first, Event.NACK, refusal=REFUSED, notify=True))
    await store.settle(settled(second, Event.LOSE, due_at=NOW + 4, tries=1, why="timeout"))
    (report,) = await due(store)
    assert report.job_ids == (first.job.id,)
    await send(store, report)
    (repeat,) = await claim(store, at=NOW + 4, terms=WINDOWED)
    await store.settle(settled(repeat, Event.LOSE, refusal=LOST, notify=True))
    (report,) = await due(store)
    assert [told.state for told in report.notice.told] == [State.UNCERTAIN]


async def test_what_fails_again_after_a_retry_is_told_again(store: Store) -> None:
    await store.put(mail("79101234567"))
    (attempt,) = await claim(store)
    await store.settle(settled(attempt, Event.NACK, refusal=REFUSED, notify=True))
    await send(store, (await due(store))[0])
    await store.write(lambda c: desk.apply(c, attempt.job.id, Event.RETRY, NOW + 10))
    (attempt,) = await claim(store, at=NOW + 10)
    await store.settle(settled(attempt, Event.NACK, refusal=REFUSED, notify=True, at=NOW + 11))
    (report,) = await due(store, NOW + 20)
    assert report.job_ids == (attempt.job.id,)


async def test_a_retry_while_the_report_is_written_is_not_taken_for_told(store: Store) -> None:
    await store.put(mail("79101234567"))
    (attempt,) = await claim(store)
    await store.settle(settled(attempt, Event.NACK, refusal=REFUSED, notify=True))
    (report,) = await due(store)
    await store.write(lambda c: desk.apply(c, attempt.job.id, Event.RETRY, NOW + 3))
    await send(store, report)
    await store.write(lambda c: recovery.expire(c, NOW + 3 * VALIDITY_S, Refusal(VALIDITY_PASSED)))
    (report,) = await due(store, NOW + 4 * VALIDITY_S)
    assert [told.state for told in report.notice.told] == [State.EXPIRED]
