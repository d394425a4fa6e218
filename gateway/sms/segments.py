"""How many SMS a text takes: GSM 7-bit (3GPP TS 23.038) or UCS-2, and where it is cut."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gsmcodecs.charmaps import GSMCHARMAPS

_BASIC = frozenset(map(chr, GSMCHARMAPS[0]["locking"]["encode"]))
_EXTENSION = frozenset(map(chr, GSMCHARMAPS[0]["singleShift"]["encode"])) - {"\xa0"}
"""Without the codec's stand-in for a second escape, which no handset shows."""


class Alphabet(StrEnum):
    """What the text is coded in on the air."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


LIMITS = {Alphabet.GSM7: (160, 153), Alphabet.UCS2: (70, 67)}
"""Units in a single SMS, and in each part of a long one (the rest is the part's header)."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A text as handsets and bills count it."""

    alphabet: Alphabet
    units: int
    """Septets or UTF-16 code units."""
    segments: tuple[str, ...]
    culprits: str
    """The characters that force UCS-2, each once, in the order of the text."""


def _gsm7_cost(char: str) -> int:
    return 1 if char in _BASIC else 2


def _ucs2_cost(char: str) -> int:
    return 1 if char <= "\uffff" else 2


def segment(text: str) -> Segmentation:
    """Count and cut. Escape pairs and surrogate pairs are never torn apart."""
    culprits = "".join(dict.fromkeys(c for c in text if c not in _BASIC and c not in _EXTENSION))
    alphabet = Alphabet.UCS2 if culprits else Alphabet.GSM7
    cost = _ucs2_cost if culprits else _gsm7_cost
    single, part = LIMITS[alphabet]
    costs = [cost(char) for char in text]
    units = sum(costs)
    if units <= single:
        return Segmentation(alphabet, units, (text,) if text else (), culprits)
    segments, start, used = [], 0, 0
    for index, char_cost in enumerate(costs):
        if used + char_cost > part:
            segments.append(text[start:index])
            start, used = index, 0
        used += char_cost
    segments.append(text[start:])
    return Segmentation(alphabet, units, tuple(segments), culprits)


def count(text: str) -> int:
    """The number of segments; an empty text has none."""
    return len(segment(text).segments)
