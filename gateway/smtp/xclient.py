"""XCLIENT: an MTA in front tells who its client is (https://www.postfix.org/XCLIENT_README.html)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from gateway.smtp.limits import UNKNOWN

OFFER = "XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT"
_KNOWN = frozenset({"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"})
_NOT_TOLD = frozenset({"[UNAVAILABLE]", "[TEMPUNAVAIL]"})
_ATTRIBUTE = re.compile(r"([A-Za-z]{1,16})=([!-~]{1,512})")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")


class BadXclient(Exception):
    """The message says why, for a 501 reply."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the MTA says. None: nothing; empty: that it does not know."""

    addr: str | None = None
    """An IP address, or ``UNKNOWN``."""
    helo: str | None = None
    login: str | None = None


def parse(argument: str) -> Told:
    """``ADDR=192.0.2.7 HELO=client.example`` → ``Told``. Values are xtext (RFC 3461 §4). Raises ``BadXclient``."""
    given: dict[str, str] = {}
    for part in argument.split():
        match = _ATTRIBUTE.fullmatch(part)
        if match is None or match[1].upper() not in _KNOWN:
            raise BadXclient("that is no attribute of XCLIENT")
        if match[1].upper() in given:
            raise BadXclient("an attribute twice")
        given[match[1].upper()] = "" if match[2].upper() in _NOT_TOLD else _decoded(match[2])
    if not given:
        raise BadXclient("give attributes")
    if given.get("PROTO", "SMTP").upper() not in ("SMTP", "ESMTP", ""):
        raise BadXclient("PROTO is SMTP or ESMTP")
    addr = _address(given["ADDR"]) if "ADDR" in given else None
    return Told(addr, given.get("HELO"), given.get("LOGIN"))


def _address(text: str) -> str:
    if not text:
        return UNKNOWN
    try:
        return str(ip_address(text[5:] if text.upper().startswith("IPV6:") else text))
    except ValueError:
        raise BadXclient("ADDR is no IP address") from None


def _decoded(text: str) -> str:
    if _XTEXT.fullmatch(text) is None:
        raise BadXclient("that is no xtext")
    raw = re.sub(rb"\+([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode())
    plain = raw.decode("utf-8", "replace")
    if not plain.isprintable():
        raise BadXclient("control characters")
    return plain
