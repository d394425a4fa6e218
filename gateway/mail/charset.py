"""Which charset a text is in: what the mail declares, else the dialect's rule. Nothing is sent garbled."""

from __future__ import annotations

import codecs
import re
from binascii import a2b_base64
from dataclasses import dataclass
from functools import lru_cache

from gateway.verdicts import CHARSET_UNDECODABLE, CHARSET_UNKNOWN, Refused

_SAYS_NOTHING = frozenset(
    {"", "none", "unknown", "unknown-8bit", "x-unknown", "8bit", "7bit", "binary", "default", "ansi"}
)
_ALIASES = {
    "win-1251": "windows-1251",
    "win1251": "windows-1251",
    "windows1251": "windows-1251",
    "cp-1251": "windows-1251",
    "x-cp1251": "windows-1251",
    "ansi-1251": "windows-1251",
    "koi8": "koi8-r",
    "x-mac-cyrillic": "mac-cyrillic",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "x-utf-8": "utf-8",
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc-jp",
    "x-windows-949": "cp949",
    "iso-8859-6-i": "iso-8859-6",
    "iso-8859-6-e": "iso-8859-6",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "cp-850": "cp850",
    "cp-866": "cp866",
}
_REALLY = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "iso2022_jp": "iso2022_jp_ext",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
    "iso8859-11": "cp874",
}
"""What senders mean where the charset that they name is too small (the labels of the WHATWG Encoding Standard)."""
_C1 = re.compile(rb"[\x80-\x9f]")
"""Controls in ISO 8859, which nobody sends; letters and quotes in Windows's larger charsets."""
_PAGES = {
    1200: "utf-16-le",
    1201: "utf-16-be",
    10000: "mac-roman",
    10007: "mac-cyrillic",
    1361: "johab",
    20127: "ascii",
    20866: "koi8-r",
    21866: "koi8-u",
    20932: "euc-jp",
    51932: "euc-jp",
    51949: "euc-kr",
    51936: "gb18030",
    54936: "gb18030",
    936: "gb18030",
    65001: "utf-8",
} | dict.fromkeys((50220, 50221, 50222), "iso-2022-jp")
_UTF16_BOMS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_ISO_2022 = re.compile(rb"\x1b\$[@AB()]")
"""Shifts to a two-byte set. ``ESC ( B`` alone is no proof: terminals' colours end in it."""
_UTF_7 = re.compile(rb"\+(B[A-P][A-Za-z0-9+/]{6,})")
"""Four letters or more of U+0400 to U+04FF. Numbers with a plus begin otherwise."""
_SUPPORTED = re.compile(
    r"ascii|utf-(8|8-sig|16|16-le|16-be|32|32-le|32-be)|iso8859-\d+|cp\d+|koi8-[rut]|mac-\w+|ptcp154"
    r"|gb\w+|big5\w*|shift_?jis\w*|euc_\w+|iso2022_\w+|hz|johab|tis-620|latin-1"
)
"""Codecs that are charsets. Python's others (utf-7, base64, zlib, punycode …) may not be named by a mail."""
_CYRILLIC_IN_UTF8 = re.compile(rb"(?:\xd0[\x81\x84\x86\x87\x90-\xbf]|\xd1[\x80-\x8f\x91\x94\x96\x97]|\xd2[\x90\x91])")
_LATIN = frozenset({"iso8859-1", "cp1252", "iso8859-15"})
_LETTERS_OF_ANOTHER_SCRIPT = re.compile(rb"[\xc0-\xff]{4}")
_UTF8_BOM = codecs.BOM_UTF8


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text, the charset that it was read in, and why that one."""

    text: str
    charset: str
    why: str


def decode(data: bytes, declared: str | None, undeclared: str) -> Decoded:
    """Read ``data`` in the declared charset; ``undeclared`` is the dialect's charset for mails that name none.

    A UTF-8 byte order mark wins over everything. A declaration that the bytes plainly contradict (8-bit
    bytes in us-ascii; Cyrillic UTF-8 in a single-byte charset; whole words of letters 0xC0–0xFF in Latin-1)
    counts as none: then valid UTF-8 wins over ``undeclared``. A declared charset that is too small gives way to
    its larger relative (gb2312 to gb18030, shift_jis to Windows's). Text in 7 bits that is plainly UTF-7 or ISO-2022
    and does not say so is refused.

    Raises ``Refused`` (CHARSET) for an unknown charset and for bytes that it cannot decode.
    """
    if data.startswith(_UTF8_BOM):
        return Decoded(_strict(data[3:], "utf-8"), "utf-8", "byte order mark")
    name = _ALIASES.get(given := (declared or "").strip().lower(), given)
    if name in _SAYS_NOTHING:
        return _undeclared(data, undeclared, "no charset declared")
    codec = _codec(name)
    if codec == "ascii" and not data.isascii():
        return _undeclared(data, undeclared, "us-ascii declared, but there are 8-bit bytes")
    if codec == "ascii":
        _refuse_shifts(data)
    if codec in _LATIN and _LETTERS_OF_ANOTHER_SCRIPT.search(data):
        return _undeclared(data, undeclared, f"{name} declared, but the letters are not Latin")
    if not codec.startswith(("utf", "gb", "big5", "euc", "shift")) and _is_cyrillic_utf8(data):
        return Decoded(data.decode("utf-8"), "utf-8", f"{name} declared, but the bytes are UTF-8")
    exact = _attempt(data, codec)
    if exact is None and not data.isascii() and (utf8 := _attempt(data, "utf-8")) is not None:
        return Decoded(utf8, "utf-8", f"{name} declared, but the bytes are UTF-8")
    if (exact is None or (codec.startswith("iso8859") and _C1.search(data))) and codec in _REALLY:
        larger = _attempt(data, _REALLY[codec])
        if larger is not None:
            return Decoded(larger, _REALLY[codec], f"{name} declared, but the text needs its larger relative")
    return Decoded(_strict(data, codec) if exact is None else exact, name, "declared")


def _attempt(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeError:
        return None


def of_code_page(number: int) -> str:
    """The charset that Windows means by a number."""
    if 28591 <= number <= 28606:
        return f"iso8859-{number - 28590}"
    return _PAGES.get(number, f"cp{number}")


def _undeclared(data: bytes, undeclared: str, because: str) -> Decoded:
    if data.isascii():
        _refuse_shifts(data)
        return Decoded(data.decode("ascii"), "us-ascii", because)
    if (utf16 := _UTF16_BOMS.get(data[:2])) and len(data) % 2 == 0:
        return Decoded(_strict(data[2:], utf16), utf16, "byte order mark")
    if (utf8 := _attempt(data, "utf-8")) is not None:
        return Decoded(utf8, "utf-8", f"{because}; valid UTF-8")
    return Decoded(_strict(data, undeclared), undeclared, f"{because}; not UTF-8, so the dialect's charset")


def _refuse_shifts(data: bytes) -> None:
    if shift := _ISO_2022.search(data):
        raise Refused(CHARSET_UNDECODABLE, charset="us-ascii", position=shift.start())
    for run in _UTF_7.finditer(data):
        letters = run[1][: len(run[1]) // 8 * 8]  # 8 letters of base64 are 3 of the text
        if all(
            "\u0400" <= char <= "\u04ff" or char in " ,.-!?"
            for char in a2b_base64(letters).decode("utf-16-be", "replace")
        ):
            raise Refused(CHARSET_UNKNOWN, charset="utf-7")


@lru_cache(maxsize=256)
def _codec(name: str) -> str:
    try:
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        codec = ""
    if not _SUPPORTED.fullmatch(codec):
        raise Refused(CHARSET_UNKNOWN, charset=_printable(name))
    return codec


def _strict(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset)
    except UnicodeError as error:
        position = error.start if isinstance(error, UnicodeDecodeError) else 0
        raise Refused(CHARSET_UNDECODABLE, charset=charset, position=position) from None


def _is_cyrillic_utf8(data: bytes) -> bool:
    """At least three Russian or Ukrainian letters, nothing that is not valid UTF-8."""
    if data.isascii() or _attempt(data, "utf-8") is None:
        return False
    return len(_CYRILLIC_IN_UTF8.findall(data)) >= 3


def _printable(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "?", name)[:40]
