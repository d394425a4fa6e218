"""Numbers out of a table, as office programs save it: any separator, a heading or none, other columns beside."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

from gateway.sms import numbers
from gateway.verdicts import NUMBER_NOT_A_NUMBER, NUMBER_SHORTENED, Refusal, Refused

MAX_LINES = 300_000
"""More are no list any more: a number takes some 40 microseconds to check."""
_SEPARATORS = (";", "\t", ",", "|")
_SAMPLE = 100
_HEADING = re.compile(r"phone|mobile|cell|msisdn|number|tel|тел|номер|моб|сот", re.IGNORECASE)
_SHORTENED = re.compile(r"\d([.,]\d+)?e\+\d+", re.IGNORECASE)
_DECIMALS = re.compile(r"[.,]0+$")
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Unreadable(Exception):
    """No table of numbers. The argument says why: ``workbook``, ``long``, ``broken``, ``empty``."""


@dataclass(frozen=True, slots=True)
class Line:
    """One that is not taken."""

    number: int
    """From 1, as editors count."""
    typed: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Sheet:
    """What was found."""

    numbers: tuple[str, ...]
    """E.164 digits, each once, in the order of the table."""
    refused: tuple[Line, ...]
    repeated: int
    charset: str
    separator: str
    """Empty: one column."""
    heading: str
    """Of the column that was taken; empty: there is none."""


def read(raw: bytes, country: str = "") -> Sheet:
    """``country`` (ISO 3166) is that of numbers without a country code: ``8 910 123-45-67`` with ``RU``. Raises
    ``Unreadable``."""
    text, charset = _decoded(raw)
    separator = _separator(text)
    rows = _rows(text, separator)
    if not rows:
        raise Unreadable("empty")
    heading: list[str] = []
    if len(rows) > 1 and not any(_is_like_a_number(cell) for cell in rows[0][1]):
        heading = rows.pop(0)[1]
    columns = _columns(rows, heading, country)
    found: dict[str, None] = {}
    refused: list[Line] = []
    repeated = 0
    for line, cells in rows:
        mine = [cell for index, cell in enumerate(cells) if (columns is None or index in columns) and cell.strip()]
        for cell in mine or [" ".join(cells)]:
            for typed in _split(cell, country):
                try:
                    number = _parsed(typed, country)
                except Refused as wrong:
                    refused.append(Line(line, typed.strip()[:40], wrong.refusal))
                    continue
                repeated += number in found
                found[number] = None
    names = [heading[index].strip() for index in sorted(columns or ()) if index < len(heading)]
    return Sheet(tuple(found), tuple(refused), repeated, charset, separator, ", ".join(names))


def _decoded(raw: bytes) -> tuple[str, str]:
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise Unreadable("workbook")
    charset = next((name for bom, name in _BOMS.items() if raw.startswith(bom)), "utf-8")
    try:
        return raw.decode(charset), charset.removesuffix("-sig")
    except UnicodeDecodeError:
        return raw.decode("windows-1251", "replace"), "windows-1251"


def _separator(text: str) -> str:
    """The one that cuts most of the first lines into equally many fields. Empty: none does."""
    lines = [line for line in text.splitlines()[:_SAMPLE] if line.strip()]
    best, most = "", 0
    for separator in _SEPARATORS:
        counts = Counter(line.count(separator) for line in lines)
        counts.pop(0, None)
        if counts and (alike := max(counts.values())) > most and alike * 2 > len(lines):
            best, most = separator, alike
    return best


def _rows(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """With the numbers of their lines; blank ones are left out."""
    if separator:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        rows: list[tuple[int, list[str]]] = []
        try:
            rows.extend((reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells))
        except csv.Error:
            raise Unreadable("broken") from None
    else:
        rows = [(at, [line.strip().strip('"')]) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(rows) > MAX_LINES:
        raise Unreadable("long")
    return rows


def _columns(rows: list[tuple[int, list[str]]], heading: list[str], country: str) -> set[int] | None:
    """Those with the numbers. None: all, there is nothing else."""
    hits: Counter[int] = Counter()
    widest = 0
    for _, cells in rows[:_SAMPLE]:
        widest = max(widest, len(cells))
        hits.update(index for index, cell in enumerate(cells) if _is_number(cell, country))
    named = {index for index, name in enumerate(heading) if _HEADING.search(name) and hits[index]}
    if named:
        return {max(named, key=lambda index: (hits[index], -index))}
    if not hits or len(hits) == widest:
        return None
    return {max(hits, key=lambda index: (hits[index], -index))}


def _is_like_a_number(cell: str) -> bool:
    return sum(char.isdigit() for char in cell) >= 5 or bool(_SHORTENED.search(cell))


def _is_number(cell: str, country: str) -> bool:
    try:
        _parsed(cell, country)
    except Refused:
        return False
    return True


def _split(cell: str, country: str) -> tuple[str, ...]:
    """Several numbers of one person may stand in one field."""
    if _is_number(cell, country):
        return (cell,)
    parts = [part for part in re.split(r"[,;/\n]", cell) if part.strip()]
    return tuple(parts) if len(parts) > 1 and all(_is_like_a_number(part) for part in parts) else (cell,)


def _parsed(typed: str, country: str) -> str:
    bare = typed.strip().strip("\"'=\ufeff\xa0 ")
    if _SHORTENED.fullmatch(bare):
        raise Refused(NUMBER_SHORTENED, number=bare[:20])
    bare = _DECIMALS.sub("", bare) if bare.count(".") + bare.count(",") == 1 else bare
    if not bare:
        raise Refused(NUMBER_NOT_A_NUMBER, number="")
    return numbers.parse_in(bare.replace("\xa0", " "), country)
