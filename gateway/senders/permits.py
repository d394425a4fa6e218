"""SPF (RFC 7208), by pyspf: who may send for the domain of MAIL FROM.

pyspf asks DNS as it goes and waits for the answer. Here it is given the answers that are known; where it needs
another one it stops, that one is fetched without blocking anybody, and it starts anew.
"""

from __future__ import annotations

import warnings
from typing import Any

from gateway.model import Check
from gateway.senders.dns import Lookups, Record, TooMany, Unanswered

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # its docstrings have "\d" in them
    import spf

_KINDS = frozenset({"A", "AAAA", "MX", "PTR", "TXT"})
_Known = dict[tuple[str, str], tuple[Record, ...]]


class _Missing(Exception):
    def __init__(self, name: str, kind: str) -> None:
        super().__init__(name)
        self.name, self.kind = name, kind


class _Query(spf.query):  # type: ignore[misc]
    """Without a network, and without the explanations that a record may offer."""

    known: _Known

    def dns(self, name: Any, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        name = str(name).rstrip(".").lower()
        if qtype not in _KINDS or not all(0 < len(label) < 64 for label in name.split(".")):
            return []
        if (name, qtype) not in self.known:
            raise _Missing(name, qtype)
        found = self.known[name, qtype]
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"Void lookup limit of {spf.MAX_VOID_LOOKUPS} exceeded")
        return [(item,) for item in found] if qtype == "TXT" else list(found)

    def get_explanation(self, spec: str) -> None:
        return None


async def permitted(peer: str, reverse_path: str, helo: str, lookups: Lookups) -> Check:
    """What the domain of ``reverse_path`` says of the client's address."""
    domain = reverse_path.rpartition("@")[2].lower().rstrip(".")
    if not domain or not peer:
        return Check("spf", "none", domain, "no MAIL FROM" if peer else "no client address")
    if not reverse_path.isascii():
        return Check("spf", "none", domain, "not ASCII")
    known: _Known = {}
    while True:
        try:
            query = _Query(i=peer, s=reverse_path, h=helo or "unknown")
            query.known = known
            result, _, said = query.check()
        except _Missing as missing:
            try:
                known[missing.name, missing.kind] = await lookups.ask(missing.name, missing.kind)
            except Unanswered as error:
                return Check("spf", "temperror", domain, f"no answer from DNS ({error})")
            except TooMany:
                return Check("spf", "permerror", domain, "too many lookups")
        except Exception as error:  # pyspf raises what it meets in a record, and strangers write those
            return Check("spf", "permerror", domain, f"cannot be read ({type(error).__name__})")
        else:
            return Check("spf", result, domain, said.rpartition("Error: ")[2][:80] if result.endswith("error") else "")
