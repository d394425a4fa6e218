"""When a heartbeat is due, what it says, and when it has failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.lifecycle import State
from gateway.policy.heartbeat import Fate, Heartbeat, result
from gateway.settings.notation import weekdays

MOSCOW = ZoneInfo("Europe/Moscow")


def heartbeat(
    *at: str, days: Sequence[int] = range(7), zone: ZoneInfo = MOSCOW, text: str = "", name: str = "ops"
) -> Heartbeat:
    minutes = tuple(int(time[:2]) * 60 + int(time[3:]) for time in at)
    return Heartbeat(name, "user", ("79101234567",), "", minutes, frozenset(days), zone, text, 600.0)


def moment(text: str, zone: ZoneInfo = MOSCOW) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-26T08:59:59", None),
        ("2026-11-26T09:00:00", "2026-11-26T09:00"),
        ("2026-11-26T09:04:59", "2026-11-26T09:00"),
        ("2026-11-26T09:05:00", None),  # the gateway was down then: that was to be seen at the time
        ("2026-11-26T00:01:00", "2026-11-25T23:58"),
        ("2026-11-28T09:00:00", None),  # Saturday
        ("2026-11-28T00:01:00", "2026-11-27T23:58"),  # of Friday
    ],
)
def test_due(now: str, due: str | None) -> None:
    found = heartbeat("09:00", "23:58", days=range(5)).due(moment(now))
    assert found == (moment(due) if due else None)


def test_the_clocks_are_those_of_the_place() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    beat = heartbeat("09:00", zone=berlin)
    assert beat.due(datetime(2026, 7, 1, 7, 0, tzinfo=UTC).timestamp()) is not None
    assert beat.due(datetime(2026, 12, 1, 8, 0, tzinfo=UTC).timestamp()) is not None
    assert beat.due(datetime(2026, 12, 1, 7, 0, tzinfo=UTC).timestamp()) is None


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "", "email2sms OK 09:00, queue 3"),
        ("ru", "", "email2sms работает, 09:00, в очереди 3"),
        ("uk", "", "email2sms працює, 09:00, у черзі 3"),
        ("en", "{host} {date} {time}", "sms.example.com 2026-11-26 09:00"),
    ],
)
def test_words(language: str, text: str, expected: str) -> None:
    beat = heartbeat("09:00", text=text)
    assert beat.words(language, moment("2026-11-26T09:00"), 3, "sms.example.com") == expected


@pytest.mark.parametrize(
    ("words", "days"),
    [("mon", {0}), ("mon-fri", {0, 1, 2, 3, 4}), ("Sat-Mon", {5, 6, 0}), ("sun-sun", {6}), ("mon-sun", set(range(7)))],
)
def test_weekdays(words: str, days: set[int]) -> None:
    assert weekdays(words) == days


def fates(*states: State, provider: str = "main") -> list[Fate]:
    return [Fate(state, provider, "") for state in states]


@pytest.mark.parametrize(
    ("found", "is_late", "expected"),
    [
        (fates(State.DELIVERED, State.DELIVERED), False, (True, "")),
        (fates(State.DELIVERED, State.SUBMITTED), False, None),
        (fates(State.DELIVERED, State.SUBMITTED), True, (False, "no receipt in time: still submitted")),
        (fates(State.SUBMITTED, provider="mute"), False, (True, "")),
        (fates(State.QUEUED, provider="mute"), True, (False, "no receipt in time: still queued")),
        (fates(State.UNDELIVERED), False, (False, "undelivered")),
        (fates(State.QUEUED, State.FAILED), False, (False, "failed")),
        (fates(State.CANCELLED), False, (False, "cancelled")),
        (fates(State.UNCERTAIN), False, None),
        (fates(State.HELD), True, (False, "no receipt in time: still held")),
        ([], False, None),
        ([], True, (False, "no SMS was made of it")),
    ],
)
def test_what_became_of_it(found: list[Fate], is_late: bool, expected: tuple[bool, str] | None) -> None:
    assert result(found, lambda provider: provider != "mute", is_late=is_late) == expected
