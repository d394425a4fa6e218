"""Which charset a text is in: what the mail declares, else the dialect's rule. Nothing is sent garbled."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

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
}
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
    counts as none: then valid UTF-8 wins over ``undeclared``.

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
    if codec in _LATIN and _LETTERS_OF_ANOTHER_SCRIPT.search(data):
        return _undeclared(data, undeclared, f"{name} declared, but the letters are not Latin")
    if not codec.startswith(("utf", "gb", "big5", "euc", "shift")) and _is_cyrillic_utf8(data):
        return Decoded(data.decode("utf-8"), "utf-8", f"{name} declared, but the bytes are UTF-8")
    return Decoded(_strict(data, codec), name, "declared")


def _undeclared(data: bytes, undeclared: str, because: str) -> Decoded:
    if data.isascii():
        return Decoded(data.decode("ascii"), "us-ascii", because)
    try:
        return Decoded(data.decode("utf-8"), "utf-8", f"{because}; valid UTF-8")
    except UnicodeDecodeError:
        return Decoded(_strict(data, undeclared), undeclared, f"{because}; not UTF-8, so the dialect's charset")


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
    if len(_CYRILLIC_IN_UTF8.findall(data)) < 3:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _printable(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "?", name)[:40]
