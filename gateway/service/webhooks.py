"""Programs of accounts' owners are told: signed, again until they have heard it, for a day."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable

import structlog

from gateway.model import Request
from gateway.policy.accounts import Webhook
from gateway.providers import NoAnswer
from gateway.providers.http import HttpClient
from gateway.settings.load import Configuration
from gateway.spool import hooks
from gateway.spool.hooks import Call
from gateway.spool.store import Store

log = structlog.get_logger()

AT_ONCE = 10
TIMEOUT_S = 10.0
FIRST_RETRY_S = 10.0
MAX_RETRY_S = 3600.0
GIVE_UP_S = 86400.0


class Webhooks:
    """``configuration`` is asked for each time: it is replaced as a whole on a reload."""

    def __init__(
        self, configuration: Callable[[], Configuration], store: Store, clock: Callable[[], float] = time.time
    ) -> None:
        self._configuration = configuration
        self._store = store
        self._clock = clock
        self._client = HttpClient(timeout_s=TIMEOUT_S, max_in_flight=AT_ONCE)

    async def call_due(self) -> float | None:
        """Make the calls that are due. Seconds until there are more; None when nothing waits."""
        due_s = await self._due()
        if due_s == 0.0:
            calls = await self._store.write(lambda c: hooks.take(c, self._clock(), AT_ONCE))
            await asyncio.gather(*map(self._call, calls))
            due_s = await self._due()
        return due_s

    async def _due(self) -> float | None:
        due_at = await self._store.read(hooks.next_due)
        return None if due_at is None else max(0.0, due_at - self._clock())

    async def _call(self, call: Call) -> None:
        account = self._configuration().directory.accounts.get(call.account)
        if account is None or account.webhook is None:
            return await self._finish(call, "the account has no webhook any more")
        try:
            response = await self._client.call(request(account.webhook, call, int(self._clock())))
            error = "" if 200 <= response.status < 300 else f"HTTP {response.status}"
        except NoAnswer as lost:
            error = str(lost).replace(" to the provider", "")
        wait_s = min(MAX_RETRY_S, FIRST_RETRY_S * 2.0 ** min(call.tries, 20))
        if not error or self._clock() + wait_s - call.created_at > GIVE_UP_S:
            return await self._finish(call, error)
        log.warning("webhook.postponed", account=call.account, why=error, seconds=wait_s)
        at = self._clock() + wait_s
        return await self._store.write(lambda c: hooks.postpone(c, call.id, at, error))

    async def _finish(self, call: Call, error: str) -> None:
        await self._store.write(lambda connection: hooks.finish(connection, call.id, error))
        if error:
            log.error("webhook.given_up", account=call.account, why=error, alert=True)
        else:
            log.info("webhook.told", account=call.account, job=call.event.get("job"))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def request(webhook: Webhook, call: Call, now: int) -> Request:
    """The call, signed: ``sha256=`` and the hexadecimal HMAC-SHA256 of the time, a dot and the body. The id is the
    same for each try, so that a program can tell a repetition."""
    body = json.dumps({"id": call.id, **call.event}, ensure_ascii=False).encode()
    signature = hmac.new(webhook.secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-Email2sms-Id": str(call.id),
        "X-Email2sms-Timestamp": str(now),
        "X-Email2sms-Signature": f"sha256={signature}",
    }
    return Request("POST", webhook.url, headers, body, secrets=(webhook.secret,))
