"""Calls of webhooks, as people see and repeat them, on both engines."""

from __future__ import annotations

from gateway.spool import hooks
from gateway.spool.hooks import CallState
from gateway.spool.store import Store

NOW = 1_800_000_000.0


async def test_calls_are_listed_and_made_once_more(store: Store) -> None:
    made = [await store.write(lambda c, who=who: hooks.call_to_test(c, who, NOW)) for who in ("a", "b", "a")]  # type: ignore[misc]
    await store.write(lambda c: hooks.finish(c, made[0], "HTTP 500"))
    await store.write(lambda c: hooks.finish(c, made[1]))

    async def seen(**wanted: object) -> list[tuple[int, str, str]]:
        asked = {"accounts": None, "state": None, "before": None, "limit": 10, **wanted}
        found = await store.read(lambda c: hooks.listed(c, **asked))  # type: ignore[arg-type]
        return [(made.index(row.id), row.account, row.state.value) for row in found]

    assert await seen() == [(2, "a", "waiting"), (1, "b", "told"), (0, "a", "failed")]
    assert await seen(accounts={"b"}) == [(1, "b", "told")]
    assert await seen(accounts=set()) == []
    assert await seen(state=CallState.FAILED) == [(0, "a", "failed")]
    assert await seen(before=made[2], limit=1) == [(1, "b", "told")]
    for call, accounts, done in ((made[0], {"b"}, False), (made[1], None, False), (made[0], {"a"}, True)):
        assert await store.write(lambda c, n=call, who=accounts: hooks.again(c, n, who, NOW)) is done  # type: ignore[misc]
    due = await store.write(lambda c: hooks.take(c, NOW, 10))
    assert sorted(call.id for call in due) == [made[0], made[2]]
