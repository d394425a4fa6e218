"""When a provider fails again and again: leave it alone for a while, then try with a single call."""

from __future__ import annotations

THRESHOLD = 5
FIRST_S = 5.0
MAX_S = 60.0


class Circuit:
    """Of one provider account, as one process sees it. Times are seconds of any steady clock."""

    def __init__(self) -> None:
        self._failures = 0
        self._openings = 0
        self._open_until = float("-inf")

    def is_open(self, now: float) -> bool:
        """Whether calls would be a waste."""
        return now < self._open_until

    def slots(self, wanted: int) -> int:
        """How many calls to make at once: after an opening one, to see."""
        return min(wanted, 1) if self._openings else wanted

    def record(self, failed: bool, now: float) -> float | None:
        """A call has ended. When that opens the circuit: for how many seconds.

        Calls that were in flight when it opened say nothing new.
        """
        if not failed:
            self._failures = self._openings = 0
            return None
        if self.is_open(now):
            return None
        self._failures += 1
        if self._failures < THRESHOLD and not self._openings:
            return None
        pause_s: float = min(MAX_S, FIRST_S * 2.0**self._openings)
        self._openings += 1
        self._open_until = now + pause_s
        return pause_s
