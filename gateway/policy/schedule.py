"""When an SMS is to go out."""

from __future__ import annotations

from gateway.model import After, At, Between, When
from gateway.verdicts import SCHEDULE_TOO_FAR, Refused

HOUR_S = 3600
DAY_S = 24 * HOUR_S


def resolve(when: When | None, now: float, ahead_s: float) -> float | None:
    """Seconds since the epoch; None: at once. ``now`` is when the mail came. Raises ``Refused`` (LIMIT) for more than
    ``ahead_s`` from now. A time that is over means at once."""
    match when:
        case None:
            return None
        case At(time=at):
            pass
        case After(seconds=seconds):
            at = now + seconds
        case Between():
            at = _within(when, now)
    if at - now > ahead_s:
        raise Refused(SCHEDULE_TOO_FAR, days=int(ahead_s // DAY_S))
    return at if at > now else None


def _within(hours: Between, now: float) -> float:
    """The first moment from now on between the hours of the day; they may go over midnight."""
    since_midnight = (now + hours.utc_offset_s) % DAY_S
    first, last = hours.first_hour * HOUR_S, hours.last_hour * HOUR_S
    inside = first <= since_midnight < last if first < last else since_midnight >= first or since_midnight < last
    return now if inside else now + (first - since_midnight) % DAY_S
