"""How many SMS a text takes, and where it is cut: GSM 7-bit with its national tables (3GPP TS 23.038), or UCS-2.

The sizes follow from an SMS's 140 octets and what its header takes of them (TS 23.040 §9.2.3.24): 6 for a part of a
long SMS, 3 more for each national table, 1 for a header at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from gsmcodecs.charmaps import GSMCHARMAPS

OCTETS = 140
MAX_PARTS = 255


class Alphabet(StrEnum):
    """What the text is coded in on the air."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


NATIONAL: Mapping[str, int] = {
    "turkish": 1,
    "spanish": 2,
    "portuguese": 3,
    "bengali": 4,
    "gujarati": 5,
    "hindi": 6,
    "kannada": 7,
    "malayalam": 8,
    "oriya": 9,
    "punjabi": 10,
    "tamil": 11,
    "telugu": 12,
    "urdu": 13,
}
"""The national language identifiers of TS 23.038 §6.2.1.2.4. Few networks and handsets know them."""

_NO_CHARACTER = "\xa0"
"""The codec's stand-in for a second escape, which no handset shows."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of the 7-bit alphabet that a text uses; 0 is the default one."""

    locking: int = 0
    shift: int = 0

    @property
    def header_octets(self) -> int:
        """What naming them takes of each part."""
        return 3 * (bool(self.locking) + bool(self.shift))


DEFAULT = Tables()


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A text as handsets and bills count it."""

    alphabet: Alphabet
    units: int
    """Septets or UTF-16 code units."""
    segments: tuple[str, ...]
    tables: Tables = DEFAULT
    """Of the 7-bit alphabet."""

    @property
    def culprits(self) -> str:
        """The characters that the default 7-bit alphabet does not have, each once, in the order of the text."""
        return "".join(char for char in dict.fromkeys("".join(self.segments)) if char not in _GSM)


def _codes(tables: Tables) -> tuple[Mapping[int, int], Mapping[int, int]]:
    locking = GSMCHARMAPS[tables.locking].get("locking") or GSMCHARMAPS[0]["locking"]
    return locking["encode"], GSMCHARMAPS[tables.shift]["singleShift"]["encode"]


@cache
def _costs(tables: Tables) -> Mapping[str, int]:
    basic, extension = _codes(tables)
    twice = {chr(code): 2 for code in extension if chr(code) != _NO_CHARACTER}
    return {**twice, **{chr(code): 1 for code in basic}}


_GSM = _costs(DEFAULT)
_ALL_GSM = re.compile(f"[{re.escape(''.join(_GSM))}]*+")
_TWICE = re.compile(f"[{re.escape(''.join(char for char, cost in _GSM.items() if cost == 2))}]")
_SURROGATE_PAIR = re.compile("[\U00010000-\U0010ffff]")
"""UTF-16 writes it with two units."""


def encode(text: str, tables: Tables = DEFAULT) -> bytes:
    """The septets of a text, one in each octet. Raises ``UnicodeError`` for a character that the tables do not have."""
    basic, extension = _codes(tables)
    octets = bytearray()
    for char in text:
        if (code := basic.get(ord(char))) is not None:
            octets.append(code)
        elif (code := extension.get(ord(char))) is not None and char != _NO_CHARACTER:
            octets += bytes((0x1B, code))
        else:
            raise UnicodeError(f"{char!r} is not in the alphabet")
    return bytes(octets)


@cache
def limits(alphabet: Alphabet, tables: Tables = DEFAULT) -> tuple[int, int]:
    """Units in a single SMS, and in each part of a long one."""
    single = OCTETS - (tables.header_octets + 1 if tables.header_octets else 0)
    part = OCTETS - tables.header_octets - 6
    if alphabet is Alphabet.UCS2:
        return single // 2, part // 2
    return single * 8 // 7, part * 8 // 7


LIMITS = {alphabet: limits(alphabet) for alphabet in Alphabet}


def segment(text: str, national: Sequence[str] = ()) -> Segmentation:
    """Count and cut. Escape pairs and surrogate pairs are never torn apart.

    ``national`` names tables (keys of ``NATIONAL``) that the provider and the handsets know: the way that takes the
    fewest parts is chosen.
    """
    if fits_gsm(text):
        return _segmented(text, Alphabet.GSM7, set(_TWICE.findall(text)))
    ucs2 = _segmented(text, Alphabet.UCS2, set(_SURROGATE_PAIR.findall(text)))
    if not national:
        return ucs2
    letters = set(text)
    ways = [
        _segmented(text, Alphabet.GSM7, {char for char in letters if known[char] == 2}, tables)
        for tables, known in _national(letters, national)
    ]
    return min([*ways, ucs2], key=lambda way: (len(way.segments), way.units))


def _national(letters: Iterable[str], national: Sequence[str]) -> Iterator[tuple[Tables, Mapping[str, int]]]:
    for language in national:
        number = NATIONAL[language]
        for tables in (Tables(0, number), Tables(number, 0), Tables(number, number)):
            known = _costs(tables)
            if all(char in known for char in letters):
                yield tables, known


def _segmented(text: str, alphabet: Alphabet, twice: Set[str], tables: Tables = DEFAULT) -> Segmentation:
    """``twice``: the characters that take two units."""
    single, part = limits(alphabet, tables)
    costs = [2 if char in twice else 1 for char in text] if twice else ()
    units = sum(costs) or len(text)
    if units <= single:
        return Segmentation(alphabet, units, (text,) if text else (), tables)
    if not twice:
        pieces = tuple(text[start : start + part] for start in range(0, units, part))
        return Segmentation(alphabet, units, pieces, tables)
    segments, start, used = [], 0, 0
    for index, cost in enumerate(costs):
        if used + cost > part:
            segments.append(text[start:index])
            start, used = index, 0
        used += cost
    segments.append(text[start:])
    return Segmentation(alphabet, units, tuple(segments), tables)


def count(text: str) -> int:
    """The number of segments; an empty text has none."""
    return len(segment(text).segments)


def alphabet(text: str) -> Alphabet:
    """In which it goes out where no national table is used."""
    return Alphabet.GSM7 if fits_gsm(text) else Alphabet.UCS2


def fits_gsm(text: str) -> bool:
    """Whether the default 7-bit alphabet has all of it."""
    return _ALL_GSM.fullmatch(text) is not None
