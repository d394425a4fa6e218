"""What is too old goes; what still waits stays."""

from __future__ import annotations

from gateway.lifecycle import Event
from gateway.spool import desk, retention
from gateway.spool.store import Store
from gateway.verdicts import CREDENTIALS_WRONG, Refusal
from tests.contract.spool.given import NOW, claim, mail, put_jobs, refused_mail, rows, settled, value

DAY = 86400.0


async def three_ages(store: Store) -> list[str]:
    """Sent long ago, sent now, and one of long ago that waits."""
    (old,) = await put_jobs(store, 1, at=NOW - 10 * DAY)
    (new,) = await put_jobs(store, 1)
    for attempt in await claim(store, at=NOW - 10 * DAY) + await claim(store):
        await store.settle(settled(attempt, Event.ACK))
    (waiting,) = await put_jobs(store, 1, at=NOW - 10 * DAY)
    return [old, new, waiting]


async def test_texts_go_first(store: Store) -> None:
    old, new, waiting = await three_ages(store)
    await store.put(refused_mail(Refusal(CREDENTIALS_WRONG), envelope=mail(at=NOW - 10 * DAY).envelope))
    assert await store.write(lambda c: retention.erase_texts(c, NOW - 7 * DAY)) == 2
    assert await store.write(lambda c: retention.erase_texts(c, NOW - 7 * DAY)) == 0
    kept = await rows(store, "select id from jobs where text is not null order by id")
    assert [row.id for row in kept] == sorted([new, waiting])
    assert await value(store, "select count(*) from mails where copy is not null") == 2
    assert await value(store, "select count(*) from jobs") == 3
    assert old not in {row.id for row in kept}


async def test_then_everything(store: Store) -> None:
    old, new, waiting = await three_ages(store)
    assert await store.write(lambda c: retention.delete_records(c, NOW - 7 * DAY)) == 1
    for table, column in (("jobs", "id"), ("attempts", "job_id")):
        left = {row[0] for row in await rows(store, f"select {column} from {table}")}
        assert old not in left
        assert left <= {new, waiting}
    assert await value(store, "select count(*) from mails") == 2
    assert await value(store, "select count(*) from trail where mail_id = :id", id=old.rpartition("-")[0]) == 0
    assert {row.period[:10] for row in await rows(store, "select period from usage")} == {"2027-01-15"}
    assert await store.write(lambda c: desk.story(c, old)) is None


async def test_what_has_lost_its_text_cannot_be_sent_again(store: Store) -> None:
    (job_id,) = await put_jobs(store, 1, at=NOW - 10 * DAY)
    (attempt,) = await claim(store, at=NOW - 10 * DAY)
    await store.settle(settled(attempt, Event.NACK, refusal=Refusal(CREDENTIALS_WRONG)))
    await store.write(lambda c: retention.erase_texts(c, NOW - 7 * DAY))
    assert await store.write(lambda c: desk.apply(c, job_id, Event.RETRY, NOW)) is None
