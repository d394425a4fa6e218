"""How many clients at a time, and how long each may take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

ABORT_AFTER_S = 5.0
"""A client that has been told goodbye and does not read it is cut off after this long."""
UNKNOWN = "unknown"
"""Instead of an address, where a proxy names none: verified by nothing."""
DATA_GRACE_S = 60.0
MIN_DATA_RATE = 500
"""Bytes a second (Postfix' ``smtpd_min_data_rate``), once the grace is over: slower clients only hold connections."""


def data_deadline(began: float, size: int, timeout_s: float) -> float:
    """Until when more must have come of a mail of which there are so many bytes."""
    return began + min(timeout_s, DATA_GRACE_S + size / MIN_DATA_RATE)


class Budget:
    """Bytes of mails that are being received or judged at one time, all sessions of the process together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], bool]]:
        """One mail's part, given back at the end. The function says whether the mail may be so large now."""
        held = 0

        def fits(size: int) -> bool:
            nonlocal held
            if size > held and self._held + size - held > self._limit:
                return False
            self._held += size - held
            held = size
            return True

        try:
            yield fits
        finally:
            fits(0)


class Timed(Protocol):
    """A session as the sweep sees it."""

    deadline: float

    def overdue(self, now: float) -> None:
        """The deadline has passed."""
        ...


class Connections:
    """The open sessions of one listener. One sweep over them costs less than a timer for each command."""

    def __init__(self, limit: int, limit_per_client: int) -> None:
        self._limit = limit
        self._limit_per_client = limit_per_client
        self._by_client: Counter[str] = Counter()
        self.sessions: set[Timed] = set()
        self.closed = False
        """The listener stops; a client that has just been accepted comes too late."""

    def admit(self, session: Timed, client: str) -> str:
        """Count the session in, or say why not. Unix sockets have no client address."""
        if self.closed:
            return "421 4.3.2 the gateway is stopping"
        if len(self.sessions) >= self._limit or (client and self._by_client[client] >= self._limit_per_client):
            return "421 4.7.0 too many connections"
        self.sessions.add(session)
        self._by_client[client] += 1
        return ""

    def leave(self, session: Timed, client: str) -> bool:
        """Count it out. False and harmless for one that is not in."""
        if session not in self.sessions:
            return False
        self.sessions.discard(session)
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]
        return True

    def sweep(self, now: float) -> None:
        """Tell the overdue ones."""
        for session in [session for session in self.sessions if session.deadline <= now]:
            session.overdue(now)
