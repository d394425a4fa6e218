"""Links stay whole: what mailers broke over lines is joined, and a link is never cut in the middle."""

from __future__ import annotations

import re

_BROKEN = re.compile(r"<(https?://[^\s<>]{1,2000}(?:\n[^\s<>]{1,2000}){1,20})>")
"""In angle brackets a line end is no part of a link (RFC 3986 appendix C). Without them nobody can tell."""
_TWICE = re.compile(r"(?:(?<=\s)|^)([^\s<>]{4,500})[ ]?<(?:https?://|mailto:|tel:)([^\s<>]{4,500})>", re.MULTILINE)
_LINK = re.compile(r"https?://\S+")


def joined(text: str) -> str:
    """Links in angle brackets in one line, and once where the words before them are the same (Outlook's
    ``www.bank.example<http://www.bank.example/>``)."""
    return _TWICE.sub(_once, _BROKEN.sub(lambda match: f"<{match[1].replace(chr(10), '')}>", text))


def _once(match: re.Match[str]) -> str:
    words, target = match.groups()
    return words if _bare(words) == _bare(target) else match[0]


def _bare(link: str) -> str:
    return re.sub(r"^(?:https?://|mailto:|tel:)", "", link).rstrip("/")


def without_half_a_link(kept: str, text: str) -> str:
    """``kept``, a beginning of ``text``, without the link that it ends in the middle of; as it is where nothing else
    would be left."""
    half = next((match for match in _LINK.finditer(text) if match.start() < len(kept) < match.end()), None)
    head = kept[: half.start()] if half else kept
    return head if head.strip() else kept
