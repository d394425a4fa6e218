"""DMARC (RFC 9989): whether a signer's domain may speak for the From domain, by what both publish.

The organizational domain is found by walking up the DNS tree (§4.10), not by the Public Suffix List: there is no
list to keep fresh, and the answer is the domains' own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.model import Check
from gateway.senders.dns import Lookups, TooMany, Unanswered

MAX_LABELS = 8
_TAG = re.compile(r"\s*([a-z]+)\s*=\s*([^;]*?)\s*")
_VERSION = re.compile(rb"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a domain stands: its organizational domain, and the policy that holds for it."""

    organization: str
    policy: dict[str, str] | None


async def aligned(author: str, signers: Iterable[str], lookups: Lookups) -> Check:
    """``pass`` when one of the signers, whose signatures have been found right, is aligned with the author."""
    try:
        place = await _place(author, lookups)
        if place.policy is None:
            return Check("dmarc", "none", author, "the domain publishes no DMARC record")
        relaxed = place.policy.get("adkim", "r").lower() != "s"
        for signer in signers:
            if signer == author or (relaxed and (await _place(signer, lookups)).organization == place.organization):
                return Check("dmarc", "pass", author, f"signed by {signer}")
    except Unanswered as error:
        return Check("dmarc", "temperror", author, f"no answer from DNS ({error})")
    except TooMany:
        return Check("dmarc", "permerror", author, "too many lookups")
    return Check("dmarc", "fail", author, f"no aligned signature; the domain asks for {_wanted(place.policy)}")


def _wanted(policy: dict[str, str]) -> str:
    wanted = policy.get("p", "none").lower()
    return wanted if wanted in ("none", "quarantine", "reject") else "none"


async def _place(domain: str, lookups: Lookups) -> _Place:
    records: dict[str, dict[str, str]] = {}
    for at in walk(domain):
        record = await _record(at, lookups)
        if record is None:
            continue
        records[at] = record
        flag = record.get("psd", "u").lower()
        if flag == "n" or (flag == "y" and at != domain):
            break
    organization = organizational(domain, records)
    registry = next((found for found in records.values() if found.get("psd", "").lower() == "y"), None)
    return _Place(organization, records.get(domain) or records.get(organization) or registry)


def walk(domain: str) -> tuple[str, ...]:
    """The names under which records are looked for; at most eight (§4.10)."""
    labels = domain.split(".")
    rest = labels[1:] if len(labels) <= MAX_LABELS else labels[-(MAX_LABELS - 1) :]
    return (domain, *(".".join(rest[index:]) for index in range(len(rest))))


def organizational(domain: str, records: dict[str, dict[str, str]]) -> str:
    """§4.10.2: the one that says it is none of a registry's; the one below a registry's; the topmost with a record."""
    for at, record in records.items():
        flag = record.get("psd", "u").lower()
        if flag == "n":
            return at
        if flag == "y" and at != domain:
            return ".".join(domain.split(".")[-(at.count(".") + 2) :])
    return min(records, key=lambda at: at.count("."), default=domain)


async def _record(domain: str, lookups: Lookups) -> dict[str, str] | None:
    found = [text for text in await lookups.texts(f"_dmarc.{domain}") if _VERSION.match(text)]
    if len(found) != 1:
        return None
    tags: dict[str, str] = {}
    for part in found[0].decode("ascii", "replace").split(";"):
        if match := _TAG.fullmatch(part):
            tags.setdefault(match[1], match[2])
    return tags
