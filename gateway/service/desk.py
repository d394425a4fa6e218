"""What an operator asks and does. Works on the store beside a running daemon, or without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from gateway.lifecycle import Event, State
from gateway.spool import desk
from gateway.spool.desk import JobRow, Story
from gateway.spool.store import Store

__all__ = ["Desk", "JobRow", "Story"]

log = structlog.get_logger()


class Desk:
    """One operator's view of the store."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def jobs(self, states: Sequence[State], limit: int) -> list[JobRow]:
        """The newest jobs."""
        return await self._store.read(lambda connection: desk.listed(connection, states, limit))

    async def counts(self) -> dict[str, int]:
        """Jobs in each state."""
        return await self._store.read(desk.counts)

    async def story(self, wanted: str) -> Story | None:
        """All about a mail, by its queue id, a job's id or a provider's id."""
        return await self._store.read(lambda connection: desk.story(connection, wanted))

    async def change(self, job_id: str, event: Event) -> State | None:
        """Retry or cancel. None: there is no such job, or it is in no state for that."""
        state = await self._store.write(lambda connection: desk.apply(connection, job_id, event, self._clock()))
        log.info("job.changed", job=job_id, change=event.value, state=state.value if state else None)
        return state

    async def paused_providers(self) -> dict[str, str]:
        """Provider accounts that are stopped, and why."""
        return await self._store.read(lambda connection: desk.paused_providers(connection, self._clock()))
