"""What the store needs now and then."""

from __future__ import annotations

import structlog

from gateway.settings.schema import RetentionSettings
from gateway.spool import balances, bans, levels, people, quirks, receipts, recovery, rejections, retention, tallies
from gateway.spool.store import Store
from gateway.verdicts import VALIDITY_PASSED, Refusal

log = structlog.get_logger()


async def prune(store: Store, now: float, keep: RetentionSettings) -> None:
    """Erase what has been kept long enough, in steps that let other writes in between."""
    await store.write(lambda connection: bans.forget_old(connection, now))
    await store.write(lambda connection: people.forget(connection, now))
    for what, transaction in (
        ("texts", lambda connection: retention.erase_texts(connection, now - keep.texts)),
        ("records", lambda connection: retention.delete_records(connection, now - keep.records)),
    ):
        total = 0
        while count := await store.write(transaction):
            total += count
            if count < retention.AT_ONCE:
                break
        if total:
            log.info("store.pruned", what=what, count=total)
    await store.write(lambda connection: quirks.forget(connection, now - keep.records))
    await store.write(lambda connection: rejections.forget(connection, now - keep.rejections))
    while await store.write(lambda connection: rejections.forget_events(connection, now - 86400)) == rejections.AT_ONCE:
        pass
    await store.write(lambda connection: retention.forget_counters(connection, now))
    await store.write(lambda connection: tallies.forget(connection, now, keep.records, keep.figures))
    await store.write(lambda connection: balances.forget(connection, now - keep.figures))
    await store.write(lambda connection: levels.forget(connection, now))


async def expire(store: Store, now: float) -> None:
    """Jobs past their validity are EXPIRED, and their senders are told. Receipts whose SMS
    nobody knows are forgotten. And space is kept for the day when there is none."""
    refusal = Refusal(VALIDITY_PASSED)
    while expired := await store.write(lambda connection: recovery.expire(connection, now, refusal)):
        for job in expired:
            log.warning("sms.expired", job=job.id)
    if unknown := await store.write(lambda connection: receipts.forget_early(connection, now - receipts.WAIT_S)):
        log.warning("receipt.of_nothing", count=unknown)
    store.database.keep_reserve()
