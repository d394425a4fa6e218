from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.lifecycle import Event, State
from gateway.model import Receipt
from gateway.policy.tally import DAY_S, HOUR_S, SLOT_S, Tally, total
from gateway.service.figures import Figures
from gateway.spool import desk, levels, retention, tallies
from gateway.spool.receipts import Received
from gateway.spool.store import Store
from gateway.verdicts import PROVIDER_REFUSED, STOP_LISTED, Refusal
from tests.contract.spool.given import NOW, claim, mail, only_sqlite, put_jobs, refused_mail, rows, settled

YEAR_S = 365 * 86400.0
DAY = datetime.fromtimestamp(NOW, UTC).date()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def figures(store: Store, at: float, records_s: float = YEAR_S) -> Figures:
    return Figures(store, records_s, lambda: at)


async def counted(store: Store, at: float, day: date = DAY, **options: Any) -> Tally:
    """The day, as a report made at that time shows it."""
    counting = figures(store, at, **options)
    await counting.count()
    return (await counting.report(day, day)).whole


async def taken(store: Store, at: float, count: int = 1, **answer: Any) -> list[str]:
    """Mails that came then, and were taken by the provider ten seconds later; the ids of the jobs."""
    ids = await put_jobs(store, count, at=at)
    for attempt in await claim(store, count, at=at + 5):
        await store.settle(settled(attempt, Event.ACK, provider_id=attempt.job.id, at=at + 10, **answer))
    return ids


async def receipt(store: Store, job_id: str, state: State, at: float) -> None:
    await store.record(Received("main", Receipt(job_id, state, state.value.upper()), at))


async def test_what_came_and_what_became_of_it(store: Store) -> None:
    await store.put(mail("79101234567", "79101234568", words="Hello", dropped=["79160000000"]))
    await store.put(mail("79101234569", words="Привет"))
    await store.put(refused_mail(Refusal(STOP_LISTED)))
    first, second, third = await claim(store, at=NOW + 4)
    await store.settle(settled(first, Event.ACK, provider_id="1", cost="1,20 RUB", at=NOW + 4.5))
    await store.settle(settled(second, Event.ACK, provider_id="2", cost="0.30", at=NOW + 50))
    refusal = Refusal(PROVIDER_REFUSED, {"code": 8, "text": "no such number 79101234569"})
    await store.settle(settled(third, Event.NACK, refusal=refusal, at=NOW + 5))
    await receipt(store, "1", State.DELIVERED, NOW + 5)
    await receipt(store, "2", State.UNDELIVERED, NOW + 60)

    found = await counted(store, NOW + 100)
    assert found.names("mails") == {"accepted": 2, "refused": 1}
    assert found.names("refused") == {"stop_listed": 1}
    assert found.names("state") == {"dropped": 1, "delivered": 1, "undelivered": 1, "failed": 1}
    assert found.names("dropped_for") == {"stop_listed": 1}
    assert found.names("reason") == {"provider_refused|8|no such number …": 1, "undelivered|UNDELIVERED": 1}
    assert found.names("segments") == {"GSM-7": 2, "UCS-2": 1}
    assert found.names("cost") == {"RUB": 1_200_000, "": 300_000}
    assert found.names("clients") == {"127.0.0.1": 3}
    assert (found.asked, found.accepted, found.submitted, found.delivered) == (4, 3, 2, 1)
    assert found.percentile("to_submit", 0.5) == 5.0
    assert 45 <= (found.percentile("to_submit", 0.99) or 0) <= 60
    assert found.percentile("to_deliver", 1.0) == 0.5


async def test_a_late_receipt_changes_the_day_on_which_the_mail_came(store: Store) -> None:
    (job_id,) = await taken(store, NOW)
    assert (await counted(store, NOW + 60)).names("state") == {"submitted": 1}
    await receipt(store, job_id, State.DELIVERED, NOW + 3 * 86400)
    found = await counted(store, NOW + 3 * 86400 + 5)
    assert found.names("state") == {"delivered": 1}
    assert found.names("to_deliver") == {"21": 1}


async def test_a_retry_is_one_sms(store: Store) -> None:
    (job_id,) = await put_jobs(store, 1)
    (attempt,) = await claim(store)
    await store.settle(settled(attempt, Event.NACK, refusal=Refusal(PROVIDER_REFUSED, {"code": 1, "text": "x"})))
    assert (await counted(store, NOW + 60)).names("state") == {"failed": 1}
    await store.write(lambda c: desk.apply(c, job_id, Event.RETRY, NOW + 7200))
    (attempt,) = await claim(store, at=NOW + 7201)
    await store.settle(settled(attempt, Event.ACK, provider_id="1", at=NOW + 7202))
    found = await counted(store, NOW + 7210)
    assert found.names("state") == {"submitted": 1}
    assert found.names("reason") == {}
    assert found.submitted == 1


async def test_counting_again_changes_nothing(store: Store, other: Store) -> None:
    await taken(store, NOW, 3)
    await taken(store, NOW - 30 * 3600, 2)
    await figures(store, NOW + 60).count()
    before = await rows(store, "select * from tallies order by span, at, facet, account, provider")
    assert {row.span for row in before} == {SLOT_S, HOUR_S, DAY_S}
    await figures(other, NOW + 61).count(late_s=YEAR_S)
    assert await rows(store, "select * from tallies order by span, at, facet, account, provider") == before


async def test_what_retention_deletes_stays_counted(store: Store) -> None:
    await taken(store, NOW, 3)
    await taken(store, NOW + 2 * 86400, 1)
    later = NOW + 2 * 86400 + 60
    assert (await counted(store, later)).submitted == 3
    await store.write(lambda c: retention.delete_records(c, later - 86400))
    assert await rows(store, "select id from jobs where created_at < :at", at=later - 86400) == []
    day = figures(store, later + 60, records_s=86400.0)
    await day.count(late_s=YEAR_S)
    assert (await day.report(DAY, DAY)).whole.submitted == 3
    await store.write(lambda c: tallies.forget(c, later + 4 * 86400, 86400.0, YEAR_S))
    found = (await day.report(DAY, DAY)).whole
    assert (found.submitted, found.names("clients")) == (3, {}), "whose client it was is no longer known"


async def test_one_process_counts(store: Store, other: Store) -> None:
    await put_jobs(store, 1)
    turns = [await one.write(lambda c: tallies.begin(c, NOW, 55.0)) for one in (store, other)]
    assert turns == [True, False]
    assert await other.write(lambda c: tallies.begin(c, NOW + 56, 55.0))
    assert await store.write(lambda c: tallies.begin(c, NOW - 3600, 55.0)), "the clock was set back"


async def test_a_turn_counts_and_notes_what_waits(store: Store) -> None:
    await put_jobs(store, 3, at=NOW - 100)
    await figures(store, NOW).turn()
    await figures(store, NOW + 1).turn()
    found = await store.read(lambda c: levels.history(c, NOW - 3600))
    assert [(one.at, one.state, one.depth, one.oldest_at) for one in found if one.depth] == [
        (int(NOW), State.QUEUED, 3, NOW - 100)
    ]
    shown = await figures(store, NOW + 10).overview()
    assert shown.day.waiting == 3
    assert [(one.provider, one.count) for one in shown.waiting] == [("main", 3)]


@only_sqlite
async def test_what_waits_is_counted_beside_the_writers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path, count, written = store.database.path, levels.waiting, []  # type: ignore[attr-defined]

    def counting(connection: Connection) -> list[levels.Waiting]:
        with closing(sqlite3.connect(path, timeout=0)) as another, another:
            written.append(another.execute("insert into usage (account, period, jobs) values ('a', 'p', 1)").rowcount)
        return count(connection)

    monkeypatch.setattr(levels, "waiting", counting)
    await figures(store, NOW).turn()
    assert written == [1]


async def test_who_looks_sees_what_is_new(store: Store) -> None:
    clock = Clock()
    looking = Figures(store, YEAR_S, clock, patience_s=30.0)
    await looking.turn()
    await put_jobs(store, 1, at=NOW + 1)
    clock.now = NOW + 3
    assert (await looking.overview()).hour.accepted == 1
    await put_jobs(store, 1, at=NOW + 3)
    assert (await looking.overview()).hour.accepted == 1, "a moment ago is soon enough"
    clock.now = NOW + 6
    assert (await looking.overview()).hour.accepted == 2


async def test_of_other_accounts_nothing_is_seen(store: Store) -> None:
    await put_jobs(store, 2, account="one")
    await put_jobs(store, 3, account="two")
    counting = figures(store, NOW + 60)
    await counting.turn()
    shown = await counting.overview({"one"})
    assert (shown.day.accepted, sum(one.count for one in shown.waiting), shown.levels) == (2, 2, ())
    report = await counting.report(DAY, DAY, {"one"})
    assert (set(report.accounts), report.whole.accepted) == ({"one"}, 2)
    assert (await counting.report(DAY, DAY, set())).whole.accepted == 0


async def test_a_currency_that_the_provider_did_not_name(store: Store) -> None:
    await taken(store, NOW, 1, cost="2")
    await taken(store, NOW + 60, 1, cost="3 RUB")
    counting = figures(store, NOW + 120)
    await counting.count()
    assert (await counting.report(DAY, DAY, currencies={"main": "RUB"})).whole.names("cost") == {"RUB": 5_000_000}


async def test_scheduled_ones_are_not_slow(store: Store) -> None:
    item = mail("79101234567")
    assert item.accepted is not None
    jobs = tuple(replace(job, due_at=NOW + 3600) for job in item.accepted.jobs)
    await store.put(replace(item, accepted=replace(item.accepted, jobs=jobs)))
    (attempt,) = await claim(store, at=NOW + 3600)
    await store.settle(settled(attempt, Event.ACK, at=NOW + 3600.2))
    assert (await counted(store, NOW + 3700)).percentile("to_submit", 1.0) == 0.25


async def test_whatever_happens_when_the_days_add_up(store: Store) -> None:
    """Mails, answers, receipts and retries at random, counted now and then: the same as counted once at the end."""
    chance = random.Random(6)
    now, ids = NOW - 4 * 86400.0, list[str]()
    while now < NOW:
        now += chance.choice([40.0, 400.0, 4000.0, 20_000.0])
        match chance.randrange(6):
            case 0 | 1:
                ids += await put_jobs(store, chance.randrange(1, 4), at=now)
            case 2 | 3:
                for attempt in await claim(store, 3, at=now):
                    event = chance.choice([Event.ACK, Event.ACK, Event.NACK, Event.LOSE])
                    await store.settle(settled(attempt, event, provider_id=attempt.job.id, cost="0.1", at=now))
            case 4 if ids:
                await receipt(store, chance.choice(ids), chance.choice([State.DELIVERED, State.UNDELIVERED]), now)
            case 5 if ids:
                job_id, at = chance.choice(ids), now
                await store.write(lambda c: desk.apply(c, job_id, Event.RETRY, at))  # noqa: B023
        if chance.random() < 0.4:
            await figures(store, now).count()
    await figures(store, now).count()

    def once(connection: Connection) -> tuple[Tally, ...]:
        days = range(int(NOW // DAY_S - 5) * DAY_S, int(NOW // DAY_S + 1) * DAY_S, DAY_S)
        return tuple(total(row.tally for row in tallies.count(connection, day, day + DAY_S)) for day in days)

    def often(connection: Connection) -> tuple[Tally, ...]:
        days = range(int(NOW // DAY_S - 5) * DAY_S, int(NOW // DAY_S + 1) * DAY_S, DAY_S)
        return tuple(total(row.tally for row in tallies.read(connection, DAY_S, day, day + 1)) for day in days)

    assert await store.read(often) == (expected := await store.read(once))
    assert total(expected).accepted == len(ids) > 20
    assert total(expected).delivered > 0
