"""What the store needs at every start and now and then."""

from __future__ import annotations

import structlog

from gateway.spool import claims
from gateway.spool.store import Store
from gateway.verdicts import VALIDITY_PASSED, Refusal

log = structlog.get_logger()


async def recover(store: Store, now: float) -> None:
    """At start: calls that a dead process had in flight are uncertain, and resolved like any lost answer."""
    for job in await store.write(lambda connection: claims.recover(connection, now)):
        log.warning("sms.uncertain", job=job.id, why="the gateway stopped during the call")


async def expire(store: Store, now: float) -> None:
    """Jobs past their validity are EXPIRED, and their senders are told."""
    for job in await store.write(lambda connection: claims.expire(connection, now, Refusal(VALIDITY_PASSED))):
        log.warning("sms.expired", job=job.id)
