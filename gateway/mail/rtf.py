"""RTF → the text that a person sees in it, in one pass.

HTML that Outlook wrapped in RTF (MS-OXRTFEX) needs no unwrapping: the tags stand in destinations that no reader of
RTF shows, and the line breaks stand beside them as RTF.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from gateway.mail.charset import of_code_page
from gateway.verdicts import CHARSET_UNDECODABLE, Refused

_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,9})? ?|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<symbol>.)|(?P<brace>[{}])"
    rb"|[\r\n\0]+|(?P<text>[^\\{}\r\n\0]+)|.",
    re.DOTALL,
)
_BREAKS = {b"par": "\n", b"line": "\n", b"row": "\n", b"sect": "\n", b"page": "\n", b"tab": "\t", b"cell": " "}
_WORDS = _BREAKS | {
    b"nestcell": " ",
    b"nestrow": "\n",
    b"emdash": "\u2014",
    b"endash": "\u2013",
    b"lquote": "\u2018",
    b"rquote": "\u2019",
    b"ldblquote": "\u201c",
    b"rdblquote": "\u201d",
    b"bullet": "\u2022",
    b"emspace": " ",
    b"enspace": " ",
    b"qmspace": " ",
    b"zwj": "\u200d",
    b"zwnj": "\u200c",
    b"ltrmark": "\u200e",
    b"rtlmark": "\u200f",
}
_SYMBOLS = {b"~": "\u00a0", b"_": "\u2011", b"{": "{", b"}": "}", b"\\": "\\", b"\n": "\n", b"\r": "\n"}
_NOT_SHOWN = frozenset(
    b"fonttbl colortbl stylesheet info pict object header headerl headerr headerf footer footerl footerr footerf"
    b" footnote annotation filetbl listtable listoverridetable revtbl rsidtbl fldinst bkmkstart bkmkend themedata"
    b" colorschememapping datastore latentstyles xmlnstbl generator private shp shpinst nonshppict nonesttables".split()
)
_CHARSETS = {  # \fcharset, RTF 1.9.1 p. 17, as Windows code pages
    77: 10000,
    128: 932,
    129: 949,
    130: 1361,
    134: 936,
    136: 950,
    161: 1253,
    162: 1254,
    163: 1258,
    177: 1255,
    178: 1256,
    186: 1257,
    204: 1251,
    222: 874,
    238: 1250,
    254: 437,
    255: 850,
}


@dataclass(frozen=True, slots=True)
class _Group:
    """What a closing brace restores."""

    shown: bool = True
    fonts: bool = False
    """In the font table."""
    hidden: bool = False
    font: int = -1
    after_unicode: int = 1
    r"""Characters that stand for a \u in readers without Unicode."""


@dataclass(slots=True)
class _Reader:
    """Where the pass is."""

    code_page: int
    group: _Group = field(default_factory=_Group)
    outer: list[_Group] = field(default_factory=list)
    fonts: dict[int, int] = field(default_factory=dict)
    skip: int = 0
    pending: bytearray = field(default_factory=bytearray)
    out: list[str] = field(default_factory=list)


def to_text(data: bytes, code_page: int) -> str:
    r"""The visible text. ``code_page``: of 8-bit letters, where the document names none (``\ansicpg``).

    Raises ``Refused`` (CHARSET) for letters that the document's charset does not have.
    """
    reader = _Reader(code_page or 1252)
    at = 0
    while match := _TOKEN.match(data, at):
        at = match.end()
        if match["hex"]:
            _octets(reader, bytes.fromhex(match["hex"].decode("ascii")), 1)
        elif match["text"]:
            _octets(reader, match["text"], len(match["text"]))
        elif match["word"]:
            if match["word"] == b"bin":
                at += max(0, int(match["number"] or 0))
            _word(reader, match["word"], int(match["number"]) if match["number"] else None)
        elif match["symbol"]:
            _symbol(reader, match["symbol"])
        elif match["brace"]:
            _brace(reader, match["brace"])
    _flush(reader)
    return "".join(reader.out).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _brace(reader: _Reader, brace: bytes) -> None:
    _flush(reader)
    reader.skip = 0
    if brace == b"{":
        reader.outer.append(reader.group)
    elif reader.outer:
        reader.group = reader.outer.pop()


def _octets(reader: _Reader, octets: bytes, characters: int) -> None:
    skipped = min(reader.skip, characters)
    reader.skip -= skipped
    if reader.group.shown and not reader.group.hidden:
        reader.pending += octets[skipped:]


def _symbol(reader: _Reader, symbol: bytes) -> None:
    if symbol == b"*":  # a destination that may be left out, and is
        reader.group = replace(reader.group, shown=False)
    elif reader.skip:
        reader.skip -= 1
    else:
        _show(reader, _SYMBOLS.get(symbol, ""))


def _word(reader: _Reader, word: bytes, number: int | None) -> None:
    _flush(reader)
    group = reader.group
    match word:
        case b"ansicpg":
            reader.code_page = number or reader.code_page
        case b"fonttbl":
            reader.group = replace(group, shown=False, fonts=True)
        case b"f" if number is not None:
            reader.group = replace(group, font=number)
        case b"fcharset" if group.fonts and number in _CHARSETS:
            reader.fonts[group.font] = _CHARSETS[number]
        case b"v":
            reader.group = replace(group, hidden=number != 0)
        case b"plain":
            reader.group = replace(group, hidden=False)
        case b"uc":
            reader.group = replace(group, after_unicode=min(max(number or 0, 0), 8))
        case b"u" if number is not None:
            _show(reader, chr(number % 0x10000))
            reader.skip = group.after_unicode
        case _ if word in _NOT_SHOWN:
            reader.group = replace(group, shown=False)
        case _:
            _show(reader, _WORDS.get(word, ""))


def _show(reader: _Reader, text: str) -> None:
    if text and reader.group.shown and not reader.group.hidden:
        _flush(reader)
        reader.out.append(text)


def _flush(reader: _Reader) -> None:
    """8-bit letters become text when no more can follow: one letter may have two octets."""
    if not reader.pending:
        return
    charset = of_code_page(reader.fonts.get(reader.group.font, reader.code_page))
    try:
        reader.out.append(reader.pending.decode(charset))
    except (UnicodeError, LookupError):
        raise Refused(CHARSET_UNDECODABLE, charset=charset, position=0) from None
    reader.pending.clear()
