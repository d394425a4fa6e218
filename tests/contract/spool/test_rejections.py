"""Who was turned away at the doors: counted by several processes, bounded, listed together with refused mails."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.service import rejections as service
from gateway.service.rejections import At, Door, Rejection, RejectionBook, Rejections, Spoken, Which
from gateway.spool import rejections
from gateway.spool.put import put
from gateway.spool.rejections import Row
from gateway.spool.store import Store
from gateway.verdicts import LIST_UNKNOWN, RELAY_DENIED, Refusal
from tests.contract.spool.given import NOW, refused_mail

ONE = Row(
    first_at=NOW,
    last_at=NOW,
    count=1,
    listener="lan",
    peer="192.0.2.7",
    trusted=False,
    helo="client",
    tls=False,
    reason="relay_denied",
    values={},
    reply="550 5.7.1 FORBIDDEN",
    sender="a@b.example",
    recipients=("v***@elsewhere.example",),
    account=None,
    dialogue=("C: EHLO client",),
)


async def known(store: Store) -> list[Rejection]:
    return (await Rejections(store).listed(limit=1000)).items


async def test_alike_ones_of_a_day_are_one(store: Store) -> None:
    later = replace(ONE, first_at=NOW + 60, last_at=NOW + 90, count=3, dialogue=("C: EHLO later",))
    tomorrow = replace(later, first_at=NOW + 86400, last_at=NOW + 86400)
    other = replace(later, reason=Door.HTTP.value)
    await store.write(lambda c: rejections.add(c, [ONE]))
    await store.write(lambda c: rejections.add(c, [later, tomorrow, other]))
    found = await known(store)
    assert [(one.last_at - NOW, one.count, one.reason) for one in found] == [
        (86400, 3, "relay_denied"),
        (90, 3, "door_http"),
        (90, 4, "relay_denied"),
    ]
    assert (found[2].first_at, found[2].dialogue) == (NOW, ("C: EHLO client",))
    assert (found[2].verdict, found[1].verdict) == ("FORBIDDEN", "")
    assert await Rejections(store).find(int(found[1].name)) == found[1]
    assert await Rejections(store).find(10**6) is None


async def test_two_processes_count_the_same_clients(store: Store, other: Store) -> None:
    rows = [replace(ONE, peer=f"192.0.2.{number}") for number in range(50)]
    await asyncio.gather(
        *(
            one.write(lambda c, part=part: rejections.add(c, part))  # type: ignore[misc]
            for one in (store, other)
            for part in (rows, rows[::-1])
        )
    )
    assert {one.count for one in await known(store)} == {4}


async def test_old_ones_and_too_many_are_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [replace(ONE, peer=f"192.0.2.{number}", last_at=NOW + number) for number in range(6)]
    await store.write(lambda c: rejections.add(c, rows))
    assert await store.write(lambda c: rejections.forget(c, NOW + 1)) == 1
    monkeypatch.setattr(rejections, "MAX_ROWS", 3)
    assert await store.write(lambda c: rejections.forget(c, NOW)) == 2
    assert [one.peer[-1] for one in await known(store)] == ["5", "4", "3"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_hold_both_kinds_each_once(store: Store, limit: int) -> None:
    rows = [replace(ONE, peer=f"192.0.2.{number}", last_at=NOW + number // 3) for number in range(9)]
    mails = [refused_mail(Refusal(LIST_UNKNOWN, {"list": "7"})) for _ in range(4)]
    mails += [
        refused_mail(Refusal(RELAY_DENIED), envelope=replace(m.envelope, queue_id="Z", received_at=NOW + 1))
        for m in mails[:1]
    ]
    await store.write(lambda c: rejections.add(c, rows))
    await store.write(lambda c: put(c, mails))
    found: list[Rejection] = []
    before: str | None = None
    while True:
        page = await Rejections(store).listed(before=before, limit=limit)
        assert len(page.items) <= limit
        found += page.items
        before = page.next
        if before is None:
            break
    assert len(found) == len({one.name for one in found}) == 14
    assert [one.last_at for one in found] == sorted((one.last_at for one in found), reverse=True)
    (refused,) = [one for one in found if one.mail == mails[0].envelope.queue_id]
    assert (refused.verdict, refused.values) == ("NO LIST", {"list": "7"})


async def test_a_tenant_sees_its_own(store: Store) -> None:
    mine = refused_mail(Refusal(LIST_UNKNOWN))
    await store.write(lambda c: rejections.add(c, [ONE, replace(ONE, account="shop")]))
    await store.write(lambda c: put(c, [replace(mine, account="shop"), refused_mail(Refusal(LIST_UNKNOWN))]))
    found = (await Rejections(store).listed(Which(accounts=("shop",)))).items
    assert [one.account for one in found] == ["shop", "shop"]


async def test_a_flood_costs_little(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_HELD", 3)
    book, spoken = RejectionBook(store, clock=lambda: NOW), Spoken()
    spoken.client("EHLO flood")
    for number in range(100):
        book.note(Door.EARLY.value, At("mx", f"192.0.2.{number}"), "554", spoken)
        book.note(Door.EARLY.value, At("mx", f"2001:db8::{number:x}"), "554", spoken)
    await book.write()
    await book.write()
    found = {one.peer: one.count for one in await known(store)}
    assert found == {"192.0.2.0": 1, "2001:db8::/64": 100, "192.0.2.1": 1, "*": 98}


async def test_what_cannot_be_written_waits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    book = RejectionBook(store, clock=lambda: NOW)
    book.note(Door.EARLY.value, At("mx", "192.0.2.1"))

    def fails(*_given: object) -> None:
        book.note(Door.EARLY.value, At("mx", "192.0.2.1"))
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr(rejections, "add", fails)
        with pytest.raises(OSError):
            await book.write()
    await book.write()
    assert [one.count for one in await known(store)] == [2]
