"""Paths and parameters of MAIL and RCPT (RFC 5321 §4.1.2), strictly: what is accepted here ends in allowlists,
mail headers and logs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_ADDRESS = 320
# By what they do not hold: to compile a set up to U+10FFFF takes some ten milliseconds at each start.
_ATOM = r'[^\x00-\x20"(),.:;<>@\[\\\]\x7f-\xa0]+'
_LOCAL = rf'(?:{_ATOM}(?:\.{_ATOM})*|"(?:[^\x00-\x1f"\\\x7f-\xa0]|\\[ -~])*")'
_LETTER = r"[^\x00-/:-@\[-^`{-\xa0]"
_LABEL = rf"{_LETTER}(?:[^\x00-,./:-@\[-^`{{-\xa0]*{_LETTER})?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.IPv]+\])"
_MAILBOX = rf"{_LOCAL}(?:@{_DOMAIN})?"
_SOURCE_ROUTE = r"(?:@[A-Za-z0-9.-]+(?:,@[A-Za-z0-9.-]+)*:)?"
_PATH = re.compile(rf"\s*<{_SOURCE_ROUTE}({_MAILBOX}|)>(?:\s+(.*))?\s*")
_BARE_PATH = re.compile(rf"\s*({_MAILBOX})(?:\s+(.*))?\s*")
_LIST = re.compile(r'\s*TO\s*:\s*<?([^<>"@\s;,][^<>";,=]*(?:[;,][^<>";,=]*)+)>?(\s+\S+=.*)?', re.IGNORECASE)
_SCHEME = re.compile(r'"?(?:sms|tel|smsto):(\+?[0-9]+)"?', re.IGNORECASE)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]*))?")


class BadPath(Exception):
    """Not an address; the message is the rest of a 501 reply."""


@dataclass(frozen=True, slots=True)
class Path:
    """An address (empty: the null reverse-path) and the ESMTP parameters behind it, keys in upper case."""

    address: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse(argument: str, keyword: str, *, lenient: bool) -> Path:
    """``FROM:<a@b> SIZE=1`` → ``Path``. ``lenient``: devices leave out the brackets. Raises ``BadPath``."""
    head, colon, rest = argument.partition(":")
    if not colon or head.strip().upper() != keyword:
        raise BadPath(f"5.5.4 syntax: {'MAIL' if keyword == 'FROM' else 'RCPT'} {keyword}:<address>")
    match = _PATH.fullmatch(rest) or (_BARE_PATH.fullmatch(rest) if lenient else None)
    address, parameters = match.groups() if match is not None else (None, None)
    # Not printable: line separators, invisible letters, those that turn the direction of writing.
    if address is None or len(address.encode()) > MAX_ADDRESS or not address.isprintable():
        raise BadPath(f"5.1.{7 if keyword == 'FROM' else 3} that is no address")
    return Path(address.removesuffix("."), _parameters(parameters) if parameters else {})


def listed(argument: str) -> list[str]:
    """``TO:<a@b; c@d>``, as devices write a field of theirs into one command → ``TO:<a@b>`` and ``TO:<c@d>``."""
    match = _LIST.fullmatch(argument)
    if match is None:
        return [argument]
    parts = [part.strip() for part in re.split(r"[;,]", match[1])]
    return [f"TO:<{part}>{match[2] or ''}" for part in parts if part]


def completed(address: str, home_domain: str) -> tuple[str, bool, bool]:
    """A recipient of a device with what is missing, and what that was: the domain; a ``sms:`` that is too much."""
    local, at, domain = address.rpartition("@") if "@" in address else (address, "", "")
    scheme = _SCHEME.fullmatch(local)
    if scheme is not None:
        local = scheme[1]
    completes = not at and bool(home_domain)
    return f"{local}@{home_domain}" if completes else f"{local}{at}{domain}", completes, scheme is not None


def _parameters(text: str) -> dict[str, str]:
    found = {}
    for part in text.split():
        match = _PARAMETER.fullmatch(part)
        if match is None:
            raise BadPath("5.5.4 that is no parameter")
        found[match[1].upper()] = match[2] or ""
    return found
