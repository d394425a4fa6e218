"""Habits of clients, counted by several processes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.spool import quirks
from gateway.spool.quirks import QuirkRow
from gateway.spool.store import Store
from tests.contract.spool.given import NOW

ONE = QuirkRow("192.168.1.40", "lan", "helo-empty", NOW, NOW, 1)


async def test_a_habit_is_counted_up(store: Store) -> None:
    later = replace(ONE, first_at=NOW + 60, last_at=NOW + 90, count=3)
    other = replace(later, client="192.168.1.5")
    await store.write(lambda c: quirks.add(c, [ONE]))
    await store.write(lambda c: quirks.add(c, [later, other]))
    assert await store.read(quirks.listed) == [replace(ONE, last_at=NOW + 90, count=4), other]


async def test_two_processes_count_the_same_clients(store: Store, other: Store) -> None:
    rows = [replace(ONE, client=f"192.0.2.{number}") for number in range(50)]
    await asyncio.gather(
        *(one.write(lambda c, part=part: quirks.add(c, part)) for one in (store, other) for part in (rows, rows[::-1]))  # type: ignore[misc]
    )
    assert {row.count for row in await store.read(quirks.listed)} == {4}


async def test_old_ones_and_too_many_are_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [replace(ONE, client=f"192.0.2.{number}", last_at=NOW + number) for number in range(6)]
    await store.write(lambda c: quirks.add(c, rows))
    assert await store.write(lambda c: quirks.forget(c, NOW + 1)) == 1
    monkeypatch.setattr(quirks, "MAX_ROWS", 3)
    assert await store.write(lambda c: quirks.forget(c, NOW)) == 2
    assert [row.client[-1] for row in await store.read(quirks.listed)] == ["3", "4", "5"]
