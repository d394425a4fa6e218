"""Whether this process may be given mail. A provider that is down is no reason: mail waits in the store for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.service.gauges import StoreGauges
from gateway.service.presence import Presence
from gateway.settings.load import Configuration
from gateway.spool.engine import cause, is_away
from gateway.spool.holds import Scope
from gateway.spool.store import Store

__all__ = ["Check", "Health", "ProviderState", "Readiness", "cause", "is_away"]

SILENT_S = 15.0
"""Five beats that could not be written."""
ANSWER_S = 3.0
REST_S = 1.0
"""A store is tried once in this time, whoever asks how often."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so."""

    name: str
    ok: bool
    what: str
    """In words, for who must mend it."""


@dataclass(frozen=True, slots=True)
class ProviderState:
    """For people; says nothing of readiness."""

    name: str
    state: str
    """``ok``, ``paused`` or ``on hold``; ``unknown``: the store does not answer."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """All checks at one moment."""

    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether mail may come."""
        return all(check.ok for check in self.checks)

    @property
    def line(self) -> str:
        """``ok``, or what is wrong."""
        return "; ".join(f"{check.name}: {check.what}" for check in self.checks if not check.ok) or "ok"


class Health:
    """Of one process. ``doors`` says for each listener whether it takes clients."""

    def __init__(
        self,
        store: Store,
        presence: Presence,
        gauges: StoreGauges,
        configuration: Callable[[], Configuration],
        doors: Callable[[], dict[str, bool]],
        draining: Callable[[], bool],
    ) -> None:
        self._store = store
        self._presence = presence
        self._gauges = gauges
        self._configuration = configuration
        self._doors = doors
        self._draining = draining
        self._trial: asyncio.Task[str] | None = None
        self._tried_at = float("-inf")
        self._fault = ""

    async def ready(self) -> Readiness:
        """Look."""
        closed = [name for name, is_open in self._doors().items() if not is_open]
        fault, has_room = await self._store_fault(), self._store.database.has_room(0)
        return Readiness(
            (
                Check("listeners", not closed, f"closed: {', '.join(closed)}" if closed else "open"),
                Check("store", not fault, fault or "writable"),
                Check("disk", has_room, "free above store.min_free" if has_room else "less than store.min_free free"),
                Check("process", not self._draining(), "stopping" if self._draining() else "running"),
            )
        )

    async def providers(self) -> Sequence[ProviderState]:
        """Who is left alone, and why."""
        names, gauges = list(self._configuration().settings.providers), await self._gauges.look()
        if gauges is None:
            return [ProviderState(name, "unknown") for name in names]
        held = {hold.name: hold.why for hold in gauges.holds if hold.scope is Scope.PROVIDER}
        everything = [hold for hold in gauges.holds if hold.scope is Scope.ALL]
        held |= {name: everything[0].why for name in names if everything}
        found = []
        for name in names:
            if name in held:
                found.append(ProviderState(name, "on hold", held[name]))
            elif name in gauges.paused:
                found.append(ProviderState(name, "paused", gauges.paused[name]))
            else:
                found.append(ProviderState(name, "ok"))
        return found

    async def _store_fault(self) -> str:
        """Whether a transaction can be begun now, and whether the last beats were written."""
        if self._presence.silent_s > SILENT_S:
            return f"nothing could be written for {self._presence.silent_s:.0f} seconds"
        if time.monotonic() - self._tried_at < REST_S:
            return self._fault
        if self._trial is None or self._trial.done():  # one that hangs is not joined by others
            self._trial = asyncio.create_task(self._try())
        done, _ = await asyncio.wait([self._trial], timeout=ANSWER_S)
        self._fault = self._trial.result() if done else f"no answer in {ANSWER_S:.0f} seconds"
        self._tried_at = time.monotonic()
        return self._fault

    async def _try(self) -> str:
        try:
            await self._store.write(lambda connection: None)
        except Exception as error:
            return cause(error)
        return ""
