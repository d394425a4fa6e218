"""Texts in Latin letters: Russian by a scheme of iuliia, Ukrainian by the state's table, the rest by anyascii.

The result has only characters of the default 7-bit alphabet, so an SMS holds 160 of them instead of 70.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from anyascii import anyascii

from gateway.sms.segments import fits_gsm

SCHEMES: Mapping[str, str] = {
    "wikipedia": "wikipedia",
    "icao": "icao_doc_9303",
    "gost": "gost_7034",
    "mvd": "mvd_782",
    "telegram": "telegram",
}
"""For Russian: as Wikipedia, passports (ICAO Doc 9303), GOST 7.0.34, older passports, telegrams."""

_UKRAINIAN = frozenset("ґєіїҐЄІЇ")
_TABLE: Mapping[str, str] = {
    "а": "a",
    "б": "b",
    "в": "v",
    "г": "h",
    "ґ": "g",
    "д": "d",
    "е": "e",
    "є": "ie",
    "ж": "zh",
    "з": "z",
    "и": "y",
    "і": "i",
    "ї": "i",
    "й": "i",
    "к": "k",
    "л": "l",
    "м": "m",
    "н": "n",
    "о": "o",
    "п": "p",
    "р": "r",
    "с": "s",
    "т": "t",
    "у": "u",
    "ф": "f",
    "х": "kh",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "щ": "shch",
    "ь": "",
    "ю": "iu",
    "я": "ia",
}
"""Resolution 55 of Ukraine's Cabinet of Ministers, 2010-01-27. An apostrophe inside a word is left out."""
_AT_THE_BEGINNING: Mapping[str, str] = {"є": "ye", "ї": "yi", "й": "y", "ю": "yu", "я": "ya"}
_WORD = re.compile(r"[А-Яа-яҐґЄєІіЇїЁё](?:['’ʼ]?[А-Яа-яҐґЄєІіЇїЁё])*")


def transliterate(text: str, scheme: str = "wikipedia") -> str:
    """Cyrillic by the book, other letters as they look; what the 7-bit alphabet has stays as it is."""
    if fits_gsm(text):
        return text
    by_the_book = _WORD.sub(lambda match: _ukrainian(match[0]), text) if _UKRAINIAN & set(text) else text
    by_the_book = _scheme(scheme).translate(by_the_book)
    return "".join(char if fits_gsm(char) else _looks_like(char) for char in by_the_book)


@cache
def _scheme(name: str) -> Any:
    import iuliia  # noqa: PLC0415  (reads thirty files, for texts that are written anew only)

    return iuliia.schemas.get(SCHEMES[name])


def _looks_like(char: str) -> str:
    latin = anyascii(char).replace("`", "'")
    return latin if fits_gsm(latin) else " "


def _ukrainian(word: str) -> str:
    letters = [char for char in word if char not in "'’ʼ"]
    shouts = len(letters) > 1 and word.isupper()
    written = []
    for index, letter in enumerate(letters):
        low = letter.lower()
        before = letters[index - 1].lower() if index else ""
        latin = "gh" if low == "г" and before == "з" else _TABLE.get(low, letter)
        latin = _AT_THE_BEGINNING.get(low, latin) if not index else latin
        written.append(latin.upper() if shouts else latin.capitalize() if letter.isupper() else latin)
    return "".join(written)
