"""Submission → Accepted: what of it is allowed, and the jobs that come of it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model import Accepted, Asked, Dropped, Envelope, Job, Note, Submission
from gateway.policy import checks
from gateway.policy.accounts import Account
from gateway.policy.routing import Route, route
from gateway.sms import numbers
from gateway.verdicts import LIST_UNKNOWN, NO_ROUTE, OWN_NUMBER_UNKNOWN, STOP_LISTED, Refused


def decide(
    envelope: Envelope,
    submission: Submission,
    account: Account,
    verified: str,
    routes: Sequence[Route],
    validity_s: float,
) -> Accepted:
    """Steps 7 to 10 of the admission, for a proven account.

    Raises ``Refused`` for what refuses the whole; a bad destination is only dropped, with its own verdict.
    Quotas and duplicates (steps 11 and 12) are for the store, which alone can decide them without a race.
    """
    checks.account_is_active(account)
    checks.originator_is_allowed(submission, account)
    asked = _destinations(submission, account)
    checks.destinations_are_few(submission)
    segments = checks.text_fits(submission, account)
    jobs: dict[str, Job] = {}
    dropped: list[Dropped] = []
    repeated = 0
    for ask in asked:
        try:
            destination, providers = _admit(ask.typed, account, routes)
        except Refused as refused:
            dropped.append(Dropped(ask, refused.refusal))
            continue
        repeated += destination in jobs
        jobs.setdefault(
            destination,
            Job(
                id=f"{envelope.queue_id}-{len(jobs) + 1}",
                mail_id=envelope.queue_id,
                account=account.login,
                originator=submission.originator,
                destination=destination,
                text=submission.text,
                segments=segments,
                route=providers,
                created_at=envelope.received_at,
                expires_at=envelope.received_at + validity_s,
                recipient=ask.recipient,
                resend=account.resends_uncertain,
            ),
        )
    notes = [
        Note("policy", "sender verified", {"by": verified or "nothing"}),
        Note("policy", "accepted", {"account": account.login, "jobs": len(jobs), "segments": segments}),
    ]
    if repeated:
        notes.append(Note("policy", "repeated destinations left out", {"count": repeated}))
    notes += [
        Note("policy", "destination dropped", {"verdict": drop.refusal.code, "why": drop.refusal.reason.key})
        for drop in dropped
    ]
    return Accepted(
        account=account.login,
        verified_by=verified,
        jobs=tuple(jobs.values()),
        dropped=tuple(dropped),
        per_hour=account.per_hour,
        per_day=account.per_day,
        segments_per_day=account.segments_per_day,
        language=account.language,
        notes=tuple(notes),
    )


def _destinations(submission: Submission, account: Account) -> tuple[Asked, ...]:
    if submission.own_number:
        if account.phone is None:
            raise Refused(OWN_NUMBER_UNKNOWN)
        return (Asked(account.phone, submission.recipient),)
    if submission.list_id is not None:
        if submission.list_id not in account.lists:
            raise Refused(LIST_UNKNOWN, list=submission.list_id[:20])
        return tuple(Asked(number, submission.recipient) for number in account.lists[submission.list_id])
    return submission.destinations


def _admit(typed: str, account: Account, routes: Sequence[Route]) -> tuple[str, tuple[str, ...]]:
    destination = numbers.parse(typed)
    if destination in account.stop_list:
        raise Refused(STOP_LISTED, number=numbers.mask(destination))
    providers = route(destination, routes)
    if not providers:
        raise Refused(NO_ROUTE, number=numbers.mask(destination))
    return destination, providers
