"""Header fields without the quadratic corners of ``email.policy.default``: bounded, tolerant, no surprises."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from email.message import Message

from gateway.mail.charset import decode

_ENCODED_WORD = re.compile(r"=\?([A-Za-z0-9_\-.:]{1,60})(?:\*[A-Za-z0-9-]*)?\?([BbQq])\?([^?\s]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\r\n]+(?==\?)")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_ANGLE = re.compile(r"[^<>]*<\s*([^<>\s@]+@[^<>\s@]+)\s*>\s*(?:\([^()]*\)\s*)?")
_BARE = re.compile(r"\s*([^<>\s@,;:\"()]+@[^<>\s@,;:\"()]+)\s*(?:\([^()]*\)\s*)?")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.?)*+("?)', re.DOTALL)
"""Up to the end where it is not closed: searching again from the next quote would take quadratic time."""

UNREADABLE = "<unreadable>"
"""Stands for a From field that is no single address; no allowlist entry but ``*`` matches it."""


def raw(message: Message, name: str) -> list[str]:
    """All fields of that name, unfolded, 8-bit bytes as surrogates."""
    wanted = name.lower()
    return [unfolded(value) for key, value in message.raw_items() if key.lower() == wanted]


def unfolded(value: str) -> str:
    """Without the line breaks of folding (RFC 5322 §2.2.3)."""
    return _FOLD.sub("", value) if "\n" in value else value


def decoded(value: str, undeclared: str) -> str:
    """RFC 2047 encoded words and raw 8-bit text as Unicode.

    Adjacent encoded words of one charset are joined as bytes first: senders cut through characters.
    Raises ``Refused`` (CHARSET) as ``charset.decode`` does.
    """
    value = unfolded(value)
    if "=?" not in value:
        return _plain(value, undeclared)
    value = _BETWEEN_WORDS.sub(r"\1", value)
    text, pending, pending_charset, end = "", b"", "", 0
    for word in _ENCODED_WORD.finditer(value):
        charset, encoding, payload = word.groups()
        if word.start() > end or charset.lower() != pending_charset:
            if pending:
                text += decode(pending, pending_charset, undeclared).text
            text += _plain(value[end : word.start()], undeclared)
            pending = b""
        pending += _word_bytes(encoding, payload)
        pending_charset, end = charset.lower(), word.end()
    if pending:
        text += decode(pending, pending_charset, undeclared).text
    return text + _plain(value[end:], undeclared)


def _plain(value: str, undeclared: str) -> str:
    if value.isascii():
        return value
    return decode(value.encode("utf-8", "surrogateescape"), None, undeclared).text


def _word_bytes(encoding: str, payload: str) -> bytes:
    data = payload.encode("ascii", "replace")
    if encoding in "Qq":
        return _HEX.sub(lambda m: bytes((int(m[1], 16),)), data.replace(b"_", b" "))
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4))
    except binascii.Error:
        return data


def addresses(fields: Iterable[str]) -> tuple[str, ...]:
    """The addr-spec of each From field, lower-cased; ``UNREADABLE`` for anything but one plain address."""
    found = []
    for value in fields:
        bare = _QUOTED.sub(lambda quoted: "" if quoted[1] else quoted[0], value)
        match = _ANGLE.fullmatch(bare) or _BARE.fullmatch(bare)
        found.append(match[1].lower() if match else UNREADABLE)
    return tuple(found)
