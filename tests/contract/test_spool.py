"""The store on a real SQLite file. Time is an argument, so nothing waits."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text

from gateway.lifecycle import TRANSITIONS, Event, State, sources
from gateway.model import Accepted, Asked, Door, Dropped, Envelope, Job, Note
from gateway.service.ids import queue_id
from gateway.spool import claims, desk, migrations, outbox
from gateway.spool.claims import BootClock, ProviderTerms, Settlement
from gateway.spool.engine import StoreInUse
from gateway.spool.put import StoredMail
from gateway.spool.schema import metadata
from gateway.spool.store import Store
from gateway.verdicts import ANSWER_LOST, STOP_LISTED, VALIDITY_PASSED, Refusal

NOW = 1_800_000_000.0
BOOT = BootClock("boot-1", 1000.0)
MAIN = ProviderTerms("main")
WINDOWED = ProviderTerms("main", duplicate_window_s=70.0, resolve_within_s=50.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/gateway.db", exclusive=True)
    yield opened
    opened.close()


_ids: Iterator[int] = iter(range(10**9))


def mail(*numbers: str, words: str = "text", at: float = NOW, **changes: Any) -> StoredMail:
    """An accepted mail to these numbers."""
    mail_id = f"MAIL{next(_ids):09}"
    jobs = tuple(
        Job(f"{mail_id}-{n}", mail_id, "user", "Bank", number, words, 1, ("main", "spare"), at, at + 3600)
        for n, number in enumerate(numbers, 1)
    )
    accepted = Accepted("user", "SMTP AUTH", jobs, (), None, None, "en", ())
    envelope = Envelope(mail_id, Door.SMTP, "lan", "127.0.0.1", True, None, "a@b.example", ("x@y.example",), at)
    usual: dict[str, Any] = {
        "envelope": envelope,
        "dialect": "template",
        "account": "user",
        "originator": "Bank",
        "message_id": "<1@b.example>",
        "language": "en",
        "reply_to": "a@b.example",
        "accepted": accepted,
        "refusal": None,
        "dedup_key": None,
        "copy": "copy",
        "notes": (Note("door", "came in"),),
    }
    return StoredMail(**{**usual, **changes})


async def claim(
    store: Store, slots: int = 10, now: float = NOW, terms: ProviderTerms = MAIN, clock: BootClock = BOOT
) -> Any:
    return await store.write(lambda connection: claims.claim(connection, terms, slots, now, clock))


async def value(store: Store, sql: str) -> Any:
    return await store.read(lambda connection: connection.execute(text(sql)).scalar_one())


def settled(attempt: Any, happens: Event, **changes: Any) -> Settlement:
    usual: dict[str, Any] = {"provider": "main", "due_at": None, "tries": 0, "why": "", "outcome": "x", "at": NOW}
    return Settlement(attempt, happens, TRANSITIONS[State.SUBMITTING, happens], **{**usual, **changes})


# ── a mail goes in ───────────────────────────────────────────────────────────────────────────────


async def test_a_mail_with_good_and_bad_destinations(store: Store) -> None:
    item = mail("79101234567")
    assert item.accepted is not None
    dropped = Dropped(Asked("79161234567", "x@y.example"), Refusal(STOP_LISTED, {"number": "7916***4567"}))
    item = replace(item, accepted=replace(item.accepted, dropped=(dropped,)))
    assert (await store.put(item)).refusal is None
    story = await store.read(lambda connection: desk.story(connection, item.envelope.queue_id))
    assert story is not None
    assert [(job.state, job.verdict) for job in story.jobs] == [(State.QUEUED, ""), (State.FAILED, "BANNED")]
    assert [note.what for _, _, note in story.trail] == ["came in"]
    assert await value(store, "select count(*) from outbox") == 1


async def test_the_same_mail_is_stored_once(store: Store) -> None:
    first, again, later = (mail("79101234567", dedup_key=b"k" * 32) for _ in range(3))
    results = list(await asyncio.gather(store.put(first), store.put(again)))
    results.append(await store.put(later))
    assert [result.duplicate for result in results] == [False, True, True]
    assert {result.queue_id for result in results} == {first.envelope.queue_id}
    assert await value(store, "select count(*) from jobs") == 1


async def test_quotas_are_exact_however_many_come_at_once(store: Store) -> None:
    item = mail("79101234567", "79102345678")
    assert item.accepted is not None
    limited = replace(item.accepted, per_hour=7)
    mails = [mail("79101234567", "79102345678", accepted=None) for _ in range(10)]
    mails = [
        replace(
            m,
            accepted=replace(
                limited, jobs=tuple(replace(j, id=f"{m.envelope.queue_id}-{j.id[-1]}") for j in limited.jobs)
            ),
        )
        for m in mails
    ]
    results = await asyncio.gather(*map(store.put, mails))
    assert sum(result.refusal is None for result in results) == 3
    assert {r.refusal.code for r in results if r.refusal} == {"LIMIT"}
    assert await value(store, "select count(*) from jobs") == 6
    assert await value(store, "select jobs from usage where period like '%T%'") == 6


async def test_mails_that_wait_together_share_a_commit(store: Store) -> None:
    commits = 0

    def count(_connection: Any) -> None:
        nonlocal commits
        commits += 1

    event.listen(store.database._engines[True], "commit", count)
    await asyncio.gather(*(store.put(mail("79101234567")) for _ in range(200)))
    assert commits <= 5


async def test_a_poisonous_mail_spoils_nobody_elses(store: Store) -> None:
    poison = mail("79101234567", copy=object())
    good = [mail("79101234567") for _ in range(3)]
    results = await asyncio.gather(*map(store.put, [good[0], poison, *good[1:]]), return_exceptions=True)
    assert [isinstance(result, Exception) for result in results] == [False, True, False, False]
    assert await value(store, "select count(*) from mails") == 3


# ── claims ───────────────────────────────────────────────────────────────────────────────────────


async def test_submitting_is_committed_before_anybody_calls(store: Store, tmp_path: Path) -> None:
    await store.put(mail("79101234567"))
    (attempt,) = await claim(store)
    other = Store.open(f"sqlite:///{tmp_path}/gateway.db", exclusive=False)  # as another process sees it
    try:
        assert await value(other, "select state from jobs") == "submitting"
        assert await value(other, "select outcome is null from attempts") == 1
    finally:
        other.close()
    assert (attempt.number, attempt.fence, attempt.repeats) == (1, 1, False)
    assert await claim(store) == []


async def test_oldest_first_and_no_more_than_asked(store: Store) -> None:
    for offset in (2, 0, 1):
        await store.put(mail("79101234567", words=f"{offset}", at=NOW + offset))
    assert [a.job.text for a in await claim(store, slots=2, now=NOW + 5)] == ["0", "1"]
    assert [a.job.text for a in await claim(store, slots=2, now=NOW + 5)] == ["2"]


async def test_the_rate_holds_over_processes(store: Store, tmp_path: Path) -> None:
    terms = ProviderTerms("main", rate=10)
    await asyncio.gather(*(store.put(mail("79101234567", words=str(n))) for n in range(100)))
    other = Store.open(f"sqlite:///{tmp_path}/gateway.db", exclusive=False)
    claimed = 0
    try:
        for tenth in range(31):
            for one in (store, other):
                claimed += len(await claim(one, slots=50, now=NOW + tenth / 10, terms=terms))
    finally:
        other.close()
    assert claimed == 10 + 30  # a second's worth at once, then ten a second


async def test_a_paused_provider_gets_nothing(store: Store) -> None:
    await store.put(mail("79101234567"))
    await store.write(lambda connection: claims.pause(connection, "main", NOW + 300, "no funds"))
    assert await claim(store, now=NOW + 299) == []
    assert await store.read(lambda connection: desk.paused_providers(connection, NOW)) == {"main": "no funds"}
    assert len(await claim(store, now=NOW + 300)) == 1


async def test_identical_requests_wait_for_the_window(store: Store) -> None:
    await store.put(mail("79101234567", "79101234567", words="same"))
    await store.put(mail("79102345678", words="same"))
    assert len(await claim(store, terms=WINDOWED)) == 2  # one of the two equal ones
    assert await claim(store, terms=WINDOWED, now=NOW + 69) == []
    assert len(await claim(store, terms=WINDOWED, now=NOW + 70)) == 1


# ── settling ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("happens", [Event.ACK, Event.NACK, Event.DEFER, Event.LOSE, Event.EXPIRE])
async def test_settle(store: Store, happens: Event) -> None:
    await store.put(mail("79101234567"))
    (attempt,) = await claim(store)
    due_at = NOW + 5 if happens is Event.DEFER else None
    assert await store.settle(settled(attempt, happens, due_at=due_at, provider_id="42", why="because"))
    assert await value(store, "select state from jobs") == TRANSITIONS[State.SUBMITTING, happens].value
    assert await value(store, "select why from jobs") == "because"
    assert await value(store, "select detail from attempts") == "because"


async def test_a_late_answer_changes_nothing(store: Store) -> None:
    await store.put(mail("79101234567"))
    (attempt,) = await claim(store)
    await store.settle(settled(attempt, Event.DEFER, due_at=NOW))
    (second,) = await claim(store)
    assert not await store.settle(settled(attempt, Event.NACK))
    assert await value(store, "select state from jobs") == "submitting"
    assert await store.settle(settled(second, Event.ACK))
    assert not await store.settle(settled(second, Event.NACK))
    assert await value(store, "select state from jobs") == "submitted"


async def test_a_lost_answer_is_asked_for_in_the_same_window(store: Store) -> None:
    await store.put(mail("79101234567"))
    (attempt,) = await claim(store, terms=WINDOWED)
    await store.settle(settled(attempt, Event.LOSE, due_at=NOW + 2))
    (repeat,) = await claim(store, now=NOW + 2, terms=WINDOWED, clock=BootClock("boot-1", 1002.0))
    assert (repeat.repeats, repeat.send_before) == (True, 1050.0)
    await store.settle(settled(repeat, Event.LOSE, due_at=NOW + 6))
    (repeat,) = await claim(store, now=NOW + 6, terms=WINDOWED, clock=BootClock("boot-1", 1006.0))
    assert repeat.send_before == 1050.0  # from the first byte of the first call, not of the last


async def test_after_a_reboot_the_window_is_unknown(store: Store) -> None:
    await store.put(mail("79101234567"))
    await claim(store, terms=WINDOWED)
    (recovered,) = await store.write(lambda connection: claims.recover(connection, NOW + 1))
    assert recovered.destination == "79101234567"
    (repeat,) = await claim(store, now=NOW + 1, terms=WINDOWED, clock=BootClock("boot-2", 3.0))
    assert (repeat.repeats, repeat.send_before) == (True, 0.0)


async def test_old_jobs_expire_and_one_report_waits_for_each_mail(store: Store) -> None:
    item = mail("79101234567", "79102345678")
    await store.put(item)
    assert await store.write(lambda c: claims.expire(c, NOW + 3599, Refusal(VALIDITY_PASSED))) == []
    assert len(await store.write(lambda c: claims.expire(c, NOW + 3600, Refusal(VALIDITY_PASSED)))) == 2
    (reply,) = await store.read(lambda connection: outbox.due(connection, NOW + 4000, 10))
    assert [told.refusal.code for told in reply.notice.told if told.refusal] == ["EXPIRED", "EXPIRED"]


async def test_what_has_been_told_is_not_told_again(store: Store) -> None:
    await store.put(mail("79101234567", "79102345678"))
    first, second = await claim(store)
    await store.settle(settled(first, Event.NACK, refusal=Refusal(ANSWER_LOST), notify=True))
    (reply,) = await store.read(lambda connection: outbox.due(connection, NOW + 10, 10))
    await store.write(lambda connection: outbox.rendered(connection, reply, b"mail"))
    await store.write(lambda connection: outbox.finish(connection, reply.id, "sent", NOW))
    await store.settle(settled(second, Event.NACK, refusal=Refusal(ANSWER_LOST), notify=True))
    (reply,) = await store.read(lambda connection: outbox.due(connection, NOW + 10, 10))
    assert len(reply.notice.told) == 1
    assert await store.read(lambda c: outbox.sent_since(c, "a@b.example", NOW - 1)) == 1


# ── the desk ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("change", "state"), [(Event.CANCEL, State.CANCELLED), (Event.HOLD, State.HELD)])
async def test_an_operator_changes_what_the_lifecycle_allows(store: Store, change: Event, state: State) -> None:
    item = mail("79101234567")
    await store.put(item)
    job_id = f"{item.envelope.queue_id}-1"
    assert await store.write(lambda connection: desk.apply(connection, job_id, change, NOW)) is state
    assert await claim(store) == []
    assert await store.write(lambda connection: desk.apply(connection, "nothing", change, NOW)) is None


async def test_a_retry_voids_the_call_in_flight(store: Store) -> None:
    await store.put(mail("79101234567"))
    (attempt,) = await claim(store)
    assert await store.write(lambda c: desk.apply(c, attempt.job.id, Event.RETRY, NOW)) is None  # it is under way
    await store.settle(settled(attempt, Event.NACK, refusal=Refusal(ANSWER_LOST)))
    assert await store.write(lambda c: desk.apply(c, attempt.job.id, Event.RETRY, NOW)) is State.QUEUED
    assert len(await claim(store)) == 1


# ── the file ─────────────────────────────────────────────────────────────────────────────────────


async def test_migrations_make_the_schema(store: Store) -> None:
    def differences(connection: Any) -> Any:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert await store.write(differences) == []
    assert await value(store, "select version_num from alembic_version") == migrations.HEAD


async def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    store = Store.open(url, exclusive=True)
    await store.write(lambda connection: connection.execute(text("update alembic_version set version_num = '9999'")))
    store.close()
    with pytest.raises(migrations.SchemaTooNew):
        Store.open(url, exclusive=True)


async def test_one_daemon_a_file(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreInUse):
        Store.open(f"sqlite:///{tmp_path}/gateway.db", exclusive=True)


async def test_the_file_is_durable_and_private(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def pragmas(connection: Any) -> list[Any]:
        return [connection.execute(text(f"pragma {name}")).scalar_one() for name in ("journal_mode", "synchronous")]

    assert await store.write(pragmas) == ["wal", 2]


async def test_claiming_reads_an_index_not_the_table(store: Store) -> None:
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "FROM jobs" in statement and "due_at <=" in statement:
            rows = connection.connection.execute("EXPLAIN QUERY PLAN " + statement, parameters)
            plans.extend(str(row[3]) for row in rows)

    event.listen(store.database._engines[True], "before_cursor_execute", explain)
    await store.put(mail("79101234567"))
    await claim(store)
    assert plans
    assert all("USING INDEX jobs_due" in plan for plan in plans if "jobs" in plan), plans


def test_every_event_has_sources() -> None:
    assert all(sources(happens) for happens in Event)


def test_queue_ids_sort_by_time_and_differ() -> None:
    ids = [queue_id(NOW + n / 1000) for n in range(1000)]
    assert ids == sorted(ids)
    assert len({queue_id(NOW) for _ in range(1000)}) == 1000
    assert len(ids[0]) == 13
