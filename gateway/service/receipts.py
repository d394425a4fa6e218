"""What providers say by themselves, or when asked, is written down: receipts and incoming SMS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from gateway import tracing
from gateway.model import Pushed, Receipt
from gateway.providers import NoAnswer, Unsupported, Upstream
from gateway.providers.storable import storable
from gateway.service import counts
from gateway.service.mailroom import Mailroom
from gateway.service.settlement import Reporting
from gateway.spool import receipts
from gateway.spool.receipts import Applied, Question, Received
from gateway.spool.store import Store
from gateway.verdicts import Refused

log = structlog.get_logger()

FIRST_POLL_S = 10.0
POLL_BESIDE_PUSH_S = 900.0
"""A provider that reports by itself is asked when it has not."""
AT_ONCE = 10
"""Questions to one provider at one time."""


def reporting(upstream: Upstream) -> Reporting:
    """How this provider says what became of an SMS."""
    first_s = POLL_BESIDE_PUSH_S if upstream.pushes else FIRST_POLL_S
    return Reporting(first_s if upstream.can_ask else None, upstream.pushes)


class Receipts:
    """Where everything that providers say later goes."""

    def __init__(self, store: Store, mailroom: Mailroom | None = None, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._mailroom = mailroom
        self._clock = clock

    async def take(self, provider: str, pushed: Pushed) -> None:
        """Write it down. Returns after the commit; raises what the store raises."""
        pushed = storable(pushed)
        await asyncio.gather(*(self._record(provider, receipt) for receipt in pushed.receipts))
        for sms in pushed.incoming:
            assert self._mailroom is not None
            await self._mailroom.keep(provider, sms)

    async def _record(self, provider: str, receipt: Receipt) -> None:
        applied = await self._store.record(Received(provider, receipt, self._clock()))
        _log(provider, receipt, applied)
        counts.receipt(provider, receipt, applied, self._clock())
        if applied.job_id is not None and applied.state is not None:
            mail_id, _, _ = applied.job_id.rpartition("-")
            with tracing.later("receipt", mail_id, job=applied.job_id, provider=provider, state=applied.state.value):
                pass

    async def questions(self, provider: str, limit: int) -> list[Question]:
        """About which SMS the provider is to be asked now."""
        return await self._store.write(lambda c: receipts.questions(c, provider, self._clock(), limit))

    async def next_question(self, provider: str) -> float | None:
        """Seconds until there is somebody to ask about; None: nobody. Never negative."""
        due_at = await self._store.read(lambda c: receipts.next_question(c, provider))
        return None if due_at is None else max(0.0, due_at - self._clock())


class Poll:
    """One provider is asked what became of its SMS."""

    def __init__(self, provider: str, upstream: Upstream, receipts: Receipts) -> None:
        self.provider = provider
        self._upstream = upstream
        self._receipts = receipts

    async def next_due(self) -> float | None:
        """Seconds until there is somebody to ask about; None: nobody. Never negative."""
        return await self._receipts.next_question(self.provider)

    async def ask(self) -> bool:
        """Ask about the SMS that are due. False: the provider does not answer."""
        due = await self._receipts.questions(self.provider, AT_ONCE)
        return all(await asyncio.gather(*map(self._ask, due)))

    async def _ask(self, question: Question) -> bool:
        for provider_id in question.ids:
            began, outcome = time.monotonic(), "ok"
            try:
                receipt = await self._upstream.status(provider_id, question.destination)
            except (NoAnswer, Unsupported) as error:
                outcome = "unreachable"
                log.warning("receipt.no_answer", provider=self.provider, job=question.job_id, why=str(error))
                return False
            except Refused as refused:
                outcome = "rejected"
                code = refused.refusal.code
                log.info("receipt.refused", provider=self.provider, job=question.job_id, verdict=code)
                continue
            finally:
                counts.asked(self.provider, "status", outcome, time.monotonic() - began)
            await self._receipts.take(self.provider, Pushed((receipt,)))
        return True


def _log(provider: str, receipt: Receipt, applied: Applied) -> None:
    if applied.job_id is None:
        log.info("receipt.early", provider=provider, provider_id=receipt.provider_id, state=receipt.state.value)
    elif applied.state is not None:
        write = log.info if applied.state.value == "delivered" else log.warning
        write("sms.receipt", job=applied.job_id, provider=provider, state=applied.state.value, raw=receipt.raw)
