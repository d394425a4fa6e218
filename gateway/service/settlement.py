"""Outcome of a call → what the store records: the next state, who tries next and when. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.lifecycle import Event, State, after
from gateway.model import Attempt, Deferred, Note, Outcome, Rejected, Scope, Submitted, Tell, Uncertain
from gateway.policy.retry import RetryPolicy, backoff, next_provider
from gateway.spool.settle import Settlement
from gateway.verdicts import ANSWER_LOST, VALIDITY_PASSED, Refusal

FIRST_REPEAT_S = 2.0
"""After a lost answer, the same request goes out again after this long, where it may; then after twice as long."""


@dataclass(frozen=True, slots=True)
class Reporting:
    """How a provider says what became of an SMS."""

    poll_after_s: float | None = None
    """When to ask it for the first time; None: it cannot be asked."""
    pushes: bool = False
    """It tells by itself."""

    @property
    def is_possible(self) -> bool:
        """Whether there will be a receipt at all."""
        return self.pushes or self.poll_after_s is not None


@dataclass(frozen=True, slots=True)
class Terms:
    """What the decision needs to know besides the outcome."""

    retry: RetryPolicy
    resolve_within_s: float
    """So long after the first request a repeat is safe and tells what became of it; 0: never."""
    window_s: float | None
    """How long the provider refuses identical requests."""
    now: float
    boot_seconds: float
    chance: float
    reporting: Reporting = Reporting()


def settlement(attempt: Attempt, outcome: Outcome, terms: Terms) -> Settlement:
    """What to record."""
    match outcome:
        case Submitted():
            return _submitted(attempt, outcome, terms)
        case Rejected():
            return _rejected(attempt, outcome, terms)
        case Deferred():
            return _deferred(attempt, outcome, terms)
        case Uncertain():
            return _uncertain(attempt, outcome, terms)


def _settled(attempt: Attempt, event: Event, terms: Terms, outcome: str, **details: Any) -> Settlement:
    """``details`` are fields of ``Settlement`` that differ from: nothing more to do, nobody to tell."""
    details = {"provider": attempt.provider, "due_at": None, "tries": 0, "why": "", **details}
    return Settlement(
        attempt=attempt,
        event=event,
        state=after(State.SUBMITTING, event),
        outcome=outcome,
        at=terms.now,
        notes=(_note(attempt, outcome, details),),
        **details,
    )


def _note(attempt: Attempt, outcome: str, details: Mapping[str, Any]) -> Note:
    values: dict[str, str | int] = {"provider": attempt.provider, "attempt": attempt.number}
    if details["why"]:
        values["why"] = details["why"]
    if details.get("provider_id"):
        values["provider_id"] = details["provider_id"]
    if details.get("refusal") is not None:
        values["verdict"] = details["refusal"].code
    return Note("provider", outcome, values)


def _submitted(attempt: Attempt, outcome: Submitted, terms: Terms) -> Settlement:
    """A remark means that the sender should know: held until the bill is paid, or seen but without an id. Who wants a
    receipt where there can be none hears now."""
    tell = attempt.job.tell
    can_report = terms.reporting.is_possible and outcome.provider_id is not None
    ask_after_s = terms.reporting.poll_after_s
    asked = Tell.SENT in tell or (Tell.RECEIPT in tell and not can_report)
    return _settled(
        attempt,
        Event.ACK,
        terms,
        "submitted",
        why=outcome.remark,
        provider_id=outcome.provider_id,
        parts=outcome.parts,
        cost=outcome.cost,
        poll_at=terms.now + ask_after_s if can_report and ask_after_s is not None else None,
        notify=bool(outcome.remark) or asked,
    )


def _rejected(attempt: Attempt, outcome: Rejected, terms: Terms) -> Settlement:
    route, provider = attempt.job.route, attempt.provider
    position = route.index(provider) if provider in route else len(route)
    if outcome.other_route and not attempt.repeats and position + 1 < len(route):
        why = f"{provider} refused: {outcome.refusal.reason.key}"
        return _settled(
            attempt, Event.DEFER, terms, "rerouted", why=why, provider=route[position + 1], due_at=terms.now
        )
    return _settled(attempt, Event.NACK, terms, "rejected", refusal=outcome.refusal, notify=True)


def _deferred(attempt: Attempt, outcome: Deferred, terms: Terms) -> Settlement:
    if attempt.repeats:  # the repeat was certainly not taken, which says nothing of the first request
        return _uncertain(attempt, Uncertain(outcome.why), terms)
    tries = attempt.tries + (outcome.scope is Scope.ROUTE)
    provider = next_provider(attempt.job.route, attempt.provider, outcome, tries, terms.retry)
    wait_s = outcome.after_s
    if wait_s is None:
        wait_s = backoff(terms.retry, tries, terms.chance) if outcome.scope is Scope.ROUTE else 0.0
    if provider != attempt.provider:
        tries, wait_s = 0, 0.0
    if terms.now + wait_s >= attempt.job.expires_at:
        return _settled(
            attempt,
            Event.EXPIRE,
            terms,
            "expired",
            why=outcome.why,
            refusal=Refusal(VALIDITY_PASSED),
            notify=True,
        )
    return _settled(
        attempt,
        Event.DEFER,
        terms,
        "deferred",
        why=outcome.why,
        provider=provider,
        due_at=terms.now + wait_s,
        tries=tries,
    )


def _uncertain(attempt: Attempt, outcome: Uncertain, terms: Terms) -> Settlement:
    """Once the window can prove nothing any more, nobody sends again: the operator and the sender are told."""
    wait_s = FIRST_REPEAT_S * 2.0 ** min(attempt.tries, 9)
    deadline = attempt.send_before if attempt.repeats else terms.boot_seconds + terms.resolve_within_s
    if terms.resolve_within_s and terms.boot_seconds + wait_s < deadline:
        return _settled(
            attempt,
            Event.LOSE,
            terms,
            "uncertain",
            why=outcome.why,
            due_at=terms.now + wait_s,
            tries=attempt.tries + 1,
        )
    if attempt.job.resend and (due_at := _due_again(attempt, terms)) < attempt.job.expires_at:
        why = f"{outcome.why}; goes out again, as the account wishes"
        return _settled(attempt, Event.DEFER, terms, "resent", why=why, due_at=due_at, tries=attempt.tries + 1)
    refusal = Refusal(ANSWER_LOST, {"provider": attempt.provider})
    return _settled(attempt, Event.LOSE, terms, "uncertain", why=outcome.why, refusal=refusal, notify=True)


def _due_again(attempt: Attempt, terms: Terms) -> float:
    """Not before the provider has forgotten the first request."""
    return terms.now + max(terms.window_s or 0.0, backoff(terms.retry, attempt.tries + 1, terms.chance))
