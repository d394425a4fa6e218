"""What happens by itself: replies leave, jobs grow old."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from gateway.service import upkeep
from gateway.service.memory import Memory
from gateway.service.post import Post
from gateway.service.presence import Presence

if TYPE_CHECKING:
    from gateway.spool.store import Store

log = structlog.get_logger()

LOOK_AGAIN_S = 1.0
BEAT_EVERY_S = 3.0
REMEMBER_EVERY_S = 2.0
PRUNE_EVERY_S = 60.0
EXPIRE_EVERY_S = 5.0
AFTER_FAULT_S = 5.0


async def send_replies(post: Post) -> None:
    """Until cancelled."""
    while True:
        try:
            due_s = await post.send_due()
        except Exception:
            log.exception("relay.fault", what="replies")
            due_s = AFTER_FAULT_S
        await asyncio.sleep(LOOK_AGAIN_S if due_s is None else min(LOOK_AGAIN_S, due_s))


async def beat(presence: Presence) -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(BEAT_EVERY_S)
        try:
            await presence.beat()
        except Exception:
            log.exception("relay.fault", what="beat")


async def remember(memory: Memory) -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(REMEMBER_EVERY_S)
        try:
            await memory.advance()
        except Exception:
            log.exception("relay.fault", what="epoch")


async def prune(store: Store, texts_s: float, records_s: float) -> None:
    """Until cancelled."""
    while True:
        try:
            await upkeep.prune(store, time.time(), texts_s, records_s)
        except Exception:
            log.exception("relay.fault", what="retention")
        await asyncio.sleep(PRUNE_EVERY_S)


async def expire(store: Store) -> None:
    """Until cancelled."""
    while True:
        try:
            await upkeep.expire(store, time.time())
            store.database.keep_reserve()
        except Exception:
            log.exception("relay.fault", what="expiry")
        await asyncio.sleep(EXPIRE_EVERY_S)
