"""DKIM (RFC 6376, 8301), by dkimpy, and what dkimpy lets pass and we do not."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from email.message import Message
from email.utils import mktime_tz, parsedate_tz

import dkim
from dkim.util import InvalidTagValueList, parse_tag_value

from gateway.model import Check
from gateway.senders.dns import Lookups, TooMany, Unanswered

MAX_SIGNATURES = 5
MAX_FIELD = 4096
MAX_AGE_S = 5 * 86400.0
"""Older ones are somebody's copies: no MTA tries longer."""
AHEAD_S = 3600.0
MIN_KEY_BITS = 1024
_LARGE = 200_000
_READ_BY_US = ("from", "to", "cc", "subject", "content-type", "content-transfer-encoding")
"""What decides who sends what to whom. Where one stands in the mail it must be signed, and stand there once: dkimpy
looks at the last of several, others at the first."""
_SPACES = re.compile(rb"\s{60}")
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}")


async def signatures(raw: bytes, message: Message, author: str, lookups: Lookups, now: float) -> tuple[Check, ...]:
    """One result for each signature that could speak for the author's domain; ``none`` when there is none.

    ``now`` in seconds since the epoch. Of a body with relaxed canonicalization only its canonical form is given
    to dkimpy, whose own way takes a time that grows with the square of the blanks in a row.
    """
    fields = [value for name, value in message.raw_items() if name.lower() == "dkim-signature"]
    if not fields:
        return (Check("dkim", "none", why="not signed"),)
    found = [
        await _signature(raw, message, index, field, author, lookups, now)
        for index, field in enumerate(fields[:MAX_SIGNATURES])
    ]
    return tuple(found)


async def _signature(
    raw: bytes, message: Message, index: int, field: str, author: str, lookups: Lookups, now: float
) -> Check:
    value = field.encode("utf-8", "surrogateescape")
    try:
        tags = _tags(value)
    except (InvalidTagValueList, ValueError):
        return Check("dkim", "permerror", why="a DKIM-Signature that cannot be read")
    domain, selector = tags["d"].lower(), tags["s"].lower()
    if not _may_align(domain, author):
        return Check("dkim", "neutral", domain, "not of the From domain, not looked at")
    if why := _why_unacceptable(tags, message, now):
        return Check("dkim", "policy", domain, why)
    try:
        keys = await lookups.texts(f"{selector}._domainkey.{domain}")
    except Unanswered as error:
        return Check("dkim", "temperror", domain, f"no answer from DNS for the key ({error})")
    except TooMany:
        return Check("dkim", "permerror", domain, "too many lookups")
    if len(keys) != 1:
        return Check("dkim", "permerror", domain, "no such key" if not keys else "several keys under one selector")
    if _service(keys[0]) not in ("*", "email"):
        return Check("dkim", "permerror", domain, "the key is not for mail")
    relaxed = tags.get("c", "").partition("/")[2] == "relaxed"
    arguments = (raw, message, index, keys[0], relaxed)
    result, why = await asyncio.to_thread(_verify, *arguments) if len(raw) > _LARGE else _verify(*arguments)
    return Check("dkim", result, domain, why, _key(tags) if result == "pass" else "")


def _tags(value: bytes) -> dict[str, str]:
    """Raises ``ValueError`` for what no honest signer writes."""
    if len(value) > MAX_FIELD or _SPACES.search(value):
        raise ValueError("long")
    tags = {
        name.decode("ascii"): re.sub(rb"\s+", b"", content).decode("ascii")
        for name, content in parse_tag_value(value.replace(b"\r\n", b"")).items()
    }
    if not {"v", "a", "b", "bh", "d", "h", "s"} <= tags.keys() or not _NAME.fullmatch(tags["d"].lower()):
        raise ValueError("incomplete")
    return tags


def _may_align(signer: str, author: str) -> bool:
    """They share the last two labels. Others are not asked for: whoever can have us ask any server of his may."""
    return signer.split(".")[-2:] == author.split(".")[-2:]


def _why_unacceptable(tags: dict[str, str], message: Message, now: float) -> str:
    signed = Counter(tags["h"].lower().split(":"))
    there = Counter(name.lower() for name in message.keys())  # noqa: SIM118  (a message yields no names)
    doubled = [name for name in _READ_BY_US if there[name] > 1]
    unsigned = [name for name in _READ_BY_US if there[name] > signed[name]]
    signed_at = _signed_at(tags, message, signed)
    reasons = (
        (tags["a"] not in ("rsa-sha256", "ed25519-sha256"), "the algorithm is not rsa-sha256"),
        ("l" in tags, "l= leaves the end of the text unsigned"),
        (bool(doubled), f"more than one field {', '.join(doubled)}"),
        (bool(unsigned), f"h= leaves {', '.join(unsigned)} unsigned"),
        (signed_at is None, "neither t= nor a signed Date tells its age"),
        (signed_at is not None and now - signed_at > MAX_AGE_S, "signed more than 5 days ago"),
        (signed_at is not None and signed_at - now > AHEAD_S, "signed in the future"),
        (tags.get("x", "").isdigit() and int(tags["x"][:15]) < now, "x= is past"),
    )
    return next((why for holds, why in reasons if holds), "")


def _signed_at(tags: dict[str, str], message: Message, signed: Counter[str]) -> float | None:
    if tags.get("t", "").isdigit():
        return float(tags["t"][:15])
    dates = message.get_all("Date", [])
    if len(dates) != 1 or not signed["date"]:
        return None
    try:
        parsed = parsedate_tz(str(dates[0]))
        return float(mktime_tz(parsed)) if parsed else None
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _service(record: bytes) -> str:
    try:
        return str(parse_tag_value(record).get(b"s", b"*"), "ascii").split(":")[0].strip()
    except (InvalidTagValueList, UnicodeDecodeError):
        return ""


def _verify(raw: bytes, message: Message, index: int, key: bytes, relaxed: bool) -> tuple[str, str]:
    head, separator, body = raw.partition(b"\r\n\r\n")
    try:
        checked = dkim.DKIM(head + separator + (_relaxed(body) if relaxed else body), minkey=MIN_KEY_BITS)
        names = [name.decode("ascii").lower() for name, _ in checked.headers]
        if names != [name.lower() for name in message.keys()]:  # noqa: SIM118
            return "permerror", "a header that can be read in two ways"
        passes = bool(checked.verify(index, dnsfunc=lambda name, timeout: key))
    except dkim.NaClNotFoundError:
        return "permerror", "an ed25519 key, for which PyNaCl is not installed"
    except dkim.KeyFormatError:
        return "policy", f"a key under {MIN_KEY_BITS} bits"
    except dkim.ValidationError as error:
        return "fail", "the text was changed" if "body hash" in str(error) else "a malformed signature"
    except Exception as error:  # dkimpy raises what it meets, and the sender chooses that
        return "permerror", f"cannot be checked ({type(error).__name__})"
    if passes:
        return "pass", ""
    return ("fail", "the signature does not match") if checked.keysize else ("permerror", "a key that cannot be used")


def _relaxed(body: bytes) -> bytes:
    """RFC 6376 §3.4.4 without the empty lines at the end; in a time that grows with the length only."""
    body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    return body.replace(b" \r\n", b"\r\n")


def _key(tags: dict[str, str]) -> str:
    named = "\0".join((tags["d"].lower(), tags["s"].lower(), tags["b"]))
    return hashlib.sha256(named.encode()).hexdigest()
