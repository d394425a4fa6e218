"""What the store needs now and then."""

from __future__ import annotations

import structlog

from gateway.spool import recovery
from gateway.spool.store import Store
from gateway.verdicts import VALIDITY_PASSED, Refusal

log = structlog.get_logger()


async def expire(store: Store, now: float) -> None:
    """Jobs past their validity are EXPIRED, and their senders are told."""
    for job in await store.write(lambda connection: recovery.expire(connection, now, Refusal(VALIDITY_PASSED))):
        log.warning("sms.expired", job=job.id)
