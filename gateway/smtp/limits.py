"""How many clients at a time, and how long each may take."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

ABORT_AFTER_S = 5.0
"""A client that has been told goodbye and does not read it is cut off after this long."""


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

    def admit(self, session: Timed, client: str) -> bool:
        """Count the session in; False when there are too many. Unix sockets have no client address."""
        if len(self.sessions) >= self._limit or (client and self._by_client[client] >= self._limit_per_client):
            return False
        self.sessions.add(session)
        self._by_client[client] += 1
        return True

    def leave(self, session: Timed, client: str) -> None:
        """Count it out. Harmless for one that was not admitted."""
        if session in self.sessions:
            self.sessions.discard(session)
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    def sweep(self, now: float) -> None:
        """Tell the overdue ones."""
        for session in [session for session in self.sessions if session.deadline <= now]:
            session.overdue(now)
