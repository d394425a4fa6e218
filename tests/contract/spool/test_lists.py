"""Lists and stop-lists of numbers, on both engines."""

from __future__ import annotations

import asyncio

from gateway.spool import accounts, lists
from gateway.spool.lists import EVERYBODY, STOP, Wanted
from gateway.spool.store import Store

NOW = 1_800_000_000.0
A, B, C = "79101234567", "79102345678", "380501234567"
MANY = [f"7910{n:07d}" for n in range(25_000)]


async def put(store: Store, numbers: list[str], name: str = "1", account: str = "bank", replace: bool = False) -> int:
    found, added = await store.write(lambda c: lists.put(c, account, name, numbers, NOW, replace=replace))
    assert found.count == len(await page(store, found.id, limit=100_000))
    return added


async def page(store: Store, list_id: int, after: str = "", prefix: str = "", limit: int = 100) -> list[str]:
    return await store.read(lambda c: lists.page(c, list_id, after=after, prefix=prefix, limit=limit))


async def ids(store: Store) -> dict[tuple[str, str], int]:
    return {(one.account, one.name): one.id for one in await store.read(lists.listed)}


async def test_added_replaced_and_taken_out(store: Store) -> None:
    assert await put(store, [A, B, A]) == 2
    assert await put(store, [B, C]) == 1
    (one,) = (await ids(store)).values()
    assert await page(store, one) == sorted([A, B, C])
    assert await store.write(lambda c: lists.take_out(c, "bank", "1", [C, "79990000000"], NOW)) == 1
    assert await put(store, [C], replace=True) == 1
    assert await page(store, one) == [C]
    assert await store.write(lambda c: lists.drop(c, "bank", "1")) == 1
    assert await ids(store) == {}


async def test_pages_and_prefixes_of_a_long_list(store: Store) -> None:
    assert await put(store, MANY) == len(MANY)
    (one,) = (await ids(store)).values()
    assert await page(store, one, after=MANY[99], limit=3) == MANY[100:103]
    assert await page(store, one, prefix="791000199", limit=1000) == MANY[19900:20000]
    assert await page(store, one, prefix="791000199", after=MANY[19997]) == MANY[19998:20000]
    assert await page(store, one, prefix="9") == []
    assert await store.write(lambda c: lists.take_out(c, "bank", "1", MANY[:20_001], NOW)) == 20_001


async def test_a_mail_finds_its_list_and_who_is_stopped(store: Store) -> None:
    await put(store, [A, B])
    await put(store, [B], STOP)
    await put(store, [A, C], STOP, EVERYBODY)
    known = await ids(store)
    theirs, ours = known["bank", STOP], known[EVERYBODY, STOP]
    asked = [
        Wanted(known["bank", "1"], (theirs,), ()),
        Wanted(known["bank", "1"], (), ()),
        Wanted(None, (ours, theirs), (A, B, "79990000000")),
        Wanted(None, (ours,), (A, B)),
        Wanted(12345, (), ()),
    ]
    found = await asyncio.gather(*map(store.lookup, asked))
    assert [one.numbers for one in found] == [(A, B), (A, B), (), (), ()]
    assert [set(one.stopped) for one in found] == [{B}, set(), {A, B}, {A}, set()]


async def test_lists_that_come_and_go_are_told_and_their_numbers_are_not(store: Store) -> None:
    seen = [await store.read(accounts.revision)]
    for change in (
        lambda c: lists.put(c, "bank", "1", [A], NOW, replace=False),
        lambda c: lists.put(c, "bank", "1", [B], NOW, replace=False),
        lambda c: lists.put(c, "bank", STOP, [B], NOW, replace=False),
        lambda c: lists.take_out(c, "bank", STOP, [B], NOW),  # an empty one is gone
        lambda c: lists.drop(c, "bank"),
    ):
        await store.write(change)
        seen.append(await store.read(accounts.revision))
    assert seen == [0, 1, 1, 2, 3, 4]


async def test_the_id_of_a_list_that_is_gone_is_never_anothers(store: Store) -> None:
    """For a moment, other processes know a list by its id only."""
    await put(store, [A])
    (before,) = (await ids(store)).values()
    await store.write(lambda c: lists.drop(c, "bank"))
    await put(store, [B], account="other")
    (after,) = (await ids(store)).values()
    assert before != after


async def test_the_lists_of_a_number(store: Store) -> None:
    await put(store, [A, B])
    await put(store, [A], STOP, EVERYBODY)
    found = await store.read(lambda c: lists.containing(c, A))
    assert [(one.account, one.name) for one in found] == [(EVERYBODY, STOP), ("bank", "1")]
