"""What the tests of the SMPP driver share: an account, an SMS on its way, and where its reports are written down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from gateway.model import Attempt, Incoming, Job, Outcome, Pushed, Receipt
from gateway.providers.smpp.settings import SmppSettings
from gateway.providers.smpp.upstream import SmppUpstream

PASSWORD = "s3cret!"


def settings(port: int = 2775, **changes: Any) -> SmppSettings:
    given = {"driver": "smpp", "host": "localhost", "port": port, "system_id": "corp", "password": PASSWORD}
    return SmppSettings.model_validate({"timeout": 5, **given, **changes})


def attempt(text: str = "text", number: str = "79101234567", **changes: Any) -> Attempt:
    job = Job("J-1", "J", "user", "My Bank", number, text, 1, ("main",), 0.0, time.time() + 3600)
    return Attempt(replace(job, **changes), "main", 1, 1)


class Desk:
    """Where what the provider pushes is written down."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.incoming: list[Incoming] = []
        self.is_closed = False
        """The disk is full."""
        self._changed = asyncio.Condition()

    async def take(self, provider: str, pushed: Pushed) -> None:
        assert provider == "main"
        if self.is_closed:
            raise OSError("no space left on device")
        self.receipts += pushed.receipts
        self.incoming += pushed.incoming
        async with self._changed:
            self._changed.notify_all()

    async def has(self, ready: Callable[[Desk], object]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: ready(self))


@asynccontextmanager
async def account(port: int, desk: Desk | None = None, **changes: Any) -> AsyncIterator[SmppUpstream]:
    """Started, and closed at the end. ``enquire_link`` may be shorter here than a setting may."""
    enquire_s = changes.pop("enquire_s", 30.0)
    made = settings(port, **changes).model_copy(update={"enquire_link": enquire_s})
    upstream = SmppUpstream(made, "main")
    await upstream.start((desk or Desk()).take)
    try:
        yield upstream
    finally:
        await upstream.close()


async def send(upstream: SmppUpstream, text: str = "text", **changes: Any) -> Outcome:
    (outcome,) = await upstream.submit([attempt(text, **changes)])
    return outcome
