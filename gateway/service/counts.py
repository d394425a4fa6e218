"""What happens to mails and SMS, as counts: which of it is counted under which labels."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from gateway import metrics
from gateway.lifecycle import State
from gateway.model import Attempt, Channel, Deferred, Note, Outcome, Receipt, Rejected, Scope, Submitted
from gateway.service.judge import Case
from gateway.sms.segments import fits_gsm
from gateway.spool.receipts import Applied
from gateway.spool.settle import Settlement
from gateway.verdicts import CHARSET, FORMAT, MSG, QUOTA, Kind, Refusal

NONE = "none"
"""The dialect of a mail that had none."""


STATUSES = ("submitted", "rejected", "deferred", "rerouted", "expired", "uncertain", "resent")
OUTCOMES = ("ok", "rejected", "deferred", "unreachable", "uncertain")


def begin(listeners: Iterable[str], dialects: Iterable[str], providers: Iterable[str]) -> None:
    """At 0, before the first: what appears with its first count has no rate, and no alert sees it."""
    for listener in listeners:
        metrics.smtp_connections[listener].inc(0)
        metrics.smtp_connections_active[listener].inc(0)
    for dialect in dialects:
        for result in ("accepted", "refused", "deferred", "duplicate", "fault"):
            metrics.mails_received[dialect, result].inc(0)
    for provider in providers:
        for status in STATUSES:
            metrics.messages[provider, status].inc(0)
        for outcome in OUTCOMES:
            metrics.provider_requests[provider, "submit", outcome].inc(0)
        for state in (State.DELIVERED, State.UNDELIVERED, State.EXPIRED):
            metrics.delivery_reports[provider, state.value].inc(0)


def mail(case: Case, refusal: Refusal | None = None, *, duplicate: bool = False) -> None:
    """A mail was answered."""
    dialect = case.dialect.name if case.dialect else NONE
    if case.mail is not None:
        _charset(case.mail.notes)
    if refusal is None:
        metrics.mails_received[dialect, "duplicate" if duplicate else "accepted"].inc()
        if duplicate:
            metrics.duplicates_suppressed["mail"].inc()
        return
    verdict, reason = refusal.verdict, refusal.reason.key
    metrics.mails_received[dialect, "refused" if verdict.kind is Kind.REFUSE else "deferred"].inc()
    metrics.mails_refused[verdict.code, reason].inc()
    if verdict in (FORMAT, CHARSET):
        metrics.mail_parse_failures[dialect, reason].inc()
    if verdict is QUOTA:
        metrics.rate_limited[reason.removeprefix("quota_")].inc()


def fault(case: Case) -> None:
    """A mail could not be answered as it should: our fault, and the client's to try again."""
    metrics.mails_received[case.dialect.name if case.dialect else NONE, "fault"].inc()


def _charset(notes: Sequence[Note]) -> None:
    for note in notes:
        if note.room == "charset" and note.values.get("why") != "declared":
            metrics.charset_fallbacks[_codec(str(note.values.get("declared", NONE))), note.what].inc()


def _codec(declared: str) -> str:
    """What strangers write is no label."""
    if declared == NONE:
        return NONE
    try:
        return codecs.lookup(declared).name
    except (LookupError, ValueError):
        return metrics.OTHER


@dataclass(frozen=True, slots=True)
class Counted:
    """One provider account's calls and what comes of them."""

    provider: str
    price: Callable[[str], Decimal | None] = lambda number: None
    """Of one segment to a number, where the provider does not say itself."""
    accounts: Callable[[], Collection[str]] = field(default=tuple)
    """Those that are counted one by one."""

    def submitted(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """One call was answered, or was not."""
        metrics.provider_request_duration_seconds[self.provider, "submit"].observe(seconds)
        metrics.provider_requests[self.provider, "submit", _outcome(outcomes[0])].inc()

    def settled(self, attempt: Attempt, outcome: Outcome, item: Settlement) -> None:
        """What became of one SMS is written down."""
        metrics.messages[self.provider, item.outcome].inc()
        if isinstance(outcome, Rejected) and outcome.refusal.verdict is MSG:
            metrics.provider_errors.few(self.provider, str(outcome.refusal.values.get("code", 0))).inc()
        if not isinstance(outcome, Submitted) or item.state is not State.SUBMITTED:
            return
        job = attempt.job
        began = job.created_at if job.due_at is None else max(job.created_at, job.due_at)
        metrics.accept_to_submit_seconds[self.provider].observe(max(0.0, item.at - began))
        metrics.provider_last_success_timestamp_seconds[self.provider].set(item.at)
        if job.channel in (Channel.SMS, Channel.FLASH):
            metrics.message_parts[self.provider, "gsm7" if fits_gsm(job.text) else "ucs2"].inc(job.segments)
            if job.account in self.accounts():
                metrics.account_parts[job.account].inc(job.segments)
        self._spent(attempt, outcome)

    def _spent(self, attempt: Attempt, outcome: Submitted) -> None:
        if attempt.repeats:  # perhaps the provider names the price of the first request again
            return
        cost = _money(outcome.cost)
        if cost is None and (price := self.price(attempt.job.destination)) is not None:
            cost = price * attempt.job.segments
        if cost:
            metrics.spend[self.provider].inc(float(cost))


def _outcome(outcome: Outcome) -> str:
    match outcome:
        case Submitted():
            return "ok"
        case Deferred(scope=Scope.ROUTE):
            return "unreachable"
        case _:
            return type(outcome).__name__.lower()


def _money(said: str) -> Decimal | None:
    if not said:
        return None
    try:
        found = Decimal(said)
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 else None


def asked(provider: str, operation: str, outcome: str, seconds: float) -> None:
    """A provider was asked something: ``status`` or ``balance``."""
    metrics.provider_requests[provider, operation, outcome].inc()
    metrics.provider_request_duration_seconds[provider, operation].observe(seconds)


def receipt(provider: str, said: Receipt, applied: Applied, now: float) -> None:
    """A receipt is written down."""
    if applied.state is None:
        return
    metrics.delivery_reports[provider, applied.state.value].inc()
    if applied.state is State.DELIVERED and applied.sent_at is not None:
        metrics.submit_to_delivered_seconds[provider].observe(max(0.0, now - applied.sent_at))


_SILENCE: Mapping[str, str] = {
    "nothing left to tell": "nothing to tell",
    "too many replies to this address": "too many",
}


def reply(kind: str, state: str, why: str) -> None:
    """A reply mail has left, or never will."""
    if state == "sent":
        metrics.replies_sent[kind].inc()
    else:
        metrics.replies_suppressed[_SILENCE.get(why, "undeliverable")].inc()
