"""What an operator asks and does. Works on the store beside a running daemon, or without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from gateway.lifecycle import Event, State
from gateway.service.audit import entry
from gateway.sms.numbers import mask
from gateway.spool import audit, desk, person
from gateway.spool.audit import Look, Words
from gateway.spool.desk import COUNTED, JobRow, Story
from gateway.spool.person import Erased
from gateway.spool.store import Store

__all__ = ["COUNTED", "Desk", "Erased", "JobRow", "Look", "Story", "Words"]

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

    async def words(self, mail_id: str, who: str) -> Words:
        """What people wrote in a mail and its SMS, for ``who``: that he has looked is written down first."""
        look = entry(self._clock(), who, "text", mail_id)
        return await self._store.write(lambda connection: audit.words(connection, mail_id, who, look.at, look.via))

    async def export(self, number: str, who: str) -> dict[str, Any]:
        """All about a phone number (E.164 digits), for ``who``: that is written down first."""
        look = entry(self._clock(), who, "export", mask(number))

        def exported(connection: Connection) -> dict[str, Any]:
            audit.note(connection, look)
            return person.export(connection, number)

        return await self._store.write(exported)

    async def erase(self, number: str, who: str) -> Erased:
        """Erase what is done of a phone number, and see to it that the bytes are gone."""
        look = entry(self._clock(), who, "erase", mask(number))

        def erased(connection: Connection) -> Erased:
            audit.note(connection, look)
            return person.erase(connection, number, look.at)

        result = await self._store.write(erased)
        await self._store.database.scrub()
        return result

    async def looks(self, limit: int) -> list[Look]:
        """Who has looked, the newest first."""
        return await self._store.read(lambda connection: audit.looks(connection, limit))

    async def change(self, job_id: str, event: Event, who: str = "") -> State | None:
        """Retry or cancel, by ``who``. None: there is no such job, or it is in no state for that."""
        look = entry(self._clock(), who, event.value, job_id) if who else None

        def changed(connection: Connection) -> State | None:
            state = desk.apply(connection, job_id, event, self._clock(), who)
            if look is not None and state is not None:
                audit.note(connection, look)
            return state

        state = await self._store.write(changed)
        log.info("job.changed", job=job_id, change=event.value, state=state.value if state else None)
        return state

    async def paused_providers(self) -> dict[str, str]:
        """Provider accounts that are stopped, and why."""
        return await self._store.read(lambda connection: desk.paused_providers(connection, self._clock()))
