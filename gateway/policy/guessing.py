"""Guessing of credentials, by SMTP AUTH or in the text of mails: whose wrong ones count together, and what follows.

A mail with a credential in it is a login, too (reliability §6). Nothing here forgets on success: who guesses may have
an account of his own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

DAY_S = 86400.0
MAX_BAN_S = 86400.0
_MAX_NAME = 80
"""Characters of a login or an address that somebody made up: the rest does not get into the store."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How much is too much. Seconds."""

    attempts: int = 5
    """Wrong credentials within ``within`` before a pause."""
    within: float = 600.0
    ban: float = 3600.0
    """How long a client network stays out, the first time; each time within a day twice as long, up to a day."""
    attempts_per_day: int = 20
    """Wrong credentials for an account from elsewhere before its lock."""
    lock: float = DAY_S
    tarpit: float = 1.0
    """The first wait before an untrusted client hears that it was wrong; each next one is twice as long."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody shows a credential."""

    login: str
    """As given, whether or not there is such an account; empty: an API key, which names none."""
    peer: str
    at_home: bool
    """In a network that the listener or the account trusts, or behind a Unix socket: never shut out as a whole,
    for an MTA there speaks for many."""
    sender: str = ""
    """Envelope sender of a mail that is verified otherwise than by this credential."""
    kind: str = "account"
    """Whose login: an ``account``'s, or a ``user``'s of the console. They have nothing to do with each other."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a subject: who or what wrong credentials are counted for."""

    subject: str
    recent: int = 0
    recent_since: float = 0.0
    today: int = 0
    today_since: float = 0.0
    until: float = 0.0
    """Until then no credential is looked at; 0: it never was so."""
    bans: int = 0
    """How often, since the last quiet day."""


def network(peer: str) -> str:
    """Whom an address belongs to: IPv4 /32, IPv6 /64. Empty: no address."""
    try:
        address = ip_address(peer)
    except ValueError:
        return ""
    if address.version == 6:
        address = address.ipv4_mapped or address
    return str(ip_network((address.packed, 32 if address.version == 4 else 64), strict=False))


def of_network(peer: str) -> str:
    """The subject that stands for a client's network; empty: there is none."""
    found = network(peer)
    return f"network {found}" if found else ""


def subjects(attempt: Attempt) -> Iterator[str]:
    """Whom an attempt counts for. At home it counts for this account, and this sender, at this place: a pause there
    stops nobody else's mail."""
    login, sender = attempt.login[:_MAX_NAME], attempt.sender.lower()[:_MAX_NAME]
    if not attempt.at_home:
        if found := of_network(attempt.peer):
            yield found
        if login:
            yield f"{attempt.kind} {login}"
        return
    place = network(attempt.peer) or "the machine"
    if login:
        yield f"{attempt.kind} {login} at {place}"
    if sender:
        yield f"sender {sender} at {place}"


def struck(record: Record, now: float, terms: Terms) -> Record:
    """One more wrong credential."""
    fresh = not 0 <= now - record.recent_since < terms.within
    new_day = not 0 <= now - record.today_since < DAY_S
    record = replace(
        record,
        recent=1 if fresh else record.recent + 1,
        recent_since=now if fresh else record.recent_since,
        today=1 if new_day else record.today + 1,
        today_since=now if new_day else record.today_since,
        bans=0 if new_day and record.until <= now - DAY_S else record.bans,
    )
    pause_s = _pause_s(record, terms)
    if not pause_s:
        return record
    return replace(record, until=max(record.until, now + pause_s), bans=record.bans + 1, recent=0, recent_since=0.0)


def _pause_s(record: Record, terms: Terms) -> float:
    kind, _, name = record.subject.partition(" ")
    is_elsewhere = kind in ("account", "user") and " at " not in name
    if is_elsewhere and record.today >= terms.attempts_per_day:
        return terms.lock
    if record.recent < terms.attempts:
        return 0.0
    return min(MAX_BAN_S, terms.ban * 2**record.bans) if kind == "network" else terms.within


def alarming(record: Record, terms: Terms) -> bool:
    """Whether people should look: an account that is locked, or guessed at from a place that never is."""
    return not record.subject.startswith("network ") and record.today == terms.attempts_per_day
