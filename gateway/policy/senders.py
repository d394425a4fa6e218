"""What checks of a mail's author are worth: pure, for a border MTA's results and for our own.

SPF never verifies an author: whole clouds share its addresses. It shows that MAIL FROM may be answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model import Check, Evidence, Vouch
from gateway.policy.accounts import Network
from gateway.verdicts import (
    RECIPIENT_NOT_NAMED,
    SENDER_DNS,
    SENDER_SIGNATURE,
    SENDER_SPF,
    SENDER_UNALIGNED,
    SENDER_UNAUTHENTICATED,
    SENDER_UNCLEAR,
    SENDER_UNSIGNED,
    Refusal,
)


@dataclass(frozen=True, slots=True)
class Border:
    """The MTA in front, whose ``Authentication-Results`` count."""

    authserv_id: str
    peers: tuple[Network, ...]
    own_received: int = 0


@dataclass(frozen=True, slots=True)
class SenderChecks:
    """How a listener verifies senders by their mail."""

    border: Border | None = None
    own: frozenset[str] = frozenset()
    """Of ``dkim``, ``dmarc``, ``spf``."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Whom a mail claims to be from and to."""

    author: str
    """The From domain; empty when the From field is not one plain address."""
    sender: str
    """The domain of MAIL FROM."""
    named: bool
    """To and Cc name every envelope recipient."""


def covers(signer: str, author: str) -> bool:
    """Whether a signature of that domain speaks for the author's: it is the same one, or one above it.

    The owner of a domain can change all that is below. DMARC's relaxed alignment also takes siblings and
    domains below; that needs its records.
    """
    return "." in signer and (author == signer or author.endswith("." + signer))


def weigh_stated(parties: Parties, checks: Sequence[Check], by: str) -> Evidence:
    """A border MTA's results. Exactly one ``dmarc``, or one ``dkim``, that passes and is aligned."""
    unread = next((check for check in checks if check.method == "Authentication-Results"), None)
    dmarc = _of(checks, "dmarc")
    vouched: Vouch | None = None
    why = "it says nothing of this mail"
    if unread is not None:
        why = f"a field of it {unread.why}"
    elif len({(check.result, check.domain) for check in dmarc}) > 1 or len(dmarc) > 1:
        why = "it gives several results for DMARC"
    elif dmarc:
        aligned = dmarc[0].domain == parties.author
        vouched = Vouch.DMARC if dmarc[0].result == "pass" and aligned else None
        why = f"DMARC is {dmarc[0].result}" + ("" if aligned else " for another domain than that of From")
    elif dkim := _of(checks, "dkim"):
        passing = [check for check in dkim if check.result == "pass" and covers(check.domain, parties.author)]
        vouched = Vouch.DKIM if len(passing) == 1 and not _contradicted(dkim, passing[0]) else None
        why = "it gives several results for DKIM" if passing else "no signature of the From domain passed"
    return _evidence(parties, checks, by, vouched, Refusal(SENDER_UNAUTHENTICATED, {"server": by, "why": why}))


def weigh_own(parties: Parties, checks: Sequence[Check], own: frozenset[str]) -> Evidence:
    """Our own results."""
    dkim = [check for check in _of(checks, "dkim") if check.result == "pass"]
    aligned = [check for check in dkim if covers(check.domain, parties.author)]
    vouched: Vouch | None = None
    if any(check.result == "pass" for check in _of(checks, "dmarc")):
        vouched = Vouch.DMARC
    elif aligned and "dkim" in own:
        vouched = Vouch.DKIM
    key = next((check.key for check in aligned or dkim), "") if vouched else ""
    return _evidence(parties, checks, "", vouched, _why_not(parties, checks), key)


def _why_not(parties: Parties, checks: Sequence[Check]) -> Refusal:
    """The code that says it best (RFC 7372); a directory that did not answer goes first: waiting helps."""
    if any(check.result == "temperror" for check in checks):
        return Refusal(SENDER_DNS)
    dkim = [check for check in _of(checks, "dkim") if check.result != "none"]
    if not dkim and any(check.result == "fail" for check in _of(checks, "spf")):
        return Refusal(SENDER_SPF, {"domain": parties.sender})
    weak = next((check for check in dkim if check.result == "policy"), None)
    if weak is not None:
        return Refusal(SENDER_SIGNATURE, {"domain": weak.domain, "why": weak.why})
    other = next((check for check in dkim if check.result in ("pass", "neutral")), None)
    if other is not None:
        return Refusal(SENDER_UNALIGNED, {"signer": other.domain, "domain": parties.author})
    return Refusal(SENDER_UNSIGNED, {"domain": parties.author})


def _evidence(
    parties: Parties, checks: Sequence[Check], by: str, vouched: Vouch | None, why_not: Refusal, key: str = ""
) -> Evidence:
    if vouched and not parties.named:
        vouched, why_not = None, Refusal(RECIPIENT_NOT_NAMED)
    if not parties.author:
        vouched, why_not = None, Refusal(SENDER_UNCLEAR)
    spf = _of(checks, "spf")
    permitted = len(spf) == 1 and spf[0].result == "pass" and spf[0].domain == parties.sender
    return Evidence(
        checks=tuple(checks),
        by=by,
        vouched=vouched,
        answerable=bool(parties.sender) and (permitted or (vouched is not None and parties.sender == parties.author)),
        denied=vouched is None and (any(check.result == "fail" for check in spf) or why_not.reason is SENDER_DNS),
        key=key if vouched else "",
        refusal=None if vouched else why_not,
    )


def _of(checks: Sequence[Check], method: str) -> list[Check]:
    return [check for check in checks if check.method == method]


def _contradicted(checks: Sequence[Check], by_this: Check) -> bool:
    return any(check.domain == by_this.domain and check.result != by_this.result for check in checks)
