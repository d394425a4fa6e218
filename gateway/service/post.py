"""Reply mails leave: render once, send until the smarthost takes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from gateway.model import Notice, Reply
from gateway.replies.dsn import heard, wants_refusal
from gateway.replies.render import render
from gateway.replies.send import Postponed, Smarthost, Undeliverable
from gateway.service import counts
from gateway.settings.schema import RepliesSettings
from gateway.spool import outbox
from gateway.spool.engine import is_away
from gateway.spool.outbox import Outgoing
from gateway.spool.store import Store

log = structlog.get_logger()

BATCH = 5
"""Replies on their way at one time."""
FAULTS = 3
FIRST_RETRY_S = 60.0
MAX_RETRY_S = 3600.0


class Post:
    """The outbox's way to the smarthost."""

    def __init__(
        self,
        settings: RepliesSettings,
        smarthost: Smarthost,
        store: Store,
        hostname: str,
        owner: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._smarthost = smarthost
        self._store = store
        self._hostname = hostname
        self._owner = owner
        self._clock = clock

    async def send_due(self) -> float | None:
        """Send what is due. Seconds until there is more; None when nothing waits."""
        due_s = await self._due()
        if due_s == 0.0:
            by_address: dict[str, list[Outgoing]] = {}
            for item in await self._store.write(lambda c: outbox.take(c, self._clock(), BATCH, self._owner)):
                by_address.setdefault(item.notice.to, []).append(item)
            await asyncio.gather(*map(self._send_all, by_address.values()))
            due_s = await self._due()
        return due_s

    async def _due(self) -> float | None:
        due_at = await self._store.read(outbox.next_due)
        return None if due_at is None else max(0.0, due_at - self._clock())

    async def _send_all(self, items: Sequence[Outgoing]) -> None:
        """To one address, one after the other: each counts for the next."""
        for item in items:
            await self._send_safely(item)

    async def _send_safely(self, item: Outgoing) -> None:
        """A reply that cannot be made must not keep the others waiting."""
        try:
            await self._send(item)
        except Exception as error:
            if is_away(error):
                raise
            log.exception("reply.fault", queue_id=item.notice.mail_id, alert=True)
            if item.tries + 1 >= FAULTS:
                return await self._finish(item, "dropped", "a fault of the gateway")
            at = self._clock() + FIRST_RETRY_S
            await self._store.write(lambda c: outbox.postpone(c, item.id, at, "a fault of the gateway"))

    async def _send(self, item: Outgoing) -> None:
        now = self._clock()
        if item.message is None and not _has_news(item.notice):
            return await self._finish(item, "suppressed", "nothing left to tell")
        if await self._are_too_many(item, now):
            return await self._finish(item, "suppressed", "too many replies to this address")
        try:
            message = item.message or await self._render(item)
            await self._smarthost.send(Reply(item.notice.to, message))
        except Undeliverable as error:
            return await self._finish(item, "dropped", str(error))
        except Postponed as error:
            wait_s = min(MAX_RETRY_S, FIRST_RETRY_S * 2.0 ** min(item.tries, 10))
            if now + wait_s > item.expires_at:
                return await self._finish(item, "dropped", str(error))
            why = str(error)
            log.warning("reply.postponed", queue_id=item.notice.mail_id, why=why, seconds=wait_s)
            return await self._store.write(lambda c: outbox.postpone(c, item.id, now + wait_s, why))
        return await self._finish(item, "sent", "")

    async def _are_too_many(self, item: Outgoing, now: float) -> bool:
        """What somebody has asked for is never too much."""
        if item.kind != "report" or (item.message is None and not item.notice.is_failure):
            return False
        sent = await self._store.read(lambda c: outbox.sent_since(c, item.notice.to, now - 3600))
        return sent >= self._settings.per_hour

    async def _render(self, item: Outgoing) -> bytes:
        reply = render(heard(item.notice), sender=self._settings.sender, hostname=self._hostname, now=self._clock())
        await self._store.write(lambda connection: outbox.rendered(connection, item, reply.message))
        return reply.message

    async def _finish(self, item: Outgoing, state: str, error: str) -> None:
        await self._store.write(lambda connection: outbox.finish(connection, item.id, state, self._clock(), error))
        write = log.info if state == "sent" else log.warning
        counts.reply(item.kind, state, error)
        write(f"reply.{state}", queue_id=item.notice.mail_id, why=error or None)


def _has_news(notice: Notice) -> bool:
    return bool(heard(notice).told) or (notice.refusal is not None and wants_refusal(notice))
