"""Jobs go out: claim, call, settle, for one provider account. The relay says when."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import structlog

from gateway import tracing
from gateway.lifecycle import State
from gateway.model import Attempt, Deferred, Outcome, Rejected, Scope, Submitted, Uncertain
from gateway.policy.circuit import THRESHOLD, Circuit
from gateway.policy.retry import RetryPolicy
from gateway.providers import Upstream
from gateway.providers.storable import storable
from gateway.service.counts import Counted
from gateway.service.settlement import Reporting, Terms, settlement
from gateway.sms.numbers import mask
from gateway.spool import claims, pace, recovery
from gateway.spool.claims import Claimant, ProviderTerms
from gateway.spool.engine import cause, is_away, is_full
from gateway.spool.settle import Settlement
from gateway.spool.store import Store

log = structlog.get_logger()

AFTER_FAULT_S = 1.0


class Dispatch:
    """One provider account: its queue, its rate, its calls."""

    def __init__(
        self,
        terms: ProviderTerms,
        upstream: Upstream,
        store: Store,
        retry: RetryPolicy,
        who: Callable[[], Claimant],
        *,
        sending: Callable[[], None] = lambda: None,
        reporting: Reporting,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``terms`` get what the upstream is like. ``sending`` is called whenever jobs go out."""
        traits = upstream.traits
        self.name = terms.name
        self._terms = replace(
            terms,
            duplicate_window_s=traits.duplicate_window_s,
            resolve_within_s=traits.repeat_within_s,
            keyed=traits.keyed,
        )
        self._upstream = upstream
        self._store = store
        self._retry = retry
        self._who = who
        self._sending = sending
        self._reporting = reporting
        self.counted = Counted(terms.name)
        self._clock = clock
        self._in_flight: set[str] = set()
        self._claim_unknown = False
        self._circuit = Circuit()

    async def claim(self, slots: int) -> list[list[Attempt]]:
        """Due jobs, committed as ``submitting``, in groups that share a request."""
        if self._claim_unknown:
            await self._hand_back()
        if self._circuit.is_open(time.monotonic()):
            await self._reroute()
        self._claim_unknown = True
        who, slots = self._who(), self._circuit.slots(slots)
        attempts = await self._store.write(
            lambda c: claims.claim(c, self._terms, slots, self._clock(), who), brief=True
        )
        self._claim_unknown = False
        if attempts:
            self._sending()
        self._in_flight |= {attempt.job.id for attempt in attempts}
        return list(_groups(attempts, self._upstream.traits.group))

    async def _hand_back(self) -> None:
        """The store went away during a claim, which it may have committed all the same."""
        owner, in_flight = self._who().owner, frozenset(self._in_flight)
        for job_id in await self._store.write(
            lambda c: recovery.hand_back(c, self.name, owner, in_flight, self._clock())
        ):
            log.warning("sms.handed_back", job=job_id, provider=self.name)

    async def _reroute(self) -> None:
        for job_id in await self._store.write(lambda c: recovery.reroute(c, self.name, self._clock())):
            log.info("sms.rerouted", job=job_id, provider=self.name)

    async def next_due(self) -> float | None:
        """Seconds from now until there is work; None when the queue is empty. Never negative."""
        due_at = await self._store.read(lambda c: claims.next_due(c, self.name), brief=True)
        return None if due_at is None else max(0.0, due_at - self._clock())

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Call the provider once and record what became of it."""
        with tracing.all_of(_span("submit", attempt) for attempt in attempts) as spans:
            outcomes = await self._call(attempts)
            for span, outcome in zip(spans, outcomes, strict=False):
                span.note(outcome=type(outcome).__name__.lower())
        await self._settle(attempts, outcomes)
        # Not when that failed: a call that was made and could not be recorded must never be handed back as not made.
        self._in_flight -= {attempt.job.id for attempt in attempts}

    async def _call(self, attempts: Sequence[Attempt]) -> Sequence[Outcome]:
        if self._who().seconds >= min(attempt.send_before for attempt in attempts):
            if attempts[0].repeats:
                return [Uncertain("it is too late to ask the provider again")]
            return [Deferred(Scope.JOB, "the gateway was stopped for too long before the call")] * len(attempts)
        began = time.monotonic()
        outcomes: Sequence[Outcome]
        try:
            outcomes = [storable(outcome) for outcome in await self._upstream.submit(attempts)]
        except Exception:
            log.exception("relay.fault", provider=self.name, jobs=[a.job.id for a in attempts], alert=True)
            outcomes = [Uncertain("a fault of the gateway during the call")] * len(attempts)
        self.counted.submitted(outcomes, time.monotonic() - began)
        return outcomes

    async def _settle(self, attempts: Sequence[Attempt], outcomes: Sequence[Outcome]) -> None:
        terms = Terms(
            retry=self._retry,
            # One of a group can be asked about only where it has a key of its own.
            resolve_within_s=self._terms.resolve_within_s if len(attempts) == 1 or self._terms.keyed else 0.0,
            window_s=self._terms.duplicate_window_s,
            reporting=self._reporting,
            now=self._clock(),
            boot_seconds=self._who().seconds,
            chance=random.random(),  # noqa: S311
        )
        if len(attempts) == 1:
            await self._settle_one(attempts[0], outcomes[0], terms)
        else:
            await asyncio.gather(*(self._settle_one(*each, terms) for each in zip(attempts, outcomes, strict=True)))
        for outcome in outcomes:
            if isinstance(outcome, Deferred) and outcome.scope is Scope.PROVIDER:
                await self.pause(outcome.why, self._retry.pause_s)
                return
        await self._watch(outcomes[0])

    async def _settle_one(self, attempt: Attempt, outcome: Outcome, terms: Terms) -> None:
        item = settlement(attempt, outcome, terms)
        state = item.state.value
        with _span("settle", attempt) as span:
            won = await self._record(item)
            span.note(state=state)
        _log(attempt, outcome, state, won)
        if won:
            self.counted.settled(attempt, outcome, item)

    async def _watch(self, outcome: Outcome) -> None:
        """A provider that fails again and again is left alone; lost answers are still asked for."""
        out_of_reach = isinstance(outcome, Deferred) and outcome.scope is Scope.ROUTE
        failed = out_of_reach or isinstance(outcome, Uncertain)
        if pause_s := self._circuit.record(failed, time.monotonic()):
            assert isinstance(outcome, Deferred | Uncertain)
            await self.pause(f"{THRESHOLD} calls in a row failed: {outcome.why}", pause_s)
        if out_of_reach and self._circuit.is_open(time.monotonic()):
            await self._reroute()  # nothing else may be due here, and no claim comes to do it

    async def _record(self, item: Settlement) -> bool:
        """Until the store has it: what the provider said must not be forgotten because a disk is full. When an
        unseen try did succeed, the next one changes nothing."""
        while True:
            try:
                return await self._store.settle(item)
            except Exception as error:
                if not is_away(error):
                    raise
                if is_full(error):
                    self._store.database.spend_reserve()
                values = {"provider": self.name, "job": item.attempt.job.id, "why": cause(error)}
                log.error("relay.unrecorded", alert=True, **values)  # noqa: TRY400 (its text holds the SMS)
                await asyncio.sleep(AFTER_FAULT_S)

    async def pause(self, why: str, pause_s: float) -> None:
        """Keep its messages, ask again later, and say so."""
        until = self._clock() + pause_s
        await self._store.write(lambda connection: pace.pause(connection, self.name, until, why))
        log.error("provider.paused", provider=self.name, why=why, seconds=pause_s, alert=True)

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


def _span(name: str, attempt: Attempt) -> AbstractContextManager[tracing.Seen]:
    job = attempt.job
    return tracing.later(name, job.mail_id, job=job.id, provider=attempt.provider, attempt=attempt.number)


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
    if state == State.EXPIRED:
        log.warning("sms.expired", **values)
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
