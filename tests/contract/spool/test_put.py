from __future__ import annotations

import asyncio
import re
import traceback
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from gateway.spool.put import REPORT_DELAY_S, Put
from gateway.spool.store import Store
from gateway.verdicts import CREDENTIALS_WRONG, Refusal
from tests.contract.spool.given import NOW, VALIDITY_S, mail, only_sqlite, refused_mail, rows, value

HOUR = 3600.0


async def test_a_mail_with_its_jobs_and_trail(store: Store) -> None:
    item = mail("79101234567", "79102345678", words="Привет ✓", dedup_key=b"k" * 32)
    assert await store.put(item) == Put(item.envelope.queue_id)
    ((door, recipients, verified, reason, reason_values),) = await rows(
        store, "select door, recipients, verified_by, reason, reason_values from mails"
    )
    assert (door, recipients, verified) == ("smtp", '["x@sms.example.com"]', "network")
    assert (reason, reason_values) == (None, None)  # SQL NULL, not the JSON word
    stored = await rows(store, "select id, state, destination, text, provider, route, due_at, expires_at from jobs")
    assert stored == [
        (
            f"{item.envelope.queue_id}-{n}",
            "queued",
            number,
            "Привет ✓",
            "main",
            '["main", "spare"]',
            NOW,
            NOW + VALIDITY_S,
        )
        for n, number in enumerate(("79101234567", "79102345678"), 1)
    ]
    assert await rows(store, "select mail_id, job_id, at, notes from trail") == [
        (item.envelope.queue_id, None, NOW, '[["door", "came in", {"bytes": 12}]]')
    ]
    assert await value(store, "select count(*) from outbox") == 0


async def test_a_dropped_destination_is_a_failed_job_and_a_report(store: Store) -> None:
    item = mail("79101234567", dropped=["79161234567", "7" * 100])
    await store.put(item)
    assert await rows(store, "select id, state, destination, reason, route, due_at from jobs order by id") == [
        (f"{item.envelope.queue_id}-1", "queued", "79101234567", None, '["main", "spare"]', NOW),
        (f"{item.envelope.queue_id}-2", "failed", "79161234567", "stop_listed", "[]", None),
        (f"{item.envelope.queue_id}-3", "failed", "7" * 64, "stop_listed", "[]", None),
    ]
    assert await rows(store, "select mail_id, recipient, state, due_at from outbox") == [
        (item.envelope.queue_id, "alerts@bank.example", "pending", NOW + REPORT_DELAY_S)
    ]


async def test_a_refused_mail_is_a_reply_at_once(store: Store) -> None:
    await store.put(refused_mail(Refusal(CREDENTIALS_WRONG, {"login": "x"})))
    assert await rows(store, "select reason, reason_values, account from mails") == [
        ("credentials_wrong", '{"login": "x"}', None)
    ]
    assert await rows(store, "select state, due_at from outbox") == [("pending", NOW)]
    assert await value(store, "select count(*) from jobs") == 0


@pytest.mark.parametrize("dropped", [[], ["79161234567"]])
async def test_who_may_not_be_answered_gets_no_reply(store: Store, dropped: list[str]) -> None:
    await store.put(mail("79101234567", dropped=dropped, reply_to=None))
    await store.put(refused_mail(Refusal(CREDENTIALS_WRONG), reply_to=None))
    assert await value(store, "select count(*) from outbox") == 0


async def test_an_accepted_and_a_refused_mail_share_a_batch(store: Store) -> None:
    """Their rows differ in what is empty; one statement writes both."""
    mixed = [mail("79101234567"), refused_mail(Refusal(CREDENTIALS_WRONG)), mail(dropped=["79161234567"])]
    await asyncio.gather(*map(store.put, mixed))
    assert await rows(store, "select state, reason is null, text is null from jobs order by state") == [
        ("failed", 0, 1),
        ("queued", 1, 0),
    ]
    assert await rows(store, "select reason from mails order by reason nulls first") == [
        (None,),
        (None,),
        ("credentials_wrong",),
    ]


# ── one mail delivered twice ─────────────────────────────────────────────────────────────────


async def test_the_same_mail_in_one_batch_and_later(store: Store, commits: list[Connection]) -> None:
    first, again, later = (mail("79101234567", dropped=["79161234567"], dedup_key=b"k" * 32) for _ in range(3))
    results = list(await asyncio.gather(store.put(first), store.put(again)))
    assert len(commits) == 1
    results.append(await store.put(later))
    queue_id = first.envelope.queue_id
    assert results == [Put(queue_id), Put(queue_id, duplicate=True), Put(queue_id, duplicate=True)]
    counts = [await value(store, f"select count(*) from {name}") for name in ("mails", "jobs", "trail", "outbox")]
    assert counts == [1, 2, 3, 1]  # the story of the first tells of the others


async def test_after_the_window_an_equal_mail_is_another(store: Store) -> None:
    first, again, later = (
        mail("79101234567", dedup_key=b"k" * 32, at=NOW + at, repeat_window_s=100.0) for at in (0, 99, 100)
    )
    assert [(await store.put(item)).duplicate for item in (first, again, later)] == [False, True, False]
    assert (await store.put(mail("79101234567", dedup_key=b"k" * 32, at=NOW + 101))).queue_id == later.envelope.queue_id


async def test_after_its_confirmation_an_equal_mail_is_another(store: Store) -> None:
    first, again = (mail("79101234567", dedup_key=b"k" * 32) for _ in range(2))
    await store.put(first)
    await store.confirm(first.envelope.queue_id)
    assert not (await store.put(again)).duplicate


async def test_two_processes_take_one_mail_once(store: Store, other: Store) -> None:
    results = await asyncio.gather(*(s.put(mail("79101234567", dedup_key=b"k" * 32)) for s in (store, other)))
    assert sorted(result.duplicate for result in results) == [False, True]
    assert len({result.queue_id for result in results}) == 1


async def test_mails_without_a_key_are_never_the_same(store: Store) -> None:
    results = await asyncio.gather(*(store.put(mail("79101234567")) for _ in range(3)))
    assert [result.duplicate for result in results] == [False] * 3


async def test_a_repetition_costs_no_quota(store: Store) -> None:
    items = [mail("79101234567", dedup_key=b"k" * 32, per_hour=1) for _ in range(3)]
    assert [result.refusal for result in await asyncio.gather(*map(store.put, items))] == [None] * 3


# ── quotas ───────────────────────────────────────────────────────────────────────────────────


async def test_quotas_are_exact_however_many_come_at_once(store: Store, other: Store) -> None:
    items = [mail("79101234567", "79102345678", per_hour=7) for _ in range(12)]
    results = await asyncio.gather(*((store, other)[n % 2].put(item) for n, item in enumerate(items)))
    assert sum(result.refusal is None for result in results) == 3
    refusal = next(result.refusal for result in results if result.refusal)
    assert (refusal.reason.key, refusal.values) == ("quota_hour", {"limit": 7, "used": 6})
    assert await value(store, "select count(*) from jobs") == 6
    assert await value(store, "select count(*) from mails") == 3
    assert await rows(store, "select period, jobs from usage order by period") == [
        ("2027-01-15", 6),
        ("2027-01-15T08", 6),
    ]


@pytest.mark.parametrize(
    ("limits", "times", "refused"),
    [
        ({"per_hour": 1}, [0, 3599, 3600], [None, "quota_hour", None]),
        ({"per_day": 1}, [0, 3600, 15 * HOUR, 16 * HOUR], [None, "quota_day", "quota_day", None]),
        ({"per_hour": 1, "per_day": 2}, [0, HOUR, 2 * HOUR, 16 * HOUR], [None, None, "quota_day", None]),
        ({}, [0, 0, 0], [None, None, None]),
    ],
)
async def test_quotas_refill_with_the_hour_and_the_day(
    store: Store, limits: dict[str, Any], times: list[float], refused: list[str | None]
) -> None:
    results = [await store.put(mail("79101234567", at=NOW + at, **limits)) for at in times]
    assert [result.refusal.reason.key if result.refusal else None for result in results] == refused


async def test_a_cap_on_spending_counts_parts(store: Store, other: Store) -> None:
    """However many machines there are: two take mails of three parts each, with a cap of ten."""
    plain = [mail("79101234567") for _ in range(6)]
    items = []
    for item in plain:
        assert item.accepted is not None
        (one,) = item.accepted.jobs
        long = replace(item.accepted, jobs=(replace(one, segments=3),), segments_per_day=10)
        items.append(replace(item, accepted=long))
    results = await asyncio.gather(*((store, other)[n % 2].put(item) for n, item in enumerate(items)))
    refusals = [result.refusal for result in results if result.refusal]
    assert len(refusals) == 3
    assert refusals[0].reason.key == "quota_segments"
    assert refusals[0].values == {"limit": 10, "used": 9}
    assert await value(store, "select jobs from usage where period like '%segments'") == 9


async def test_quotas_are_each_accounts_own_and_count_only_what_is_sent(store: Store) -> None:
    items = [
        mail("79101234567", dropped=["79161234567"], per_hour=1, account="a"),
        mail("79101234567", per_hour=1, account="b"),
        mail(dropped=["79161234567"], per_hour=1, account="a"),
    ]
    assert [result.refusal for result in await asyncio.gather(*map(store.put, items))] == [None] * 3
    assert await rows(store, "select account, jobs from usage where period like '%T%' order by account") == [
        ("a", 1),
        ("b", 1),
    ]


# ── batches ──────────────────────────────────────────────────────────────────────────────────


async def test_mails_that_wait_together_share_a_commit(store: Store, commits: list[Connection]) -> None:
    await asyncio.gather(*(store.put(mail("79101234567")) for _ in range(500)))
    assert len(commits) == 1
    await asyncio.gather(*(store.put(mail("79101234567")) for _ in range(501)))
    assert len(commits) == 3
    assert await value(store, "select count(*) from jobs") == 1001


@pytest.mark.parametrize(
    "poison",
    [{"copy": object()}, {"copy": "\ud800"}, {"dialect": None}, {"account": None}],
    ids=["no SQL type", "no UTF-8", "mail row", "job row"],
)
async def test_a_poisonous_mail_spoils_nobody_elses(store: Store, poison: dict[str, Any]) -> None:
    items = [mail("79101234567", per_hour=3) for _ in range(3)]
    bad = mail("79101234567", dropped=["79161234567"], per_hour=3, **poison)
    results = await asyncio.gather(*map(store.put, [items[0], bad, *items[1:]]), return_exceptions=True)
    assert [isinstance(result, Exception) for result in results] == [False, True, False, False]
    assert isinstance(results[1], Exception)
    logged = "".join(traceback.format_exception(results[1]))
    assert not {"79101234567", "79161234567"} & set(re.findall(r"\d+", logged))
    assert results[0] == Put(items[0].envelope.queue_id)
    for name in ("mails", "jobs", "trail"):
        assert await value(store, f"select count(*) from {name}") == 3
    assert await value(store, "select jobs from usage where period like '%T%'") == 3


async def test_a_client_that_hangs_up_does_not_undo_the_commit(store: Store) -> None:
    waiting = asyncio.create_task(store.put(mail("79101234567")))
    neighbour = asyncio.create_task(store.put(mail("79101234567")))
    await asyncio.sleep(0)
    waiting.cancel()
    assert not (await neighbour).duplicate
    assert waiting.cancelled()
    assert await value(store, "select count(*) from mails") == 2


@only_sqlite
async def test_a_locked_database_fails_every_mail_at_once(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one by one: each would wait for the lock again."""
    monkeypatch.setattr("gateway.spool.sqlite.PATIENCE_S", 0.05)
    loop = asyncio.get_running_loop()

    async def put_three() -> list[Put | BaseException]:
        return await asyncio.gather(*(store.put(mail("79101234567")) for _ in range(3)), return_exceptions=True)

    def hold(_connection: Connection) -> list[Put | BaseException]:
        return asyncio.run_coroutine_threadsafe(put_three(), loop).result(10)

    results = await other.write(hold)
    assert [type(result) for result in results] == [OperationalError] * 3
    assert len(set(results)) == 1
    assert await value(store, "select count(*) from mails") == 0
    assert not (await store.put(mail("79101234567"))).duplicate  # and it goes on by itself


@only_sqlite
async def test_a_full_disk_refuses_and_recovers(store: Store) -> None:
    await store.put(mail("79101234567"))
    pages = await value(store, "pragma page_count")
    await store.write(lambda connection: connection.execute(text(f"pragma max_page_count = {pages}")).all())
    with pytest.raises(OperationalError, match="full"):
        await store.put(mail("79101234567", copy="x" * 100_000))
    await store.write(lambda connection: connection.execute(text("pragma max_page_count = 1000000")).all())
    await store.put(mail("79101234567", copy="x" * 100_000))
    assert await value(store, "select count(*) from mails") == 2
