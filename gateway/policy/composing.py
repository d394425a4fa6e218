"""The text as it goes out, by the account's wishes, and how many SMS it takes. Each change is a note in the trail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model import TEXTLESS, Note, Submission
from gateway.policy.cutting import Cuts, cut
from gateway.sms import cleaning, segments
from gateway.sms.segments import Alphabet
from gateway.sms.translit import transliterate
from gateway.text.links import without_half_a_link
from gateway.verdicts import TEXT_TOO_LONG, TOO_MANY_SEGMENTS, Refused


class Transliterate(StrEnum):
    """When a text is written in Latin letters."""

    NEVER = "never"
    WHEN_SHORTER = "when_shorter"
    """When that takes fewer SMS."""
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class TextRules:
    """What an account wants done with its texts. The default changes nothing."""

    cuts: Cuts = Cuts()  # noqa: RUF009  (frozen)
    transliterate: Transliterate = Transliterate.NEVER
    scheme: str = "wikipedia"
    plain_typography: bool = False
    no_emoji: bool = False
    cut: bool = False
    """A text that takes too many SMS is cut instead of refused."""
    max_segments: int = 10


@dataclass(frozen=True, slots=True)
class Composed:
    """What is sent."""

    text: str
    segments: int
    notes: tuple[Note, ...] = field(default=())


def compose(submission: Submission, rules: TextRules, national: Sequence[str] = ()) -> Composed:
    """Step 10: what mail programs have added is cut; the length by the dialect, on the text as it was written; then
    cleaning, transliteration, segments (``national`` names 7-bit tables that may be used). Raises ``Refused``
    (LIMIT)."""
    notes: list[Note] = []
    text = cut(submission.text, rules.cuts, notes)
    limit = submission.max_text_length
    if limit is not None and len(text) > limit:
        raise Refused(TEXT_TOO_LONG, length=len(text), limit=limit)
    if submission.wishes.channel in TEXTLESS:
        return Composed(text, 1, tuple(notes))
    text = _transliterated(_cleaned(text, rules, notes), submission, rules, notes)
    count = len(segments.segment(text, national).segments)
    if count > rules.max_segments:
        if not rules.cut:
            raise Refused(TOO_MANY_SEGMENTS, segments=count, limit=rules.max_segments)
        text = _fitted(text, rules.max_segments, notes)
        count = rules.max_segments
    return Composed(text, max(1, count), tuple(notes))


def _cleaned(text: str, rules: TextRules, notes: list[Note]) -> str:
    """Emoji always; typography only where that brings the text into the 7-bit alphabet: elsewhere it costs nothing."""
    if rules.no_emoji and (cleaned := cleaning.without_emoji(text)) != text and cleaned.strip():
        notes.append(Note("text", "emoji left out", {"characters": len(text) - len(cleaned)}))
        text = cleaned
    if rules.plain_typography and not segments.fits_gsm(text):
        plain = cleaning.without_typography(text)
        if segments.fits_gsm(plain):
            changed = sum(not segments.fits_gsm(char) for char in text)
            notes.append(Note("text", "typography made plain", {"characters": changed}))
            return plain
    return text


def _transliterated(text: str, submission: Submission, rules: TextRules, notes: list[Note]) -> str:
    wish, when = submission.wishes.transliterate, rules.transliterate
    wanted = when if wish is None else Transliterate.ALWAYS if wish else Transliterate.NEVER
    if wanted is Transliterate.NEVER or segments.fits_gsm(text):
        return text
    latin = transliterate(text, rules.scheme)
    if wanted is Transliterate.WHEN_SHORTER and segments.count(latin) >= segments.count(text):
        return text
    notes.append(Note("text", "written in Latin letters", {"scheme": rules.scheme}))
    return latin


def _fitted(text: str, parts: int, notes: list[Note]) -> str:
    """As much as goes into so many SMS, to the end of a word where one is near, with an ellipsis. Half a link is
    none."""
    counted = segments.segment(text)
    ellipsis = "..." if counted.alphabet is Alphabet.GSM7 else "…"
    kept = "".join(counted.segments[:parts]) if parts > 1 else text[:160]
    while segments.count(kept + ellipsis) > parts:
        kept = kept[:-1]
    head, space, tail = kept.rpartition(" ")
    if space and len(tail) < _NEAR and head.strip():
        kept = head
    kept = without_half_a_link(kept, text)
    notes.append(Note("text", "cut", {"segments": parts, "characters left out": len(text) - len(kept)}))
    return kept.rstrip() + ellipsis


_NEAR = 20
"""Characters of a word that is left out whole rather than cut."""
