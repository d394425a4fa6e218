"""What people did, and through which door: written down by whoever does it, or by the door itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from gateway.spool import audit
from gateway.spool.audit import Look, Place, Wanted
from gateway.spool.store import Store

__all__ = ["DOOR", "Audit", "Doorway", "Look", "Place", "Wanted", "entry"]


@dataclass(slots=True)
class Doorway:
    """The one that a request has come through."""

    via: str = "cli"
    noted: bool = False
    """Something has been written down already: the door need not."""


DOOR: ContextVar[Doorway] = ContextVar("door")
"""Of the request in hand; the command line sets none."""


def entry(at: float, who: str, what: str, subject: str, *, beside: bool = False) -> Look:
    """What is about to be written down. ``beside``: not what the request is for; the door still says that."""
    door = DOOR.get(None) or Doorway()
    door.noted = door.noted or not beside
    return Look(at, who, what, subject, door.via)


class Audit:
    """The book of it."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def note(self, who: str, what: str, subject: str = "") -> None:
        """Write it down. ``subject`` holds no number in full."""
        look = entry(self._clock(), who, what, subject)
        await self._store.write(lambda connection: audit.note(connection, look))

    async def search(self, wanted: Wanted, limit: int, after: Place | None = None) -> tuple[list[Look], Place | None]:
        """The newest first, from behind ``after``, and where to go on; None: there are no more."""
        return await self._store.read(lambda connection: audit.search(connection, wanted, limit, after))
