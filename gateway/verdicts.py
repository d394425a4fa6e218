"""The one vocabulary of refusals: every verdict, and every reason that leads to one.

The SMTP reply code and the enhanced status (RFC 3463) are derived from the same two
digits pairs, so they cannot disagree. The sentences stand in ``replies/texts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.model import Note

Values = Mapping[str, str | int]


class Kind(IntEnum):
    """First digit of the SMTP reply: what the client should do next (RFC 5321 §4.2.1)."""

    ACCEPT = 2
    DEFER = 4
    REFUSE = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """One code of the vocabulary and its projection on every door.

    ``tail`` and ``status`` follow the kind's digit: kind REFUSE, tail "50", status "7.8"
    is ``550 5.7.8``. ``http`` is the API's status, ``sysexit`` the pipe's (sysexits.h).
    """

    code: str
    kind: Kind
    tail: str
    status: str
    http: int
    sysexit: int

    @property
    def smtp(self) -> str:
        """Reply code and enhanced status, e.g. ``550 5.7.8``."""
        return f"{self.kind:d}{self.tail} {self.kind:d}.{self.status}"


AUTH = Verdict("AUTH", Kind.REFUSE, "50", "7.8", 401, 77)
AUTH_LATER = Verdict("AUTH", Kind.DEFER, "51", "7.0", 429, 75)
"""AUTH, right or wrong, where somebody guesses: nothing is looked at, the client keeps the mail and tries again."""
FORBIDDEN = Verdict("FORBIDDEN", Kind.REFUSE, "50", "7.1", 403, 77)
UNSIGNED, UNACCEPTABLE, UNALIGNED, SPF_FAILED, UNAUTHENTICATED = (
    Verdict("FORBIDDEN", Kind.REFUSE, "50", status, 403, 77) for status in ("7.20", "7.21", "7.22", "7.23", "7.26")
)
"""FORBIDDEN because mail authentication verifies no sender (RFC 7372)."""
BANNED = Verdict("BANNED", Kind.REFUSE, "50", "7.1", 403, 67)
NO_LIST = Verdict("NO LIST", Kind.REFUSE, "50", "1.1", 404, 67)
MSG = Verdict("MSG", Kind.REFUSE, "54", "6.0", 502, 65)
FORMAT = Verdict("FORMAT", Kind.REFUSE, "54", "6.0", 400, 65)
CHARSET = Verdict("CHARSET", Kind.REFUSE, "54", "6.1", 415, 65)
LIMIT = Verdict("LIMIT", Kind.REFUSE, "52", "3.4", 413, 65)
QUOTA = Verdict("LIMIT", Kind.DEFER, "52", "5.3", 429, 75)
"""LIMIT where waiting helps: the client keeps the mail and tries again."""
NUMBER = Verdict("NUMBER", Kind.REFUSE, "50", "1.3", 422, 67)
DUPLICATE = Verdict("DUPLICATE", Kind.ACCEPT, "50", "0.0", 200, 0)
EXPIRED = Verdict("EXPIRED", Kind.REFUSE, "54", "4.7", 504, 69)
UNCERTAIN = Verdict("UNCERTAIN", Kind.REFUSE, "54", "4.0", 502, 69)
FULL = Verdict("BUSY", Kind.DEFER, "52", "3.1", 503, 75)
"""BUSY for want of room (RFC 5321: 452)."""
DNS = Verdict("BUSY", Kind.DEFER, "51", "4.3", 503, 75)
"""BUSY because the directory did not answer (RFC 3463: routing server failure)."""
BUSY = Verdict("BUSY", Kind.DEFER, "51", "3.0", 503, 75)
"""A fault of ours: nothing was decided about the mail, the client keeps it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, one row a cause. ``key`` names the sentence in every language."""

    key: str
    verdict: Verdict


REASONS: dict[str, Reason] = {}


def _reason(key: str, verdict: Verdict) -> Reason:
    return REASONS.setdefault(key, Reason(key, verdict))


CREDENTIALS_WRONG = _reason("credentials_wrong", AUTH)
GUESSED_TOO_OFTEN = _reason("guessed_too_often", AUTH_LATER)
PASSWORD_TOO_LONG = _reason("password_too_long", AUTH)

RELAY_DENIED = _reason("relay_denied", FORBIDDEN)
SENDER_NOT_ALLOWED = _reason("sender_not_allowed", FORBIDDEN)
SENDER_NOT_VERIFIED = _reason("sender_not_verified", FORBIDDEN)
SENDER_UNCLEAR = _reason("sender_unclear", FORBIDDEN)
SENDER_UNSIGNED = _reason("sender_unsigned", UNSIGNED)
SENDER_SIGNATURE = _reason("sender_signature", UNACCEPTABLE)
SENDER_UNALIGNED = _reason("sender_unaligned", UNALIGNED)
SENDER_SPF = _reason("sender_spf", SPF_FAILED)
SENDER_UNAUTHENTICATED = _reason("sender_unauthenticated", UNAUTHENTICATED)
SENDER_NOT_ENOUGH = _reason("sender_not_enough", FORBIDDEN)
SENDER_DNS = _reason("sender_dns", DNS)
RECIPIENT_NOT_NAMED = _reason("recipient_not_named", FORBIDDEN)
NOT_ACTIVATED = _reason("not_activated", FORBIDDEN)
ORIGINATOR_NOT_ALLOWED = _reason("originator_not_allowed", FORBIDDEN)
ORIGINATOR_SHAPE = _reason("originator_shape", FORBIDDEN)
OWN_NUMBER_UNKNOWN = _reason("own_number_unknown", FORBIDDEN)
NO_ROUTE = _reason("no_route", FORBIDDEN)
DESTINATION_CLOSED = _reason("destination_closed", FORBIDDEN)
NUMBER_KIND_CLOSED = _reason("number_kind_closed", FORBIDDEN)
PRICE_UNKNOWN = _reason("price_unknown", FORBIDDEN)
CHANNEL_NOT_ALLOWED = _reason("channel_not_allowed", FORBIDDEN)
CHANNEL_UNKNOWN = _reason("channel_unknown", FORMAT)
CHANNEL_TEXT = _reason("channel_text", FORMAT)
CHANNEL_NOT_CARRIED = _reason("channel_not_carried", FORBIDDEN)

AUTOMATIC_ANSWER = _reason("automatic_answer", FORBIDDEN)
STOP_LISTED = _reason("stop_listed", BANNED)
LIST_UNKNOWN = _reason("list_unknown", NO_LIST)
LIST_EMPTY = _reason("list_empty", NO_LIST)

FIELDS_MISSING = _reason("fields_missing", FORMAT)
FIELD_REPEATED = _reason("field_repeated", FORMAT)
LINE_NOT_UNDERSTOOD = _reason("line_not_understood", FORMAT)
LINK_DIFFERS = _reason("link_differs", FORMAT)
FAMILY_LINE = _reason("family_line", FORMAT)
FAMILY_FIELD_MISSING = _reason("family_field_missing", FORMAT)
FAMILY_SUBJECT = _reason("family_subject", FORMAT)
SUBJECT_NOT_UNDERSTOOD = _reason("subject_not_understood", FORMAT)
ONE_RECIPIENT_ONLY = _reason("one_recipient_only", FORMAT)
TEXT_EMPTY = _reason("text_empty", FORMAT)
SCHEDULE_NOT_SUPPORTED = _reason("schedule_not_supported", FORMAT)
SEVERAL_TEXTS = _reason("several_texts", FORMAT)
FORMAT_NOT_SUPPORTED = _reason("format_not_supported", FORMAT)
ID_NOT_VALID = _reason("id_not_valid", FORMAT)
TEST_ONLY = _reason("test_only", FORMAT)
NO_READABLE_TEXT = _reason("no_readable_text", FORMAT)
MAIL_ENCRYPTED = _reason("mail_encrypted", FORMAT)
MAIL_TOO_COMPLEX = _reason("mail_too_complex", FORMAT)

CHARSET_UNKNOWN = _reason("charset_unknown", CHARSET)
CHARSET_UNDECODABLE = _reason("charset_undecodable", CHARSET)

TOO_MANY_DESTINATIONS = _reason("too_many_destinations", LIMIT)
TEXT_TOO_LONG = _reason("text_too_long", LIMIT)
TOO_MANY_SEGMENTS = _reason("too_many_segments", LIMIT)
REQUEST_TOO_LONG = _reason("request_too_long", LIMIT)
SCHEDULE_TOO_FAR = _reason("schedule_too_far", LIMIT)
QUOTA_HOUR = _reason("quota_hour", QUOTA)
QUOTA_DAY = _reason("quota_day", QUOTA)
QUOTA_SEGMENTS = _reason("quota_segments", QUOTA)
QUOTA_SPEND = _reason("quota_spend", QUOTA)
QUOTA_NUMBER = _reason("quota_number", QUOTA)
QUOTA_RANGE = _reason("quota_range", QUOTA)
QUOTA_GATEWAY = _reason("quota_gateway", QUOTA)

NUMBER_NOT_A_NUMBER = _reason("number_not_a_number", NUMBER)
NUMBER_TOO_SHORT = _reason("number_too_short", NUMBER)
NUMBER_TOO_LONG = _reason("number_too_long", NUMBER)
NUMBER_UNKNOWN_RANGE = _reason("number_unknown_range", NUMBER)
NUMBER_SHORTENED = _reason("number_shortened", NUMBER)
EMERGENCY_NUMBER = _reason("emergency_number", NUMBER)

PROVIDER_STOP_LIST = _reason("provider_stop_list", BANNED)
PROVIDER_CLOSED = _reason("provider_closed", FORBIDDEN)
PROVIDER_ORIGINATOR = _reason("provider_originator", FORBIDDEN)
PROVIDER_NUMBER = _reason("provider_number", NUMBER)
PROVIDER_REFUSED = _reason("provider_refused", MSG)
PROVIDER_UNKNOWN_ANSWER = _reason("provider_unknown_answer", MSG)
VALIDITY_PASSED = _reason("validity_passed", EXPIRED)
ANSWER_LOST = _reason("answer_lost", UNCERTAIN)

STORE_FULL = _reason("store_full", FULL)
ON_HOLD = _reason("on_hold", BUSY)
TEMPORARY_FAULT = _reason("temporary_fault", BUSY)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason with what it is about. ``values`` fill the sentence: never a secret, numbers masked."""

    reason: Reason
    values: Values = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The verdict that the reason leads to."""
        return self.reason.verdict

    @property
    def code(self) -> str:
        """The bare code as people and scripts see it; ``MSG:<code>`` carries the provider's own."""
        if self.verdict is MSG:
            return f"MSG:{self.values.get('code', 0)}"
        return self.verdict.code


class Refused(Exception):
    """The only domain exception: somebody asked for what may not or cannot be done.

    Raised by the pure rooms, caught by the service and the doors. After acceptance there are
    values (``Outcome``, ``Refusal``), no exceptions.
    """

    def __init__(self, reason: Reason, **values: str | int) -> None:
        super().__init__(reason.key)
        self.refusal = Refusal(reason, values)
        self.notes: tuple[Note, ...] = ()
        """What had been understood until then."""
