"""What a text costs, and why: the counter of ``email2sms segments``, of the API and of the console."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from gateway.model import Note, Operator, Submission
from gateway.policy.composing import TextRules, compose
from gateway.sms import cleaning
from gateway.sms.segments import NATIONAL, Alphabet, Segmentation, Tables, encode, fits_gsm, limits, segment
from gateway.sms.translit import transliterate
from gateway.verdicts import CREDENTIALS_WRONG, Refused

if TYPE_CHECKING:
    from gateway.settings.load import Configuration

__all__ = ["NATIONAL", "Alphabet", "Counted", "Culprit", "Shorter", "cleaned", "count", "in_latin_letters", "marked"]


@dataclass(frozen=True, slots=True)
class Culprit:
    """A character that the 7-bit alphabet does not have."""

    char: str
    name: str
    """As Unicode calls it."""
    at: int
    """Where it stands first; the text begins with 1."""


@dataclass(frozen=True, slots=True)
class Shorter:
    """A way to take fewer SMS."""

    way: str
    """``clean`` or ``transliterate``."""
    text: str
    segments: int


@dataclass(frozen=True, slots=True)
class Counted:
    """A text as handsets and bills count it."""

    text: str
    """As it goes out."""
    alphabet: Alphabet
    tables: Tables
    units: int
    """Septets or UTF-16 code units."""
    parts: tuple[str, ...]
    single: int
    """Units that one SMS holds."""
    part: int
    """Units that each part of a long one holds."""
    left: int
    """Units that still go into the last one."""
    culprits: tuple[Culprit, ...]
    shorter: tuple[Shorter, ...]
    notes: tuple[Note, ...] = ()
    """What the account's wishes have changed."""


def count(
    text: str, configuration: Configuration | None = None, login: str = "", national: Sequence[str] = ()
) -> Counted:
    """Count a text, with ``login`` as that account's texts are treated. Raises ``Refused`` as a mail's text would be,
    and for a login that nobody has."""
    rules: TextRules | None = None
    if login and configuration is not None:
        account = configuration.directory.accounts.get(login)
        if account is None:
            raise Refused(CREDENTIALS_WRONG)
        rules, national = account.texts, national or configuration.house.national
    notes: tuple[Note, ...] = ()
    if rules is not None and text.strip():
        composed = compose(Submission("", "", Operator(login), "", (), text, ""), rules, national)
        text, notes = composed.text, composed.notes
    found = segment(text, national)
    single, part = limits(found.alphabet, found.tables)
    return Counted(
        text=text,
        alphabet=found.alphabet,
        tables=found.tables,
        units=found.units,
        parts=found.segments,
        single=single,
        part=part,
        left=_left(found, single, part),
        culprits=_culprits(text, found.culprits),
        shorter=tuple(_shorter(text, len(found.segments), (rules or TextRules()).scheme)),
        notes=notes,
    )


def cleaned(text: str) -> str:
    """Without emoji, and with the typography that a keyboard has."""
    return cleaning.without_typography(cleaning.without_emoji(text))


def in_latin_letters(text: str, scheme: str = "wikipedia") -> str:
    """Cleaned, and transliterated: all of it is in the 7-bit alphabet."""
    return transliterate(cleaned(text), scheme)


def marked(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, and whether each is of characters that the 7-bit alphabet does not have."""
    for fits, chars in groupby(text, fits_gsm):
        yield "".join(chars), not fits


def _culprits(text: str, culprits: str) -> tuple[Culprit, ...]:
    first: dict[str, int] = {}
    for at, char in enumerate(text, 1):
        first.setdefault(char, at)
    return tuple(Culprit(char, _name(char), first[char]) for char in culprits)


def _left(found: Segmentation, single: int, part: int) -> int:
    if len(found.segments) <= 1:
        return single - found.units
    last = found.segments[-1]
    used = len(encode(last, found.tables)) if found.alphabet is Alphabet.GSM7 else len(last.encode("utf-16-le")) // 2
    return part - used


def _name(char: str) -> str:
    return unicodedata.name(char, "control character").lower()


def _shorter(text: str, count: int, scheme: str) -> Iterator[Shorter]:
    for way, changed in (("clean", cleaned(text)), ("transliterate", in_latin_letters(text, scheme))):
        if changed.strip() and (fewer := len(segment(changed).segments)) < count:
            yield Shorter(way, changed, fewer)
