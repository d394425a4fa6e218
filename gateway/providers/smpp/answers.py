"""What a command_status means for a job (SMPP v3.4 §5.1.3, and what Kannel and Jasmin make of it)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.model import Deferred, Outcome, Rejected, Scope
from gateway.smpp.pdu import status_name
from gateway.verdicts import (
    PROVIDER_NUMBER,
    PROVIDER_ORIGINATOR,
    PROVIDER_REFUSED,
    PROVIDER_UNKNOWN_ANSWER,
    Reason,
    Refusal,
)

THROTTLED = 0x58
THROTTLED_S = 2.0
QUEUE_FULL = 0x14
QUEUE_FULL_S = 30.0
"""It may be the queue of one handset, so the provider is not at fault."""


@dataclass(frozen=True, slots=True)
class _Row:
    statuses: tuple[int, ...]
    outcome: Callable[[int], Outcome]


def _later(scope: Scope, after_s: float | None = None) -> Callable[[int], Outcome]:
    return lambda status: Deferred(scope, status_name(status), after_s)


def _refused(
    reason: Reason = PROVIDER_REFUSED, *, alert: bool = False, other_route: bool = False
) -> Callable[[int], Outcome]:
    return lambda status: Rejected(
        Refusal(reason, {"code": status, "text": status_name(status)}), alert=alert, other_route=other_route
    )


_ROWS = (
    _Row((THROTTLED,), _later(Scope.JOB, THROTTLED_S)),
    _Row((QUEUE_FULL,), _later(Scope.JOB, QUEUE_FULL_S)),
    _Row((0x08, 0x64), _later(Scope.ROUTE)),
    # Login, state of the bind, system_type: nothing goes until somebody acts.
    _Row((0x04, 0x05, 0x0D, 0x0E, 0x0F, 0x53), _later(Scope.PROVIDER)),
    _Row((0x0A, 0x48, 0x49), _refused(PROVIDER_ORIGINATOR)),
    _Row((0x0B, 0x50, 0x51), _refused(PROVIDER_NUMBER, other_route=True)),
    # This provider does not take such an SMS; another may.
    _Row((0x01, 0x15, 0x43, 0x45, 0x61, 0x62, 0x65, 0x66, 0xFE, 0xFF), _refused(other_route=True)),
    # A PDU that it does not understand: a setting is wrong.
    _Row((0x02, 0x03, 0x06, 0x07, 0x54, 0x63, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4), _refused(alert=True, other_route=True)),
)
_BY_STATUS = {status: row.outcome for row in _ROWS for status in row.statuses}


def refused(status: int) -> Outcome:
    """What a submit came to that was answered with this status, which is not 0."""
    return _BY_STATUS.get(status, _refused(PROVIDER_UNKNOWN_ANSWER, alert=True))(status)
