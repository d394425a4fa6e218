"""The text as it goes out, by the account's wishes, and how many SMS it takes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Note, Submission
from gateway.policy.accounts import Account
from gateway.sms import segments
from gateway.verdicts import TEXT_TOO_LONG, TOO_MANY_SEGMENTS, Refused


@dataclass(frozen=True, slots=True)
class Composed:
    """What is sent."""

    text: str
    segments: int
    notes: tuple[Note, ...] = ()


def compose(submission: Submission, account: Account) -> Composed:
    """Step 10: length by the dialect, segments by the account. Raises ``Refused`` (LIMIT)."""
    limit = submission.max_text_length
    if limit is not None and len(submission.text) > limit:
        raise Refused(TEXT_TOO_LONG, length=len(submission.text), limit=limit)
    count = max(1, segments.count(submission.text))  # a question about a subscriber costs as much as an SMS
    if count > account.max_segments:
        raise Refused(TOO_MANY_SEGMENTS, segments=count, limit=account.max_segments)
    return Composed(submission.text, count)
