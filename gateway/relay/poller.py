"""Asking one provider what became of SMS, as long as there are any to ask about."""

from __future__ import annotations

import asyncio

import structlog

from gateway.service.receipts import Poll

log = structlog.get_logger()

LOOK_AGAIN_S = 5.0
REST_S = 30.0
"""After a question without an answer: the provider has other worries."""


async def poll(questions: Poll) -> None:
    """Until cancelled."""
    while True:
        try:
            wait_s = await _turn(questions)
        except Exception:
            log.exception("relay.fault", what="receipts", provider=questions.provider)
            wait_s = REST_S
        await asyncio.sleep(wait_s)


async def _turn(questions: Poll) -> float:
    due_s = await questions.next_due()
    if due_s is None or due_s > 0.0:
        return LOOK_AGAIN_S if due_s is None else min(LOOK_AGAIN_S, due_s)
    return 0.0 if await questions.ask() else REST_S
