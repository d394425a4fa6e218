"""What is stored about one number, given to whom it is about, and erased."""

from __future__ import annotations

import pytest

from gateway.lifecycle import Event
from gateway.model import Incoming
from gateway.service.desk import Desk
from gateway.spool import incoming, lists, person
from gateway.spool.incoming import Arrived
from gateway.spool.sealing import Sealing
from gateway.spool.store import Store
from tests.contract.spool.given import NOW, claim, mail, put_jobs, rows, settled, value

MINE, OTHER = "79101234567", "79102345678"
TABLES = ("mails", "jobs", "attempts", "trail", "outbox", "incoming", "hooks", "receipts", "audit")


async def about_me(store: Store) -> None:
    """A mail to me and another, one of which I am refused, an SMS from me, told to a program."""
    both = mail(MINE, OTHER, words="secret words", copy=f"To: {MINE}, {OTHER}")
    await store.put(both)
    await store.put(mail(OTHER, dropped=["+7 (910) 123-45-67"], words="not mine"))
    for attempt in await claim(store):
        await store.settle(settled(attempt, Event.ACK))
    sms = Incoming("in-1", MINE, "12345", "my answer")
    await store.write(lambda c: incoming.keep(c, Arrived("IN1", "main", sms, "test_user", None, True, NOW)))


async def stored(store: Store) -> str:
    return "\n".join([repr(await rows(store, f"select * from {table}")) for table in TABLES])


async def test_an_export_is_all_of_mine_and_nothing_of_the_others(store: Store) -> None:
    await about_me(store)
    found = await Desk(store).export(MINE, "root")
    assert [sms["text"] for sms in found["sms"]] == ["secret words", None]
    assert [sms["state"] for sms in found["sms"]] == ["submitted", "failed"]
    assert [sms["text"] for sms in found["incoming"]] == ["my answer"]
    assert len(found["mails"]) == 2
    assert len(found["attempts"]) == 1
    assert [event["text"] for event in found["webhook_events"]] == ["my answer"]
    assert OTHER not in repr(found)
    assert [(look.who, look.what, look.subject) for look in await Desk(store).looks(9)] == [
        ("root", "export", "7910***4567")
    ]


async def test_erased_is_erased_and_the_others_stay(store: Store) -> None:
    await about_me(store)
    erased = await Desk(store).erase(MINE, "root")
    assert (erased.jobs, erased.mails, erased.incoming, erased.events, erased.waiting) == (2, 2, 1, 1, ())
    left = await stored(store)
    assert not [trace for trace in (MINE, "(910) 123-45-67", "my answer") if trace in left]
    assert "7910***4567" in left
    assert await value(store, "select count(*) from jobs where text is not null") == 2  # of the other number
    assert await value(store, "select count(*) from jobs where state = 'submitted'") == 3
    assert (await Desk(store).erase(MINE, "root")).jobs == 0


async def test_the_bytes_leave_the_files(store: Store, url: str) -> None:
    if not url.startswith("sqlite"):
        pytest.skip("the server's files are its own")
    await about_me(store)
    path = store.database.path  # type: ignore[attr-defined]
    files = [path, path.with_name(path.name + "-wal")]
    assert MINE.encode() in b"".join(file.read_bytes() for file in files)
    await Desk(store).erase(MINE, "root")
    raw = b"".join(file.read_bytes() for file in files)
    assert MINE.encode() not in raw
    assert b"my answer" not in raw


async def test_what_waits_is_left_and_named(store: Store) -> None:
    (job_id,) = await put_jobs(store, 1)
    number = await value(store, "select destination from jobs")
    erased = await Desk(store).erase(number, "root")
    assert (erased.jobs, erased.waiting) == (0, (job_id,))
    assert await value(store, "select count(*) from jobs where text is not null") == 1
    assert await Desk(store).change(job_id, Event.CANCEL) is not None
    assert (await Desk(store).erase(number, "root")).waiting == ()


async def test_sealed_events_are_found(url: str) -> None:
    store = await Store.open(url, exclusive=True, key=Sealing(bytes(32)))
    try:
        await about_me(store)
        assert (await store.write(lambda c: person.erase(c, MINE, NOW))).events == 1
    finally:
        await store.close()


async def test_lists_are_left_and_stop_lists_are_not(store: Store) -> None:
    for account, name in (("bank", "1"), ("bank", lists.STOP), (lists.EVERYBODY, lists.STOP)):
        await store.write(lambda c, a=account, n=name: lists.put(c, a, n, [MINE, OTHER], NOW, replace=False))  # type: ignore[misc]
    on = [("", "stop-list"), ("bank", "stop-list"), ("bank", "1")]
    assert [(one["account"], one["list"]) for one in (await Desk(store).export(MINE, "root"))["lists"]] == on
    await Desk(store).erase(MINE, "root")
    assert [(one["account"], one["list"]) for one in (await Desk(store).export(MINE, "root"))["lists"]] == on[:2]
    assert [one.count for one in await store.read(lists.listed)] == [2, 2, 1]
