"""A refusal in one English line, for the doors."""

from __future__ import annotations

from gateway.replies.wording import auth_line, sentence, smtp_line
from gateway.verdicts import Refusal

__all__ = ["auth_line", "explained", "refusal_line", "smtp_line"]


def explained(refusal: Refusal) -> str:
    """What is wrong, and how to mend it."""
    what, fix = sentence(refusal, "en")
    return f"{what}. {fix}" if fix else what


def refusal_line(refusal: Refusal) -> str:
    """``FORBIDDEN: sender not allowed. …``."""
    return f"{refusal.code}: {explained(refusal)}"
