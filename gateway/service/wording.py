"""A refusal in one English line, for the doors."""

from __future__ import annotations

from gateway.replies.wording import auth_line, sentence, smtp_line, word
from gateway.verdicts import MSG, REASONS, Refusal

__all__ = ["auth_line", "cause", "explained", "refusal_line", "smtp_line", "verdict_of", "what_and_fix"]


def explained(refusal: Refusal) -> str:
    """What is wrong, and how to mend it."""
    what, fix = sentence(refusal, "en")
    return f"{what}. {fix}" if fix else what


def what_and_fix(refusal: Refusal, language: str) -> tuple[str, str]:
    """What is wrong, and how to mend it, in ``en``, ``ru`` or ``uk``."""
    return sentence(refusal, language)


def refusal_line(refusal: Refusal) -> str:
    """``FORBIDDEN: sender not allowed. …``."""
    return f"{refusal.code}: {explained(refusal)}"


def cause(name: str, language: str = "en") -> str:
    """A reason as ``policy.tally`` counts it, in words: ``provider_refused|8|words``, ``undelivered|UNDELIV``."""
    key, _, said = name.partition("|")
    code, _, text = said.partition("|")
    if (reason := REASONS.get(key)) is not None:
        what, _ = sentence(Refusal(reason, {"code": code, "text": text} if said else {}), language)
        return what
    state = word(f"state_{key}", language) if key in ("undelivered", "expired") else key
    return f"{state}: {said}" if said else state


def verdict_of(name: str) -> str:
    """The code that senders and scripts see; empty where there is none."""
    key, _, said = name.partition("|")
    reason = REASONS.get(key)
    if reason is None:
        return ""
    return f"MSG:{said.partition('|')[0] or 0}" if reason.verdict is MSG else reason.verdict.code
