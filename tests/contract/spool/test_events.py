"""Whoever listens hears everything once and in order, whatever commits in which order, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, insert

from gateway.lifecycle import Event as Happening
from gateway.model import Note
from gateway.service import events as service
from gateway.service.events import Event, Feed, Kind, Listener, Over
from gateway.spool.put import put
from gateway.spool.schema import trail
from gateway.spool.store import Store
from gateway.spool.trail import trail_row
from gateway.verdicts import LIST_UNKNOWN, Refusal
from tests.contract.spool.given import NOW, claim, mail, only_postgres, refused_mail, settled


@pytest.fixture
async def feed(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Feed]:
    monkeypatch.setattr(service, "LOOK_S", 0.02)
    opened = Feed(store)
    yield opened
    opened.close()


async def heard(listener: Listener, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await listener.next(10)
    return found


def accepted(number: str = "79101234567", account: str = "test_user") -> object:
    return mail(number, account=account, notes=(Note("policy", "accepted", {"jobs": 1, "account": account}),))


async def test_another_process_is_heard(feed: Feed, other: Store) -> None:
    await other.put(accepted())  # type: ignore[arg-type]
    async with feed.listen() as listener:
        assert feed.listeners == 1
        await other.put(accepted("79101234568"))  # type: ignore[arg-type]
        (attempt, _) = await claim(other)
        note = Note("provider", "submitted", {"provider": "main"})
        await other.settle(settled(attempt, Happening.ACK, provider_id="11", notes=(note,)))
        first, second = await heard(listener, 2)
    assert (first.kind, first.account, first.jobs) == (Kind.ACCEPTED, "test_user", 1)
    assert (second.kind, second.job, second.to) == (Kind.SUBMITTED, attempt.job.id, "7910***4567")
    assert first.id < second.id
    assert feed.listeners == 0


async def test_a_tenant_hears_of_its_own(feed: Feed, store: Store) -> None:
    async with feed.listen({"b"}) as listener:
        for account in ("a", "b", "c", "b"):
            await store.put(accepted(account=account))  # type: ignore[arg-type]
        await store.put(refused_mail(Refusal(LIST_UNKNOWN), notes=(Note("policy", "refused: NO LIST"),)))
        found = await heard(listener, 2)
    assert [event.account for event in found] == ["b", "b"]
    assert {event.account for event in (await feed.recent({"c"}, None, 100)).events} == {"c"}


async def test_who_comes_back_hears_what_it_missed(feed: Feed, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async with feed.listen() as listener:
        for _ in range(3):
            await store.put(accepted())  # type: ignore[arg-type]
        before = await heard(listener, 3)
    for _ in range(3):
        await store.put(accepted())  # type: ignore[arg-type]
    async with feed.listen(after=before[1].id) as listener:
        await store.put(accepted())  # type: ignore[arg-type]
        again = await heard(listener, 5)
        assert not listener.missed
    assert [event.id for event in again] == list(range(before[2].id, before[2].id + 5))
    recent = await feed.recent(None, before[1].id, 100)
    assert [event.id for event in recent.events] == [event.id for event in again]
    assert (recent.position, recent.missed) == (again[-1].id, False)
    monkeypatch.setattr(service, "REPLAY", 2)
    async with feed.listen(after=before[1].id) as listener:
        assert listener.missed
        assert not listener._waiting
    async with feed.listen(after=10**9) as listener:  # of another store
        await store.put(accepted())  # type: ignore[arg-type]
        assert len(await heard(listener, 1)) == 1
    assert (await feed.recent(None, before[1].id, 2)).missed


async def test_who_is_slow_is_let_go_and_slows_nobody(
    feed: Feed, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BUFFER", 3)
    async with feed.listen() as slow, feed.listen() as quick:
        for _ in range(2):
            await store.write(lambda c: put(c, [accepted(), accepted()]))  # type: ignore[list-item]
            assert len(await heard(quick, 2)) == 2
        with pytest.raises(Over):
            await slow.next(10)


async def test_the_end_comes_to_all(feed: Feed) -> None:
    async with feed.listen() as listener:
        waiting = asyncio.create_task(listener.next(60))
        await asyncio.sleep(0)
        feed.close()
        with pytest.raises(Over):
            await waiting
    with pytest.raises(Over):
        async with feed.listen():
            pass


async def test_nobody_listens_nobody_asks(feed: Feed, store: Store, commits: list[Connection]) -> None:
    async with feed.listen():
        pass
    async with asyncio.timeout(5):
        while feed._task is not None and not feed._task.done():
            await asyncio.sleep(0.01)
    commits.clear()
    await asyncio.sleep(0.1)
    assert commits == []


@only_postgres
@pytest.mark.parametrize("commits_at_last", [True, False])
async def test_what_commits_late_is_not_lost(
    feed: Feed, store: Store, other: Store, commits_at_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.spool.events.SETTLE_S", 0.1)
    begun, may_end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def late() -> None:
        engine = other.database._engine  # type: ignore[attr-defined]
        async with engine.connect() as connection:
            row = trail_row("LATE", None, NOW, (Note("reply", "sent"),))
            await connection.execute(insert(trail), row)
            begun.set()
            await may_end.wait()
            await (connection.commit() if commits_at_last else connection.rollback())

    async with feed.listen() as listener:
        task = loop.create_task(late())
        await begun.wait()
        await store.put(accepted())  # type: ignore[arg-type]
        assert await listener.next(0.5) == []  # the one before it is not there yet
        async with feed.listen() as newcomer:
            may_end.set()
            await task
            found = await heard(listener, 1 + commits_at_last)
            assert [event.mail == "LATE" for event in found] == ([True, False] if commits_at_last else [False])
            assert found == sorted(found, key=lambda event: event.id)
            if commits_at_last:  # what was there already when it came is not told; what committed since then is
                assert [event.mail for event in await heard(newcomer, 1)] == ["LATE"]
