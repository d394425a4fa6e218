"""Caps, bursts, quiet hours and the kill switch in the store: exact, however many processes there are."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.lifecycle import Event, State
from gateway.model import Burst, Cap, NumberCaps
from gateway.service.switch import Hold, Scope, Switch
from gateway.spool import desk, holds, recovery, retention
from gateway.spool.claims import claim as hand_out
from gateway.spool.put import Put, StoredMail
from gateway.spool.store import Store
from gateway.verdicts import QUOTA_GATEWAY, QUOTA_SPEND, VALIDITY_PASSED, Refusal
from tests.contract.spool.given import BOOT, MAIN, NOW, WINDOWED, claim, job, mail, put_jobs, rows, settled, value

RUSSIAN, OTHER = "79101234567", "79101239999"
"""Of one range: they differ in the last four digits."""


def given(item: StoredMail, **changes: Any) -> StoredMail:
    """The mail with other fields of ``Accepted``."""
    assert item.accepted is not None
    return replace(item, accepted=replace(item.accepted, **changes))


async def at_once(store: Store, other: Store, items: list[StoredMail]) -> list[Put]:
    """By two processes."""
    return await asyncio.gather(*((store, other)[n % 2].put(item) for n, item in enumerate(items)))


def keys(results: list[Put]) -> list[str]:
    return [result.refusal.reason.key for result in results if result.refusal]


# ── caps ─────────────────────────────────────────────────────────────────────────────────────────


async def test_money_cannot_be_overspent_together(store: Store, other: Store) -> None:
    """3.50 each; for 100.00 there are 28. The cap of the gateway is shared by its accounts."""
    own = Cap(("a", "2027-01-15 spend"), 3_500_000, 100_000_000, QUOTA_SPEND, 1_000_000)
    all_of = replace(own, key=("", "2027-01-15 spend"), reason=QUOTA_GATEWAY, limit=112_000_000)
    mine = [given(mail(RUSSIAN, account="a"), caps=(own, all_of)) for _ in range(40)]
    results = await at_once(store, other, mine)
    assert keys(results) == ["quota_spend"] * 12
    refusal = next(result.refusal for result in results if result.refusal)
    assert (refusal.verdict.smtp, refusal.values) == ("452 4.5.3", {"limit": "100.00", "used": "98.00"})
    assert await value(store, "select count(*) from jobs") == 28
    theirs = [given(mail(RUSSIAN, account="b"), caps=(replace(all_of),)) for _ in range(8)]
    assert keys(await at_once(store, other, theirs)) == ["quota_gateway"] * 4
    assert dict(await rows(store, "select account, jobs from usage where period like '%spend'")) == {
        "a": 98_000_000,
        "": 112_000_000,
    }


async def test_money_beyond_four_bytes(store: Store) -> None:
    cap = Cap(("a", "2027-01-15 spend"), 900_000_000_000, 10**15, QUOTA_SPEND, 1_000_000)
    assert (await store.put(given(mail(RUSSIAN), caps=(cap,)))).refusal is None
    assert await value(store, "select jobs from usage where period like '%spend'") == 900_000_000_000


async def test_a_number_gets_no_more_than_its_cap_together(store: Store, other: Store) -> None:
    items = [given(mail(RUSSIAN), number_caps=NumberCaps(per_hour=10, per_day=12)) for _ in range(30)]
    results = await at_once(store, other, items)
    assert keys(results) == ["quota_number"] * 20
    refusal = next(result.refusal for result in results if result.refusal)
    assert refusal.values == {"number": "7910***4567", "limit": 10}
    (row,) = await rows(store, "select in_hour, in_day from number_usage")
    assert tuple(row) == (10, 10)  # what was refused has been given back
    later = [given(mail(RUSSIAN, at=NOW + 3600), number_caps=NumberCaps(10, 12)) for _ in range(4)]
    assert len(keys(await at_once(store, other, later))) == 2  # a new hour of the same day
    tomorrow = given(mail(RUSSIAN, at=NOW + 86400), number_caps=NumberCaps(10, 12))
    assert keys([await store.put(tomorrow)]) == []


async def test_numbers_side_by_side_are_capped_as_a_range(store: Store, other: Store) -> None:
    caps = NumberCaps(per_hour=10, range_per_hour=5)
    items = [given(mail(f"7910123{n:04}"), number_caps=caps) for n in range(8)]
    assert keys(await at_once(store, other, items)) == ["quota_range"] * 3
    assert keys([await store.put(given(mail("79101240000"), number_caps=caps))]) == []
    stored = [bytes(row.key) for row in await rows(store, "select key from number_usage")]
    assert not any(b"7910" in key for key in stored)


async def test_a_mail_that_passes_a_cap_uses_up_nothing(store: Store) -> None:
    """All its numbers wait with it: it comes again as a whole. Nor does one that comes twice."""
    caps = NumberCaps(per_hour=2)
    assert keys([await store.put(given(mail(RUSSIAN, RUSSIAN), number_caps=caps))]) == []
    assert keys([await store.put(given(mail(OTHER, RUSSIAN), number_caps=caps))]) == ["quota_number"]
    twice = [given(mail(OTHER, dedup_key=b"1"), number_caps=caps) for _ in range(3)]
    assert [put.duplicate for put in await asyncio.gather(*map(store.put, twice))] == [False, True, True]
    assert sorted(await rows(store, "select in_hour, in_day from number_usage")) == [(1, 1), (2, 2)]


async def test_at_four_fifths_somebody_is_told_once(store: Store) -> None:
    cap = Cap(("", "2027-01-15 spend"), 100_000, 1_000_000, QUOTA_GATEWAY, 1_000_000)
    told = [alert for n in range(10) for alert in (await store.put(given(mail(RUSSIAN), caps=(cap,)))).alerts]
    assert [(alert.event, dict(alert.values)) for alert in told] == [
        ("cap.nearly_used", {"account": "all", "cap": "quota_gateway", "used": "0.80", "limit": "1.00"})
    ]


async def test_counters_of_single_numbers_are_forgotten(store: Store) -> None:
    for item in (mail(RUSSIAN), mail(RUSSIAN, at=NOW + 86400)):
        await store.put(given(item, number_caps=NumberCaps(5), burst=Burst(("test_user", "2027-01-15 burst 1"), 9, 10)))
    await store.put(given(mail(OTHER), number_caps=NumberCaps(5)))
    await store.write(lambda c: retention.forget_counters(c, NOW + 2 * 86400))
    assert await value(store, "select count(*) from number_usage") == 1
    assert await value(store, "select count(*) from usage where period like '%burst%'") == 0
    assert await value(store, "select count(*) from usage") > 0  # what was sent in all is kept


async def test_caps_cost_no_transaction(store: Store, commits: list[Connection]) -> None:
    caps = (Cap(("", "2027-01-15 spend"), 1, 1000, QUOTA_GATEWAY),)
    items = [given(mail(f"7910123{n:04}"), caps=caps, number_caps=NumberCaps(9, 9, 500)) for n in range(100)]
    await asyncio.gather(*map(store.put, items))
    assert len(commits) == 1


# ── bursts ───────────────────────────────────────────────────────────────────────────────────────

BURST = Burst(("a", "2027-01-15 burst 3000000"), 5, 10)


def sudden(count: int, burst: Burst | None = BURST, at: float = NOW) -> list[StoredMail]:
    return [given(mail(RUSSIAN, words=f"{n}", account="a", at=at), burst=burst) for n in range(count)]


async def test_too_much_of_a_sudden_is_kept_and_nothing_of_it_lost(store: Store, other: Store) -> None:
    results = await at_once(store, other, sudden(12))
    assert keys(results) == []
    assert await store.read(desk.counts) == {"queued": 5, "held": 7}
    (alert,) = [alert for result in results for alert in result.alerts]
    assert (alert.event, dict(alert.values)) == ("account.held", {"account": "a", "above": 5, "minutes": 10})
    held = (await rows(store, "select * from jobs where state = 'held'"))[0]
    assert held.why.startswith("the account is on hold")
    story = await store.read(lambda c: desk.story(c, held.id))
    assert story is not None
    assert [note.what for _, _, note in story.trail][-1] == "held"
    assert [str(hold) for hold in await Switch(store).holds()] == ["account a"]
    assert await store.put(mail(RUSSIAN, account="b"))
    assert {attempt.job.account for attempt in await claim(store, 50)} == {"b"}  # what was queued is kept back, too
    assert await store.read(desk.counts) == {"submitting": 1, "held": 12}
    tomorrow = sudden(1, replace(BURST, key=("a", "2027-01-16 burst 3000144")), NOW + 86400)
    await store.put(tomorrow[0])
    assert (await job(store, f"{tomorrow[0].envelope.queue_id}-1")).state == State.HELD


@pytest.mark.parametrize("every", [False, True])
async def test_the_operator_releases_an_account(store: Store, every: bool) -> None:
    await asyncio.gather(*map(store.put, sudden(8)))
    by_hand, *_ = await put_jobs(store, 1, account="a")
    await store.write(lambda c: desk.apply(c, by_hand, Event.HOLD, NOW))
    switch = Switch(store, lambda: NOW)
    assert await switch.resume(Scope.ACCOUNT, "a", ["main"], every=every) == (True, 3 + every)
    assert await store.read(desk.counts) == {"queued": 9} if every else {"queued": 8, "held": 1}
    assert len(await claim(store, 50)) == 8 + every
    assert await switch.resume(Scope.ACCOUNT, "a", ["main"]) == (False, 0)
    await store.put(sudden(1)[0])  # the count begins anew, or the next one would be too much again
    assert await switch.holds() == []


async def test_what_is_held_expires_and_the_sender_hears_of_it(store: Store) -> None:
    await asyncio.gather(*map(store.put, sudden(7)))
    await store.write(lambda c: recovery.expire(c, NOW + 25 * 3600, Refusal(VALIDITY_PASSED)))
    assert await store.read(desk.counts) == {"expired": 7}


# ── the kill switch ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("scope", "name"), [(Scope.ALL, ""), (Scope.PROVIDER, "main")])
async def test_nothing_is_handed_out_by_any_process(store: Store, other: Store, scope: Scope, name: str) -> None:
    await put_jobs(store, 3)
    await Switch(store).hold(scope, name)
    assert await claim(store) == []
    assert await claim(other) == []
    await put_jobs(other, 2)
    assert await store.read(desk.counts) == {"queued": 5}
    spare = await claim(store, terms=replace(MAIN, name="spare"))
    assert spare == []
    await Switch(other).resume(scope, name, ["main"])
    assert len(await claim(store)) == 5


async def test_a_hold_of_a_provider_is_that_providers(store: Store) -> None:
    await put_jobs(store, 2, route=("spare",))
    await Switch(store).hold(Scope.PROVIDER, "main")
    assert len(await claim(store, terms=replace(MAIN, name="spare"))) == 2


async def test_nor_is_a_lost_answer_asked_for(store: Store) -> None:
    """Where the first request was not seen, asking would send."""
    await put_jobs(store, 1)
    (attempt,) = await claim(store, terms=WINDOWED)
    await store.settle(settled(attempt, Event.LOSE, due_at=NOW))
    await Switch(store).hold(Scope.ALL)
    assert await claim(store, terms=WINDOWED) == []
    await Switch(store).resume(Scope.ALL, "", [])
    assert [attempt.repeats for attempt in await claim(store, terms=WINDOWED)] == [True]


async def test_an_account_on_hold_does_not_stand_in_the_others_way(store: Store) -> None:
    """However much of it waits before them."""
    await put_jobs(store, 30, account="a")
    await put_jobs(store, 3, account="b")
    await Switch(store).hold(Scope.ACCOUNT, "a", "stolen password")
    assert [attempt.job.account for attempt in await claim(store, 2)] == ["b"] * 2
    assert await store.read(desk.counts) == {"held": 30, "queued": 1, "submitting": 2}
    assert await Switch(store, lambda: NOW).resume(Scope.ACCOUNT, "a", ["main"]) == (True, 30)
    assert len(await claim(store, 50)) == 31


async def test_a_hold_is_there_after_a_restart_and_can_be_changed(store: Store, url: str) -> None:
    switch = Switch(store, lambda: NOW)
    await switch.hold(Scope.ALL, why="strange bill")
    await Switch(store, lambda: NOW + 5).hold(Scope.ALL, why="strange bill", refuse=True)
    await store.close()
    again = await Store.open(url, exclusive=True)
    try:
        assert await again.read(holds.listed) == [Hold(Scope.ALL, "", NOW, "strange bill", refuses=True)]
        assert await again.write(lambda c: hand_out(c, MAIN, 5, NOW, BOOT)) == []
    finally:
        await again.close()


@pytest.mark.parametrize(
    ("hold", "refuses"),
    [
        ((Scope.ALL, "", True), True),
        ((Scope.ALL, "", False), False),
        ((Scope.ACCOUNT, "test_user", True), True),
        ((Scope.ACCOUNT, "other", True), False),
        ((Scope.PROVIDER, "main", True), False),  # there is a spare one
        ((Scope.PROVIDER, "spare", True), False),
    ],
)
async def test_which_mail_is_put_off(store: Store, hold: tuple[Scope, str, bool], refuses: bool) -> None:
    switch, accepted = Switch(store), mail(RUSSIAN).accepted
    assert accepted is not None
    assert not switch.refuses(accepted)
    await switch.hold(hold[0], hold[1], refuse=hold[2])
    await switch.look()
    assert switch.refuses(accepted) is refuses
    if hold[0] is Scope.PROVIDER:
        await switch.hold(Scope.PROVIDER, {"main": "spare", "spare": "main"}[hold[1]], refuse=True)
        await switch.look()
        assert switch.refuses(accepted)


# ── quiet hours ──────────────────────────────────────────────────────────────────────────────────


async def test_a_retry_does_not_ring_at_night(store: Store) -> None:
    """It was due before they began; the provider was away. 08:00 UTC is when the tests begin."""
    item = mail(RUSSIAN, "79102345678")
    assert item.accepted is not None
    first, second = item.accepted.jobs
    quiet = (replace(first, quiet="08:30-10:00 UTC"), second)
    await store.put(given(item, jobs=quiet))
    (attempt,) = await claim(store, 1)
    await store.settle(settled(attempt, Event.DEFER, due_at=NOW + 1800, tries=1))
    assert [a.job.id for a in await claim(store, at=NOW + 1800)] == [second.id]
    row = await job(store, first.id)
    assert (row.state, row.due_at, row.why) == ("queued", NOW + 7200, "waits for the end of the quiet hours")
    (again,) = await claim(store, at=NOW + 7200)
    assert again.job == quiet[0]
