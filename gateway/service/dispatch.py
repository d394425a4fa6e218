"""Jobs go out: claim, call, settle, for one provider account. The relay says when."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from gateway.model import Attempt, Deferred, Outcome, Rejected, Scope, Submitted, Uncertain
from gateway.policy.retry import RetryPolicy
from gateway.providers.http import HttpUpstream
from gateway.service.settlement import RESOLVE_WITHIN_S, Terms, settlement
from gateway.sms.numbers import mask
from gateway.spool import claims
from gateway.spool.claims import BootClock, ProviderTerms
from gateway.spool.store import Store

log = structlog.get_logger()


def boot_clock() -> BootClock:
    """This boot, and its seconds: steps of the wall clock and suspended machines do not touch it."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return BootClock(boot_id, time.clock_gettime(time.CLOCK_BOOTTIME))


class Dispatch:
    """One provider account: its queue, its rate, its calls."""

    def __init__(
        self,
        name: str,
        upstream: HttpUpstream,
        store: Store,
        retry: RetryPolicy,
        *,
        rate: float | None,
        pause_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._upstream = upstream
        self._store = store
        self._retry = retry
        self._pause_s = pause_s
        self._clock = clock
        window_s = upstream.driver.duplicate_window_s
        self._terms = ProviderTerms(name, rate, window_s, RESOLVE_WITHIN_S if window_s else 0.0)
        self._boot_id = boot_clock().boot_id

    async def claim(self, slots: int) -> list[list[Attempt]]:
        """Due jobs, committed as ``submitting``, in groups that share a request."""
        boot = BootClock(self._boot_id, time.clock_gettime(time.CLOCK_BOOTTIME))
        attempts = await self._store.write(lambda c: claims.claim(c, self._terms, slots, self._clock(), boot))
        return list(_groups(attempts, self._upstream.driver.group))

    async def next_due(self) -> float | None:
        """Seconds from now until there is work; None when the queue is empty. Never negative."""
        due_at = await self._store.read(lambda c: claims.next_due(c, self.name))
        return None if due_at is None else max(0.0, due_at - self._clock())

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Call the provider once and record what became of it."""
        if attempts[0].repeats and time.clock_gettime(time.CLOCK_BOOTTIME) >= attempts[0].send_before:
            outcomes: list[Outcome] = [Uncertain("it is too late to ask the provider again")]
        else:
            outcomes = await self._upstream.submit(attempts)
        await self._settle(attempts, outcomes)

    async def _settle(self, attempts: Sequence[Attempt], outcomes: Sequence[Outcome]) -> None:
        terms = Terms(
            retry=self._retry,
            resolvable=self._terms.duplicate_window_s is not None and len(attempts) == 1,
            now=self._clock(),
            boot_seconds=time.clock_gettime(time.CLOCK_BOOTTIME),
            chance=random.random(),  # noqa: S311
        )
        settled = [settlement(attempt, outcome, terms) for attempt, outcome in zip(attempts, outcomes, strict=True)]
        recorded = await asyncio.gather(*map(self._store.settle, settled))
        for attempt, outcome, item, won in zip(attempts, outcomes, settled, recorded, strict=True):
            _log(attempt, outcome, item.state.value, won)
        for outcome in outcomes:
            if isinstance(outcome, Deferred) and outcome.scope is Scope.PROVIDER:
                await self.pause(outcome.why)
                return

    async def pause(self, why: str) -> None:
        """The account is stopped: keep its messages, ask again later, and say so."""
        until = self._clock() + self._pause_s
        await self._store.write(lambda connection: claims.pause(connection, self.name, until, why))
        log.error("provider.paused", provider=self.name, why=why, seconds=self._pause_s, alert=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()


def _groups(attempts: Sequence[Attempt], size: int) -> Iterator[list[Attempt]]:
    """Up to ``size`` jobs of one originator and text. A repeat must equal its first request, so it goes alone."""
    if size == 1:
        yield from ([attempt] for attempt in attempts)
        return
    yield from ([attempt] for attempt in attempts if attempt.repeats)
    fresh = sorted((a for a in attempts if not a.repeats), key=lambda a: (a.job.originator, a.job.text))
    for _, same in itertools.groupby(fresh, key=lambda a: (a.job.originator, a.job.text)):
        members = list(same)
        yield from (members[i : i + size] for i in range(0, len(members), size))


def _log(attempt: Attempt, outcome: Outcome, state: str, recorded: bool) -> None:
    values: dict[str, object] = {
        "job": attempt.job.id,
        "provider": attempt.provider,
        "attempt": attempt.number,
        "to": mask(attempt.job.destination),
        "state": state,
    }
    if not recorded:
        log.warning("sms.late_answer", **values)
        return
    match outcome:
        case Submitted(provider_id=provider_id, remark=remark):
            log.info("sms.submitted", provider_id=provider_id, remark=remark or None, **values)
        case Rejected(refusal=refusal, alert=alert):
            write = log.error if alert else log.warning
            write("sms.rejected", verdict=refusal.code, reason=refusal.reason.key, alert=alert or None, **values)
        case Deferred(scope=scope, why=why):
            log.warning("sms.deferred", scope=scope.value, why=why, **values)
        case Uncertain(why=why):
            log.error("sms.uncertain", why=why, alert=True, **values)
