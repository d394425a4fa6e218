"""The one table of what may become of a job. The diagram in ``gateway/README.md`` is made from it."""

from __future__ import annotations

from enum import StrEnum
from functools import cache


class State(StrEnum):
    """Where a job is. ``FINAL`` names those in which nothing more happens by itself."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    FAILED = "failed"
    HELD = "held"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What happens to a job."""

    CLAIM = "claim"
    ACK = "ack"
    NACK = "nack"
    DEFER = "defer"
    LOSE = "lose the answer"
    RESOLVE = "ask again inside the window"
    EXPIRE = "expire"
    RECEIPT_DELIVERED = "receipt: delivered"
    RECEIPT_UNDELIVERED = "receipt: undelivered"
    RECEIPT_EXPIRED = "receipt: expired"
    RECEIPT_UNKNOWN = "receipt: nothing will ever be known"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"
    RETRY = "retry by an operator"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.QUEUED, Event.CLAIM): State.SUBMITTING,
    (State.QUEUED, Event.EXPIRE): State.EXPIRED,
    (State.QUEUED, Event.HOLD): State.HELD,
    (State.QUEUED, Event.CANCEL): State.CANCELLED,
    (State.QUEUED, Event.RETRY): State.QUEUED,
    (State.SUBMITTING, Event.ACK): State.SUBMITTED,
    (State.SUBMITTING, Event.NACK): State.FAILED,
    (State.SUBMITTING, Event.DEFER): State.QUEUED,
    (State.SUBMITTING, Event.LOSE): State.UNCERTAIN,
    (State.SUBMITTING, Event.EXPIRE): State.EXPIRED,
    (State.UNCERTAIN, Event.RESOLVE): State.SUBMITTING,
    (State.UNCERTAIN, Event.RETRY): State.QUEUED,
    (State.UNCERTAIN, Event.CANCEL): State.CANCELLED,
    (State.SUBMITTED, Event.RECEIPT_DELIVERED): State.DELIVERED,
    (State.SUBMITTED, Event.RECEIPT_UNDELIVERED): State.UNDELIVERED,
    (State.SUBMITTED, Event.RECEIPT_EXPIRED): State.EXPIRED,
    (State.SUBMITTED, Event.RECEIPT_UNKNOWN): State.UNCERTAIN,
    (State.UNCERTAIN, Event.RECEIPT_DELIVERED): State.DELIVERED,
    (State.UNCERTAIN, Event.RECEIPT_UNDELIVERED): State.UNDELIVERED,
    (State.UNCERTAIN, Event.RECEIPT_EXPIRED): State.EXPIRED,
    (State.HELD, Event.RELEASE): State.QUEUED,
    (State.HELD, Event.EXPIRE): State.EXPIRED,
    (State.HELD, Event.CANCEL): State.CANCELLED,
    (State.FAILED, Event.RETRY): State.QUEUED,
    (State.EXPIRED, Event.RETRY): State.QUEUED,
}

FINAL = frozenset(
    {State.DELIVERED, State.UNDELIVERED, State.EXPIRED, State.FAILED, State.CANCELLED},
)


@cache
def sources(event: Event) -> tuple[State, ...]:
    """The states in which ``event`` may happen: the store's ``WHERE state IN …``."""
    return tuple(state for (state, known) in TRANSITIONS if known is event)


def after(state: State, event: Event) -> State:
    """The state that follows. Raises ``KeyError`` for what the table does not allow."""
    return TRANSITIONS[state, event]
