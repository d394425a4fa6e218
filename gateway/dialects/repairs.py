"""What mailers do to the lines of a template on their way, undone where there is one way to understand it.

A repair may not choose a number: what shows one number and links to another is refused.
"""

from __future__ import annotations

import re

from gateway.sms.numbers import is_number, mask
from gateway.verdicts import LINK_DIFFERS, Refused

_LINK = re.compile(r"\s?[<\[](?:tel|mailto|callto|sms):(?://)?([^<>\[\]\s]{1,200})[>\]]", re.IGNORECASE)
_QUOTED = re.compile(r"[“„«‟]([^“”„«»‟]*)[”“»]|\"([^\"]*)\"")
_TRUNK = re.compile(r"8[ \-.]?\(?9\d{2}\)?(?:[ \-.]?\d){7}")
"""Dialled inside Russia, to a mobile phone. No country code begins with 89, so it can mean nothing else."""
_NOT_DIGIT = re.compile(r"\D")


def without_links(value: str) -> str:
    """``79101234567<tel:+79101234567>`` → the number, and ``<tel:+79101234567>`` alone too; for logins as well.
    Raises ``Refused`` (FORMAT) where the link says something else than what is shown."""
    if "<" not in value and "[" not in value:
        return value
    shown: list[str] = []
    start = 0
    for link in _LINK.finditer(value):
        before = value[start : link.start()]
        visible = re.split(r"[,;]", before)[-1].strip()
        if visible and _plain(visible) != _plain(link[1]):
            raise Refused(LINK_DIFFERS, number=mask(visible))
        shown.append(before if visible else before + link[1])
        start = link.end()
    return "".join([*shown, value[start:]])


def _plain(value: str) -> str:
    """For comparing: a number's digits as they are dialled from abroad, anything else without its letter case."""
    number = international(value)
    digits = _NOT_DIGIT.sub("", number)
    return digits if is_number(number) else value.casefold()


def without_quotes(value: str) -> str:
    """Quotation marks around the whole of a value."""
    match = _QUOTED.fullmatch(value)
    return (match[1] or match[2] or "").strip() if match else value


def international(number: str) -> str:
    """``8 (910) 123-45-67`` → ``79101234567``; anything else stays."""
    number = number.strip()
    return "7" + _NOT_DIGIT.sub("", number)[1:] if _TRUNK.fullmatch(number) else number


def numbers(field: str) -> str:
    """Each number of a field that separates them by comma or semicolon, made international."""
    return ",".join(map(international, re.split(r"[,;\n]", field)))
