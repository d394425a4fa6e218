"""Alarm storms: which texts are alike, and the one SMS that tells of many.

Letters matter, figures do not. ``CPU 91% on web-01`` and ``CPU 97% on web-01`` are alike; ``web-02`` is another alarm,
for a figure that is part of a name counts as a letter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from gateway.model import Channel, Conversation, Submission
from gateway.policy.composing import Composed
from gateway.sms import segments

_RUN = re.compile(r"\w+(?:[-.]\w+)*%?")
# Not those of one letter that flats, racks and phases have, too: "1a" is a name.
_UNIT = (
    "ns|us|µs|μs|ms|s|sec|secs|m|min|mins|h|hr|hrs|d|kb|mb|gb|tb|kib|mib|gib|tib|hz|khz|mhz|ghz|rpm"
    "|z|am|pm|мс|с|сек|м|мин|хв|ч|год|д|дн|кб|мб|гб|тб|вт"
)
_CHANGES = re.compile(
    rf"(?:\d+(?:\.\d+)?(?:{_UNIT}))+"  # with a unit: 95ms, 1.5gb, 5m30s
    r"|\d{4}-\d\d-\d\dt\d\d"  # the date of 2026-11-26T09:00:00Z and its hour
    r"|0x[0-9a-f]+"
    r"|(?=[a-f]*\d)[0-9a-f]{12,}"  # ids of containers, traces, commits
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # UUIDs
)
_JOINED = re.compile(r"(?:(?<!\S)[-+])?#(?:[-+.:,/]?#)*")
_CODE = re.compile(
    r"\botp\b|\b2fa\b|\bone[- ]time\b|\bpasscode\b|одноразов|никому не |нікому не "
    r"|\b(?:your|verification|confirmation|security|access|login|authentication|authorization|activation)"
    r" (?:code|pin)\b"
    r"|\bваш код|\bкод\w* (?:подтвержд|підтвердж|доступ|авториз|активац|вход|безопасн|безпек)"
    r"|\b(?:пароль|парол|password|parol|pin|пин|пін|код|kod|(?<!error )(?<!exit )(?<!status )(?<!return )code)"
    r"\s*(?:is\b|[:=–—-])?\s*\d{4,8}\b"
    r"|\b\d{4,8}\s*(?:is your|[–—-]\s*ваш|[–—-]\s*код)"
)


def shape(text: str) -> str:
    """What stays the same from one alarm to its next: letter case and spaces folded; numbers, dates, times, IP
    addresses, percentages, hexadecimal ids and numbers with a unit are all one sign."""
    return _JOINED.sub("#", _RUN.sub(_same, " ".join(text.casefold().split())))


def _same(run: re.Match[str]) -> str:
    word = run[0].removesuffix("%")
    is_name = any(char.isalpha() or char == "_" for char in word)
    has_figures = any(char.isdigit() for char in word)
    return run[0] if is_name and not (has_figures and _CHANGES.fullmatch(word)) else "#"


def names_a_code(text: str) -> bool:
    """Whether it may be a one-time code: each is another one, though they look alike."""
    return bool(_CODE.search(" ".join(text.casefold().split())))


def mark(submission: Submission, text: str) -> str:
    """The shape by which the text is counted; empty for what is never gathered: other channels than SMS, what has a
    time of its own, answers of people, one-time codes."""
    wishes = submission.wishes
    if wishes.channel not in (Channel.SMS, Channel.FLASH) or wishes.when is not None:
        return ""
    if isinstance(submission.credential, Conversation) or names_a_code(text):
        return ""
    return f"{wishes.channel.value} {shape(text)}"


def key(account: str, originator: str, destination: str, marked: str) -> bytes:
    """Equal for the SMS that are counted together."""
    parts = (account, originator, destination, marked)
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


_MINUTES = {"en": "min", "ru": "мин", "uk": "хв"}


def summary(
    text: str, count: int, seconds: float, language: str, max_segments: int, national: Sequence[str] = ()
) -> Composed:
    """The last of ``count`` alike texts of that time, and how many they were. It takes at most ``max_segments``: the
    text is cut for it. In the 7-bit alphabet it stays there: ``(x37, 10 min)``."""
    if count == 1:
        return Composed(text, max(1, len(segments.segment(text, national).segments)))
    plain = segments.fits_gsm(text)
    sign, unit = ("x", "min") if plain else ("×", _MINUTES.get(language, "min"))
    ending = f" ({sign}{count}, {max(1, round(seconds / 60))} {unit})"
    ellipsis, kept = "", text.rstrip()
    while kept and (parts := len(segments.segment(kept + ellipsis + ending, national).segments)) > max_segments:
        ellipsis = "..." if plain else "…"
        kept = kept[: -max(1, (parts - max_segments - 1) * 60)].rstrip()
    whole = kept + ellipsis + ending
    return Composed(whole, len(segments.segment(whole, national).segments))
