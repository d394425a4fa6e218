"""Heartbeats on both engines, by the service: once over all processes, the whole way, an alert when nothing arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from gateway.service.credentials import Credentials
from gateway.service.heartbeats import Heartbeats
from gateway.settings.load import Configuration, load
from gateway.spool import retention
from gateway.spool.store import Store
from tests.contract.spool.given import rows, value
from tests.running import ACCOUNT, write_config

NINE = 1_800_003_600.0
"""2027-01-15 09:00:00 UTC, a Friday."""
HOOK = {"url": "http://127.0.0.1:1/", "secret": "sixteen characters"}
BEAT = {"account": "test_user", "to": "79101234567", "at": "09:00", "days": "mon-fri"}


class Clock:
    """Set by the test."""

    now = NINE

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def configured(folder: Path, beat: dict[str, Any] | None = None, **account: Any) -> Configuration:
    return load(write_config(folder, {"heartbeat": {"ops": {**BEAT, **(beat or {})}}}, [{**ACCOUNT, **account}]))


Make = Callable[..., Heartbeats]


@pytest.fixture
def make(store: Store, tmp_path: Path, clock: Clock) -> Make:
    def service(of: Store = store, beat: dict[str, Any] | None = None, **account: Any) -> Heartbeats:
        loaded = configured(tmp_path, beat, **account)
        return Heartbeats(lambda: loaded, of, Credentials(), lambda provider: provider != "mute", clock=clock)

    return service


async def become(store: Store, state: str) -> None:
    def change(connection: Connection) -> None:
        connection.execute(text("update jobs set state = :state, due_at = null"), {"state": state})

    await store.write(change)


async def outcome(store: Store) -> list[tuple[str, str]]:
    return [(row.state, row.why) for row in await rows(store, "select state, why from heartbeats order by at")]


async def test_a_mail_of_our_own_goes_the_whole_way(store: Store, make: Make, clock: Clock) -> None:
    await make().beat_and_watch()
    ((job_text, originator, destination, state),) = await rows(
        store, "select text, originator, destination, state from jobs"
    )
    assert (job_text, originator, destination) == ("email2sms OK 09:00, queue 0", "My Bank", "79101234567")
    assert state == "queued"
    ((mail_id, dialect, reply_to),) = await rows(store, "select id, dialect, reply_to from mails")
    assert (dialect, reply_to) == ("heartbeat", None)
    assert await value(store, "select mail_id from heartbeats") == mail_id
    notes = await value(store, "select notes from trail")
    assert "sender verified" in str(notes)  # admitted as any mail, by each rule
    assert await outcome(store) == [("waiting", "")]
    await become(store, "delivered")
    await make().beat_and_watch()
    assert await outcome(store) == [("ok", "")]


async def test_once_over_all_processes_and_restarts(store: Store, other: Store, make: Make, clock: Clock) -> None:
    await asyncio.gather(*(make(which).beat_and_watch() for which in (store, other) * 3))
    clock.now += 200
    await make(other).beat_and_watch()
    assert await value(store, "select count(*) from jobs") == 1
    clock.now += 3 * 86400  # Monday
    await make().beat_and_watch()
    assert await value(store, "select count(*) from jobs") == 2


async def test_what_was_missed_is_not_sent_late(store: Store, make: Make, clock: Clock) -> None:
    clock.now += 300
    await make().beat_and_watch()
    assert await value(store, "select count(*) from heartbeats") == 0


async def test_an_alert_when_no_receipt_comes(store: Store, other: Store, make: Make, clock: Clock) -> None:
    await make().beat_and_watch()
    await become(store, "submitted")
    clock.now += 599
    await make().beat_and_watch()
    assert await outcome(store) == [("waiting", "")]
    clock.now += 1
    with capture_logs() as events:
        await asyncio.gather(*(make(which, webhook=HOOK).beat_and_watch() for which in (store, other)))
    (alert,) = [event for event in events if event["event"] == "heartbeat.failed"]
    assert (alert["alert"], alert["why"]) == (True, "no receipt in time: still submitted")
    ((event,),) = await rows(store, "select event from hooks")
    assert '"type": "heartbeat"' in event
    assert '"state": "failed"' in event


async def test_a_provider_without_receipts_has_taken_it(store: Store, make: Make) -> None:
    await make().beat_and_watch()
    await become(store, "submitted")
    await store.write(lambda c: c.execute(text("update jobs set provider = 'mute'")))
    await make().beat_and_watch()
    assert await outcome(store) == [("ok", "")]


async def test_one_that_died_between_is_told_of(store: Store, make: Make, clock: Clock) -> None:
    """It is not sent again: whether it was is not known."""
    service = make()
    (beat,) = service._configuration().heartbeats
    service._mail = _dies  # type: ignore[method-assign, assignment]
    with pytest.raises(asyncio.CancelledError):
        await service.send(beat, NINE)
    clock.now += 100
    await make().beat_and_watch()
    assert await value(store, "select count(*) from jobs") == 0
    clock.now += 500
    await make().beat_and_watch()
    assert await outcome(store) == [("failed", "no SMS was made of it")]


async def _dies(*_: Any) -> str:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("account", "beat", "why"),
    [
        ({"enabled": False}, {}, "refused: FORBIDDEN (not_activated)"),
        ({"stop_list": ["79101234567"]}, {}, "refused: BANNED (stop_listed)"),
        ({"limits": {"per_day": 1}}, {"to": ["79101234567", "79102345678"]}, "refused: LIMIT (quota_day)"),
    ],
    ids=["switched off", "stop list", "quota"],
)
async def test_a_refusal_is_an_alert_at_once(
    store: Store, make: Make, account: dict[str, Any], beat: dict[str, Any], why: str
) -> None:
    await make(beat=beat, **account).beat_and_watch()
    assert await outcome(store) == [("failed", why)]


async def test_a_storm_swallows_no_heartbeat(store: Store, make: Make, clock: Clock) -> None:
    (beat,) = (service := make(storm={"over": 1}))._configuration().heartbeats
    for n in range(3):
        await service.send(replace(beat, text="same"), NINE + n)
    assert await value(store, "select count(*) from jobs where state = 'queued'") == 3


async def test_results_are_kept_as_long_as_records(store: Store, make: Make) -> None:
    service = make()
    await service.beat_and_watch()
    assert [beat.at for beat in await service.last("ops", 5)] == [NINE]
    await store.write(lambda c: retention.delete_records(c, NINE + 1))
    assert await service.last("ops", 5) == []
