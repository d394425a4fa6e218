"""What happens by itself, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()

LOOK_AGAIN_S = 1.0
AFTER_FAULT_S = 5.0


async def work_off(what: str, step: Callable[[], Awaitable[float | None]]) -> None:
    """Until cancelled: do what is due, and again when ``step`` says that there is more, or a moment later."""
    while True:
        try:
            due_s = await step()
        except Exception:
            log.exception("relay.fault", what=what)
            due_s = AFTER_FAULT_S
        await asyncio.sleep(LOOK_AGAIN_S if due_s is None else min(LOOK_AGAIN_S, due_s))


async def every(seconds: float, what: str, step: Callable[[], Awaitable[None]], *, first_after_s: float = 0.0) -> None:
    """Until cancelled. What fails once is tried again the next time."""
    await asyncio.sleep(first_after_s)
    while True:
        try:
            await step()
        except Exception:
            log.exception("relay.fault", what=what)
        await asyncio.sleep(seconds)
