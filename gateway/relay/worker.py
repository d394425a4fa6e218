"""One provider's loop: keep its calls in flight as long as there is work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from gateway.model import Attempt
from gateway.service.dispatch import Dispatch

log = structlog.get_logger()

LOOK_AGAIN_S = 1.0
"""Other processes (the command line) queue jobs too, and tell nobody."""
GATHER_S = 0.005
"""Under load, slots and jobs gather for so long, so that one transaction claims several."""
AFTER_FAULT_S = 2.0


class Worker:
    """Claims no more than can be called at once: what waits, waits in the store."""

    def __init__(self, dispatch: Dispatch, max_in_flight: int) -> None:
        self._dispatch = dispatch
        self._slots = max_in_flight
        self._wake = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        self._has_more = False
        """Something is due, most likely: nobody need look."""
        self._stopping = False

    def wake(self) -> None:
        """There is new work."""
        self._has_more = True
        self._wake.set()

    async def run(self) -> None:
        """Until ``stop``. A store that is away pauses the relay; it goes on by itself."""
        while not self._stopping:
            try:
                await self._turn()
            except Exception:
                log.exception("relay.fault", provider=self._dispatch.name)
                await asyncio.sleep(AFTER_FAULT_S)

    async def _turn(self) -> None:
        if self._calls:
            await asyncio.sleep(GATHER_S)
        self._wake.clear()
        free = self._slots - len(self._calls)
        due_s = None
        if free:
            due_s = 0.0 if self._has_more else await self._dispatch.next_due()
        if due_s == 0.0:
            self._has_more = False
            groups = await self._dispatch.claim(free)
            for group in groups:
                self._start(group)
            self._has_more = self._has_more or sum(map(len, groups)) == free
            if groups:
                return
            due_s = None
        await self._wait(LOOK_AGAIN_S if due_s is None else min(due_s, LOOK_AGAIN_S))

    def _start(self, group: Sequence[Attempt]) -> None:
        task = asyncio.create_task(self._dispatch.submit(group))
        self._calls.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            # The call may have been made and is not recorded: the job stays ``submitting`` until the next
            # start, which takes it for uncertain.
            log.error("relay.unrecorded", provider=self._dispatch.name, exc_info=error, alert=True)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return

    def stop(self) -> None:
        """No more claims. Never by cancelling: what is claimed and not called would be taken for uncertain."""
        self._stopping = True
        self._wake.set()

    async def drain(self, grace_s: float) -> None:
        """After ``run`` has ended: let the calls in flight end and be recorded."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace_s)
        await self._dispatch.close()
