"""Accounts and keys in the store, on both engines."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.spool import accounts
from gateway.spool.store import Store
from tests.contract.spool.given import rows

NOW = 1_800_000_000.0


async def add(store: Store, login: str = "bank", **settings: Any) -> bool:
    return await store.write(lambda c: accounts.add(c, login, settings, True, NOW))


async def test_an_account_comes_changes_and_goes(store: Store) -> None:
    assert await add(store, senders=["*"], limits={"per_day": "5"})
    assert not await add(store, senders=["other"])
    assert await store.write(lambda c: accounts.change(c, "bank", NOW + 1, password_hash="$argon2id$x", enabled=False))
    assert not await store.write(lambda c: accounts.change(c, "nobody", NOW, enabled=False))
    found = await store.read(lambda c: accounts.one(c, "bank"))
    assert found is not None
    assert (found.settings, found.enabled) == ({"senders": ["*"], "limits": {"per_day": "5"}}, False)
    assert (found.created_at, found.changed_at) == (NOW, NOW + 1)
    assert "argon2" not in repr(found)
    assert await store.write(lambda c: accounts.remove(c, "bank"))
    assert not await store.write(lambda c: accounts.remove(c, "bank"))
    assert await store.read(accounts.logins) == []


async def test_only_what_has_changed_is_read_again(store: Store) -> None:
    await add(store, "one")
    known = await store.read(accounts.revision)
    await add(store, "two")
    assert [one.login for one in await store.read(lambda c: accounts.changed(c, known))] == ["two"]
    await store.write(lambda c: accounts.change(c, "one", NOW, enabled=False))
    assert [one.login for one in await store.read(lambda c: accounts.changed(c, known))] == ["one", "two"]
    assert await store.read(lambda c: accounts.changed(c, known + 2)) == []


async def test_changes_of_two_processes_both_count(store: Store, other: Store) -> None:
    await asyncio.gather(*(add(s, f"{number} {n}") for n in range(5) for number, s in enumerate((store, other))))
    assert await store.read(accounts.revision) == 10
    assert len({one.revision for one in await store.read(lambda c: accounts.changed(c, 0))}) == 10


async def test_keys_are_kept_by_their_digests(store: Store) -> None:
    await add(store)
    key_id = await store.write(lambda c: accounts.add_key(c, "bank", "till 3", "ab12", b"digest", NOW))
    assert await store.read(lambda c: accounts.owner(c, b"digest")) == "bank"
    off = await store.write(lambda c: accounts.switch_key(c, "bank", key_id, False))
    assert off is not None and not off.active and off.name == "till 3"
    assert await store.write(lambda c: accounts.switch_key(c, "other", key_id, True)) is None
    assert await store.write(lambda c: accounts.revoke_key(c, "other", key_id)) is None
    assert await store.read(lambda c: accounts.keys(c, ["bank"])) == [off]
    await store.write(lambda c: accounts.remove(c, "bank"))
    assert await store.read(accounts.keys) == []
    assert await rows(store, "select * from account_keys") == []
