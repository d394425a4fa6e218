"""DNS for one check: cached, counted, and over after a fixed time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver

MAX_LOOKUPS = 40
"""Of one mail. SPF may make ten that each need more, DMARC eight for each of two domains."""
CACHED = 20_000
EDNS_BYTES = 1232
Record = bytes | str | tuple[int, str]
"""Text of a TXT record, an address, a name, or preference and name of an MX record."""


class Unanswered(Exception):
    """No answer, now: to be asked again later. Never a pass."""


class TooMany(Exception):
    """More lookups than any honest mail needs."""


class Resolver:
    """What one process asks. ``nameservers`` are addresses, with ``:port`` or ``]:port`` where it is not 53; none: the
    system's. ``timeout_s`` holds for all lookups of one mail together."""

    def __init__(self, nameservers: Sequence[tuple[str, int]], timeout_s: float) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=not nameservers)
        if nameservers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers]
        self._resolver.cache = dns.resolver.LRUCache(CACHED)
        self._resolver.use_edns(0, 0, EDNS_BYTES)
        self._resolver.timeout = min(2.0, timeout_s)
        self.timeout_s = timeout_s

    async def ask(self, name: str, kind: str, within_s: float) -> tuple[Record, ...]:
        """The records; none for a name or a kind that does not exist. Raises ``Unanswered``.

        The time is dnspython's to keep: under uvloop a datagram endpoint that is cancelled while it is made stays
        open, and the loop could never be closed.
        """
        try:
            absolute = dns.name.from_text(name.rstrip(".") + ".")
        except (dns.exception.DNSException, UnicodeError):
            return ()  # no such name can be
        try:
            answer = await self._resolver.resolve(
                absolute, kind, lifetime=within_s, raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN:
            return ()
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise Unanswered(type(error).__name__) from None
        return tuple(_record(item, kind) for item in answer.rrset or ())


def _record(item: object, kind: str) -> Record:
    found: Record
    match kind:
        case "TXT":
            found = b"".join(item.strings)  # type: ignore[attr-defined]
        case "MX":
            found = (item.preference, item.exchange.to_text(omit_final_dot=True))  # type: ignore[attr-defined]
        case "PTR":
            found = item.target.to_text(omit_final_dot=True)  # type: ignore[attr-defined]
        case _:
            found = item.address  # type: ignore[attr-defined]
    return found


class Lookups:
    """The lookups of one mail: bounded in number and, all together, in time."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._left = MAX_LOOKUPS
        self._until = asyncio.get_running_loop().time() + resolver.timeout_s

    async def ask(self, name: str, kind: str) -> tuple[Record, ...]:
        """As ``Resolver.ask``. Raises ``Unanswered`` also when the time of the mail is over, and ``TooMany``."""
        self._left -= 1
        if self._left < 0:
            raise TooMany
        left_s = self._until - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise Unanswered("Timeout")
        return await self._resolver.ask(name, kind, left_s)

    async def texts(self, name: str) -> tuple[bytes, ...]:
        """TXT records."""
        return tuple(item for item in await self.ask(name, "TXT") if isinstance(item, bytes))
