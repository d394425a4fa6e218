"""Submission → Accepted: what of it is allowed, and the jobs that come of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.model import Accepted, Asked, Channel, Dropped, Envelope, Job, Note, Submission, Tell
from gateway.policy import checks, storms
from gateway.policy.accounts import Account
from gateway.policy.caps import HouseCaps, burst, caps, price_is_known
from gateway.policy.composing import compose
from gateway.policy.destinations import Destinations
from gateway.policy.routing import Hours, Router, Trip
from gateway.policy.schedule import resolve
from gateway.sms import numbers
from gateway.verdicts import (
    CHANNEL_NOT_CARRIED,
    LIST_EMPTY,
    LIST_UNKNOWN,
    NO_ROUTE,
    OWN_NUMBER_UNKNOWN,
    STOP_LISTED,
    Refused,
)


@dataclass(frozen=True, slots=True)
class House:
    """What holds for all accounts."""

    router: Router
    validity_s: float
    schedule_ahead_s: float = 30 * 86400.0
    national: tuple[str, ...] = ()
    """National 7-bit tables that every provider account knows, so that a text is counted as it will be sent."""
    destinations: Destinations = Destinations()  # noqa: RUF009  (frozen)
    caps: HouseCaps = HouseCaps()  # noqa: RUF009


def decide(envelope: Envelope, submission: Submission, account: Account, verified: str, house: House) -> Accepted:
    """Steps 7 to 10 of the admission, for a proven account.

    Raises ``Refused`` for what refuses the whole; a bad destination is only dropped, with its own verdict.
    Caps and duplicates (steps 11 and 12) are for the store, which alone can decide them without a race: here is only
    said what the mail would use up.
    """
    checks.account_is_active(account)
    if not submission.originator and (only := account.only_originator):
        submission = replace(submission, originator=only)
    checks.originator_is_allowed(submission, account)
    checks.channel_is_allowed(submission, account)
    asked = _destinations(submission, account)
    checks.destinations_are_few(submission)
    composed = compose(submission, account.texts, house.national)
    wishes, now = submission.wishes, envelope.received_at
    send_at = resolve(wishes.when, now, house.schedule_ahead_s)
    quiet = _quiet(submission, account, house)
    wait_until = quiet.ending_after(send_at or now) if quiet is not None and quiet.include(send_at or now) else None
    marked = storms.mark(submission, composed.text) if account.storm else ""
    jobs: dict[str, Job] = {}
    dropped: list[Dropped] = []
    repeated = 0
    for ask in asked:
        job_id = f"{envelope.queue_id}-{len(jobs) + 1}"
        try:
            destination = _open_number(ask.typed, wishes.channel, account, house)
            leaves_at = wait_until or send_at or now
            trip = Trip(destination, submission.originator, account.login, wishes.channel, leaves_at, job_id)
            providers = _providers(trip, account, house)
        except Refused as refused:
            dropped.append(Dropped(ask, refused.refusal))
            continue
        repeated += destination in jobs
        # What has to wait waits here, where it can still be held or cancelled, unless the sender set the time.
        schedules = send_at is not None and all(house.router.carrier(name).schedules for name in providers)
        at_provider = send_at if schedules and wait_until is None else None
        jobs.setdefault(
            destination,
            Job(
                id=job_id,
                mail_id=envelope.queue_id,
                account=account.login,
                originator=submission.originator,
                destination=destination,
                text=composed.text,
                segments=composed.segments,
                route=providers,
                created_at=now,
                expires_at=(send_at or now) + house.validity_s,
                recipient=ask.recipient,
                resend=account.resends_uncertain,
                tell=_tell(envelope, ask, account),
                channel=wishes.channel,
                detail=wishes.detail,
                comment=wishes.comment,
                due_at=wait_until or (send_at if at_provider is None else None),
                send_at=at_provider,
                quiet=str(quiet) if quiet is not None and at_provider is None else "",
                storm=storms.key(account.login, submission.originator, destination, marked) if marked else None,
            ),
        )
    notes = [
        Note("policy", "sender verified", {"by": verified or "nothing"}),
        Note("policy", "accepted", {"account": account.login, "jobs": len(jobs), "segments": composed.segments}),
        *composed.notes,
    ]
    if quiet is not None and wait_until is not None and jobs:
        until = quiet.local(wait_until).isoformat(" ", "minutes")
        notes.append(Note("policy", "waits for the end of the quiet hours", {"hours": str(quiet), "until": until}))
    if repeated:
        notes.append(Note("policy", "repeated destinations left out", {"count": repeated}))
    notes += [
        Note(
            "policy",
            "destination dropped",
            {**drop.refusal.values, "verdict": drop.refusal.code, "why": drop.refusal.reason.key},
        )
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
        storm=account.storm,
        language=account.language,
        notes=tuple(notes),
        caps=caps(account.login, tuple(jobs.values()), account.caps, house.caps, house.router),
        number_caps=house.caps.verified if verified else house.caps.unverified,
        burst=burst(account.login, account.caps, now),
    )


def _quiet(submission: Submission, account: Account, house: House) -> Hours | None:
    quiet = account.caps.quiet or house.caps.quiet
    return quiet.hours if quiet is not None and quiet.applies_to(submission.text) else None


def _tell(envelope: Envelope, ask: Asked, account: Account) -> frozenset[Tell]:
    asked = envelope.dsn is not None and "SUCCESS" in envelope.dsn.notify.get(ask.recipient, ())
    return account.tell | {Tell.RECEIPT} if asked else account.tell


def _destinations(submission: Submission, account: Account) -> tuple[Asked, ...]:
    if submission.own_number:
        if account.phone is None:
            raise Refused(OWN_NUMBER_UNKNOWN)
        return (Asked(account.phone, submission.recipient),)
    if submission.list_id is not None:
        if submission.list_id not in account.lists:
            raise Refused(LIST_UNKNOWN, list=submission.list_id[:20])
        if not account.lists[submission.list_id]:
            raise Refused(LIST_EMPTY, list=submission.list_id[:20])
        return tuple(Asked(number, submission.recipient) for number in account.lists[submission.list_id])
    return submission.destinations


def _open_number(typed: str, channel: Channel, account: Account, house: House) -> str:
    destination = numbers.parse(typed)
    if destination in account.stop_list:
        raise Refused(STOP_LISTED, number=numbers.mask(destination))
    (account.destinations or house.destinations).check(destination, channel)
    return destination


def _providers(trip: Trip, account: Account, house: House) -> tuple[str, ...]:
    providers = house.router.providers(trip)
    if not providers and trip.channel is not Channel.SMS:
        raise Refused(CHANNEL_NOT_CARRIED, channel=trip.channel.value, number=numbers.mask(trip.destination))
    if not providers:
        raise Refused(NO_ROUTE, number=numbers.mask(trip.destination))
    price_is_known(trip.destination, providers, account.caps, house.caps, house.router)
    return providers
