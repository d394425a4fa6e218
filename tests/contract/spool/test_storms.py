"""Alarm storms in the store, on both engines: nothing is lost, one SMS tells of all, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from gateway.lifecycle import Event, State
from gateway.model import StormRule, Tell
from gateway.policy.storms import key, summary
from gateway.spool import desk, epoch, gathered, recovery
from gateway.spool.gathered import Summed
from gateway.spool.put import StoredMail
from gateway.spool.store import Store
from gateway.spool.storms import GATHERED
from gateway.verdicts import QUOTA_HOUR, VALIDITY_PASSED, Refusal
from tests.contract.spool.given import NOW, VALIDITY_S, claim, mail, rows, value

RULE = StormRule(2, 600.0, 300.0)
NUMBER = "79101234567"


def alarm(
    at: float = NOW, words: str = "CPU 91%", *numbers: str, rule: StormRule | None = RULE, **changes: object
) -> StoredMail:
    """A mail of an account that gathers; ``tell`` is of its jobs."""
    tell = changes.pop("tell", frozenset())
    item = mail(*(numbers or (NUMBER,)), words=words, at=at, **changes)  # type: ignore[arg-type]
    assert item.accepted is not None
    jobs = tuple(
        replace(job, storm=key("test_user", "My Bank", job.destination, words[:3]), tell=tell)  # type: ignore[arg-type]
        for job in item.accepted.jobs
    )
    return replace(item, accepted=replace(item.accepted, jobs=jobs, storm=rule))


async def sum_up(store: Store, at: float, every_s: float | None = 300.0) -> list[Summed]:
    def transaction(connection: Connection) -> list[Summed]:
        return gathered.sum_up(
            connection, at, 10, lambda who, text, n, s: summary(text, n, s, "en", 10), lambda who: every_s
        )

    return await store.write(transaction)


async def states(store: Store) -> list[tuple[str, str]]:
    found = await rows(store, "select state, text from jobs order by created_at, id")
    return [(row.state, row.text) for row in found]


async def test_the_first_go_out_and_of_the_others_the_last_tells(store: Store) -> None:
    items = [alarm(NOW + n, f"CPU 9{n}%") for n in range(5)]
    for item in items:
        await store.put(item)
    assert [state for state, _ in await states(store)] == ["queued"] * 2 + ["held"] * 3
    assert await value(store, "select count(*) from mails") == 5
    assert await value(store, "select max(why) from jobs where state = 'held'") == GATHERED
    assert (
        "gathered"
        in (await rows(store, "select notes from trail where mail_id = :m", m=items[2].envelope.queue_id))[0][0]
    )
    assert len(await claim(store, at=NOW + 9)) == 2
    assert await sum_up(store, NOW + 2 + 299) == []  # the storm began with the third
    last = f"{items[4].envelope.queue_id}-1"
    assert await sum_up(store, NOW + 2 + 300) == [Summed(last, "test_user", "main", 3, 1)]
    assert [state for state, _ in await states(store)][2:] == ["cancelled", "cancelled", "queued"]
    (attempt,) = await claim(store, at=NOW + 400)
    assert (attempt.job.id, attempt.job.text) == (last, "CPU 94% (x3, 5 min)")
    assert await value(store, "select count(*) from jobs where why = :w", w=f"collapsed into {last}") == 2
    for item in items[2:4]:
        story = await store.read(lambda c, i=item: desk.story(c, i.envelope.queue_id))  # type: ignore[misc]
        assert story is not None
        assert [(note.what, dict(note.values)) for *_, note in story.trail][-1] == ("collapsed into", {"job": last})
    assert await sum_up(store, NOW + 302) == []


async def test_a_storm_goes_on_until_a_period_brings_none(store: Store) -> None:
    for n in range(4):
        await store.put(alarm(NOW + n))
    assert [storm.count for storm in await sum_up(store, NOW + 302)] == [2]
    await store.put(alarm(NOW + 310))
    assert (await states(store))[-1][0] == "held"
    assert [storm.count for storm in await sum_up(store, NOW + 602)] == [1]
    assert (await states(store))[-1] == ("queued", "CPU 91%")  # one is told of as it is
    assert await sum_up(store, NOW + 902) == []
    assert await value(store, "select count(*) from storms") == 0
    await store.put(alarm(NOW + 903))
    assert (await states(store))[-1][0] == "queued"


async def test_a_count_is_over_after_its_time(store: Store) -> None:
    for at in (NOW, NOW + 1, NOW + 600, NOW + 601, NOW + 602):
        await store.put(alarm(at))
    assert [state for state, _ in await states(store)] == ["queued"] * 4 + ["held"]
    await sum_up(store, NOW + 10_000)
    await sum_up(store, NOW + 20_000)
    assert await value(store, "select count(*) from storms") == 0


async def test_what_is_not_alike_is_counted_apart(store: Store) -> None:
    for n in range(2):
        await store.put(alarm(NOW + n, "CPU", NUMBER, "79102345678"))
    await store.put(alarm(NOW + 2, "disk"))
    await store.put(alarm(NOW + 2, "CPU", "79103333333", "79102345678"))
    held = await rows(store, "select destination from jobs where state = 'held'")
    assert [row.destination for row in held] == ["79102345678"]
    assert await value(store, "select count(*) from jobs where state = 'queued'") == 6


async def test_one_batch_counts_as_many_do(store: Store) -> None:
    await asyncio.gather(*(store.put(alarm(NOW + n / 100)) for n in range(10)))
    assert [state for state, _ in await states(store)].count("queued") == 2


async def test_accounts_that_do_not_gather_ask_nothing(store: Store) -> None:
    for _ in range(5):
        await store.put(mail(NUMBER))
    assert await value(store, "select count(*) from storms") == 0


async def test_several_processes_count_together_and_tell_once(store: Store, other: Store) -> None:
    await asyncio.gather(*(which.put(alarm(NOW + n / 100)) for n in range(20) for which in (store, other)))
    assert [state for state, _ in await states(store)].count("queued") == 2
    told = await asyncio.gather(*(sum_up(which, NOW + 400) for which in (store, other) * 3))
    assert [storm.count for summed in told for storm in summed] == [38]
    assert [state for state, _ in await states(store)].count("cancelled") == 37


async def test_what_fails_before_the_commit_leaves_everything_to_the_next(store: Store, other: Store) -> None:
    for n in range(4):
        await store.put(alarm(NOW + n))

    def dies(connection: Connection) -> None:
        gathered.sum_up(
            connection, NOW + 302, 10, lambda who, text, n, s: summary(text, n, s, "en", 10), lambda who: 1.0
        )
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await store.write(dies)
    assert [state for state, _ in await states(store)] == ["queued"] * 2 + ["held"] * 2
    assert [storm.count for storm in await sum_up(other, NOW + 302)] == [2]


async def test_quotas_count_what_goes_out(store: Store) -> None:
    for n in range(6):
        assert (await store.put(alarm(NOW + n, per_hour=3))).refusal is None
    hour = "select jobs from usage where period = '2027-01-15T08'"
    assert await value(store, hour) == 2
    await sum_up(store, NOW + 400)
    assert await value(store, hour) == 3
    refused = await store.put(alarm(NOW + 401, "disk", per_hour=3))
    assert refused.refusal is not None
    assert refused.refusal.reason is QUOTA_HOUR


async def test_a_mail_that_a_quota_refuses_is_not_counted(store: Store) -> None:
    assert (await store.put(alarm(NOW, "CPU", NUMBER, "79102345678", per_hour=1))).refusal is not None
    assert await value(store, "select sum(sent) from storms") == 0


async def test_webhooks_hear_of_what_was_collapsed(store: Store) -> None:
    for n in range(4):
        await store.put(alarm(NOW + n, tell=frozenset({Tell.HOOK})))
    (storm,) = await sum_up(store, NOW + 302)
    ((event,),) = await rows(store, "select event from hooks")
    assert '"state": "cancelled"' in event
    assert f'"detail": "collapsed into {storm.job_id}"' in event


async def test_an_operator_may_release_or_cancel_single_ones(store: Store) -> None:
    for n in range(5):
        await store.put(alarm(NOW + n))
    held = [job for job in await store.read(lambda c: desk.listed(c, [State.HELD], 10)) if job.gathered]
    assert len(held) == 3
    await store.write(lambda c: desk.apply(c, held[0].id, Event.RELEASE, NOW + 10))
    await store.write(lambda c: desk.apply(c, held[1].id, Event.CANCEL, NOW + 10))
    assert [storm.count for storm in await sum_up(store, NOW + 302)] == [1]
    assert [state for state, _ in await states(store)].count("queued") == 4


async def test_nobody_expires_before_it_is_told_of(store: Store) -> None:
    for n in range(3):
        await store.put(alarm(NOW + n))
    late = NOW + 2 + VALIDITY_S + RULE.every_s - 1
    expired = await store.write(lambda c: recovery.expire(c, late, Refusal(VALIDITY_PASSED)))
    assert len(expired) == 2
    assert [storm.count for storm in await sum_up(store, late)] == [1]


async def test_an_account_that_gathers_no_more_still_tells(store: Store) -> None:
    for n in range(4):
        await store.put(alarm(NOW + n))
    assert [storm.count for storm in await sum_up(store, NOW + 302, None)] == [2]
    assert await value(store, "select count(*) from storms") == 0


async def test_a_restored_store_tells_of_nothing_by_itself(store: Store) -> None:
    for n in range(4):
        await store.put(alarm(NOW + n))
    assert await store.write(lambda c: epoch.hold_all(c, NOW + 10)) == 4
    assert await sum_up(store, NOW + 400) == []
    assert not any(job.gathered for job in await store.read(lambda c: desk.listed(c, [State.HELD], 10)))


async def test_a_clock_that_is_set_back_delays_nothing(store: Store) -> None:
    for n in range(4):
        await store.put(alarm(NOW + 5000 + n))
    await store.write(lambda c: recovery.hasten(c, NOW, 5000.0))
    assert [storm.count for storm in await sum_up(store, NOW + 302)] == [2]
