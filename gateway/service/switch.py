"""The kill switch, as processes and operators see it. What goes out is stopped in the store (``spool/pace.py``), in the
transaction that would hand it out; here is only told what is in force, and new mail put off where that is wished."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Connection

from gateway.model import Accepted
from gateway.service.audit import entry
from gateway.spool import audit, holds
from gateway.spool.audit import Look
from gateway.spool.holds import Hold, Scope
from gateway.spool.store import Store

__all__ = ["Hold", "Scope", "Switch"]

log = structlog.get_logger()


class Switch:
    """``look`` is to be called once a second."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[Scope, str], Hold] = {}

    async def look(self) -> None:
        """See what is in force, and say what has changed; at the start all of it."""
        found = {(hold.scope, hold.name): hold for hold in await self.holds()}
        for key, hold in found.items():
            if self._known.get(key) != hold:
                log.error("hold.in_force", of=str(hold), why=hold.why, refuses=hold.refuses or None, alert=True)
        for key in self._known.keys() - found.keys():
            log.warning("hold.ended", of=str(self._known[key]))
        self._known = found

    def refuses(self, accepted: Accepted) -> bool:
        """Whether this mail is to be put off until the hold is over. As of the last look."""
        if not self._known:
            return False
        refusing = {key for key, hold in self._known.items() if hold.refuses}
        if (Scope.ALL, "") in refusing or (Scope.ACCOUNT, accepted.account) in refusing:
            return True
        return any(all((Scope.PROVIDER, name) in refusing for name in job.route) for job in accepted.jobs)

    async def holds(self) -> list[Hold]:
        """All that are in force, the oldest first."""
        return await self._store.read(holds.listed)

    async def hold(self, scope: Scope, name: str = "", why: str = "", *, refuse: bool = False, who: str = "") -> Hold:
        """Stop it: no call begins after the commit. ``who`` does so, for the audit."""
        hold = Hold(scope, name, self._clock(), why, refuse)
        look = _look(hold.since, who, "hold", scope, name)

        def begun(connection: Connection) -> None:
            holds.begin(connection, hold)
            if look is not None:
                audit.note(connection, look)

        await self._store.write(begun)
        log.warning("hold.began", of=str(hold), why=why)
        return hold

    async def resume(
        self, scope: Scope, name: str, providers: Sequence[str], *, every: bool = False, who: str = ""
    ) -> tuple[bool, int]:
        """Whether it was on hold; how many jobs were released: of an account, those that were held for it, or
        ``every`` held one."""
        look = _look(self._clock(), who, "resume", scope, name)

        def ended(connection: Connection) -> bool:
            if look is not None:
                audit.note(connection, look)
            return holds.end(connection, scope, name, providers)

        found = await self._store.write(ended)
        released = 0
        if scope is Scope.ACCOUNT:
            while count := await self._store.write(
                lambda connection: holds.release(connection, name, self._clock(), every=every)
            ):
                released += count
        return found, released


def _look(at: float, who: str, what: str, scope: Scope, name: str) -> Look | None:
    return entry(at, who, what, f"{scope.value} {name}".strip()) if who else None
