"""When a heartbeat is to go out, and what its SMS became."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.lifecycle import FINAL, State

LATE_S = 300.0
"""So much later than its time a heartbeat is still sent; later, the gateway was down, and its silence has told."""

TEXTS = {
    "en": "email2sms OK {time}, queue {queue}",
    "ru": "email2sms работает, {time}, в очереди {queue}",
    "uk": "email2sms працює, {time}, у черзі {queue}",
}


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """An SMS at set times that goes the whole way of a mail."""

    name: str
    account: str
    to: tuple[str, ...]
    """Numbers, E.164 digits."""
    originator: str
    """Empty: the account's only one."""
    minutes: tuple[int, ...]
    """Since midnight."""
    days: frozenset[int]
    """0 is Monday."""
    zone: ZoneInfo
    text: str
    """With {time}, {date}, {queue} and {host}; empty: in the account's language."""
    within_s: float
    """Until its receipt."""

    def due(self, now: float) -> float | None:
        """The time in the last minutes that it is to go out for; None: there is none."""
        today = datetime.fromtimestamp(now, self.zone).date()
        times = [
            at for day in (today - timedelta(days=1), today) for at in self._times(day) if now - LATE_S < at <= now
        ]
        return max(times, default=None)

    def _times(self, day: date) -> list[float]:
        if day.weekday() not in self.days:
            return []
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return [midnight.replace(hour=m // 60, minute=m % 60).timestamp() for m in self.minutes]

    def words(self, language: str, at: float, queue: int, host: str) -> str:
        """The SMS."""
        then = datetime.fromtimestamp(at, self.zone)
        pattern = self.text or TEXTS.get(language, TEXTS["en"])
        return pattern.format(time=then.strftime("%H:%M"), date=then.strftime("%Y-%m-%d"), queue=queue, host=host)


@dataclass(frozen=True, slots=True)
class Fate:
    """What has become of one job of a heartbeat."""

    state: State
    provider: str
    why: str


def result(fates: Sequence[Fate], reports: Callable[[str], bool], *, is_late: bool) -> tuple[bool, str] | None:
    """Whether it has arrived, and why not; None: not yet known. ``reports(provider)``: it says what became of an SMS;
    from any other all that can be had is that it takes it."""
    for fate in fates:
        if fate.state in FINAL - {State.DELIVERED}:
            return False, f"{fate.state.value} {fate.why}".strip()
    if fates and all(
        fate.state is State.DELIVERED or (fate.state is State.SUBMITTED and not reports(fate.provider))
        for fate in fates
    ):
        return True, ""
    if not is_late:
        return None
    if not fates:
        return False, "no SMS was made of it"
    worst = next(fate for fate in fates if fate.state is not State.DELIVERED)
    return False, f"no receipt in time: still {worst.state.value} {worst.why}".strip()
