"""When an SMS is to go out."""

from __future__ import annotations

from gateway.model import After, At, When
from gateway.verdicts import SCHEDULE_NOT_SUPPORTED, Refused


def resolve(when: When | None, now: float) -> float | None:
    """Seconds since the epoch; None: at once. ``now`` is when the mail came. Raises ``Refused``."""
    match when:
        case None:
            return None
        case At(time=at):
            return at if at > now else None
        case After(seconds=seconds):
            return now + seconds
        case _:
            raise Refused(SCHEDULE_NOT_SUPPORTED)
