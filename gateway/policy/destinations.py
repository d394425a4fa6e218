"""Which numbers are open at all. Whoever gets hold of a password sends to numbers that pay him: what nobody asked
for is closed (deploy/limits.md)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Channel
from gateway.sms import numbers
from gateway.sms.numbers import Kind
from gateway.verdicts import DESTINATION_CLOSED, NUMBER_KIND_CLOSED, Refused

HOME = frozenset({"RU", "UA", "KZ", "BY"})
"""What a route for "everything else" opens by itself: the countries of the services that this gateway stands in for
(TargetSMS, Stream Telecom, SMSC.ru, AlphaSMS). Everything else is opened by a word of the configuration."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """A number is open when its country or its first digits are, and its kind is."""

    countries: frozenset[str] | None = None
    """ISO 3166 codes, in capitals; None: all."""
    prefixes: tuple[str, ...] = ()
    """First digits, E.164, no plus."""
    kinds: frozenset[Kind] = frozenset({Kind.MOBILE})

    def __str__(self) -> str:
        named = [*sorted(self.countries or ()), *(f"+{prefix}…" for prefix in self.prefixes)]
        where = "all countries" if self.countries is None else ", ".join(named) or "nowhere"
        return f"{where}; {', '.join(sorted(kind.value for kind in self.kinds))}"

    def check(self, number: str, channel: Channel) -> None:
        """Raises ``Refused`` (FORBIDDEN) for a number, as ``numbers.parse`` has returned it, that is closed. Calls
        go to fixed lines, too."""
        if self.countries is not None and not number.startswith(self.prefixes):
            country = numbers.country(number)
            if country not in self.countries:
                raise Refused(DESTINATION_CLOSED, number=numbers.mask(number), country=country or "+")
        kind = numbers.kind(number)
        if kind not in self.kinds and not (channel is Channel.CALL and kind is Kind.FIXED_LINE):
            raise Refused(NUMBER_KIND_CLOSED, number=numbers.mask(number), kind=kind.value)
