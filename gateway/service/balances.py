"""What is left at the providers: asked now and then, written down, told when it is low; and until when it will do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import structlog

from gateway.model import Balance
from gateway.policy.burndown import LOOK_BACK_S, Burndown, burndown
from gateway.providers import NoAnswer, Unsupported, Upstream
from gateway.service import counts
from gateway.spool import balances
from gateway.spool.balances import Reading
from gateway.spool.store import Store
from gateway.verdicts import Refused

__all__ = ["Account", "Balances", "Reading", "Terms"]

log = structlog.get_logger()

LOOK_S = 20.0
"""How often it is looked whether a provider is to be asked."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the settings say of one provider."""

    every_s: float
    """0: it is not asked."""
    low: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of the money at one provider."""

    provider: str
    amount: float | None
    currency: str
    at: float | None
    """Of the last answer with an amount."""
    why: str
    """The last question had no answer; empty: it had."""
    burndown: Burndown | None
    low: bool
    readings: tuple[Reading, ...]
    """Of the last week, in the order of time."""


class Balances:
    """``ask_due`` is to be called each ``LOOK_S``."""

    def __init__(
        self,
        store: Store,
        terms: Mapping[str, Terms],
        upstreams: Mapping[str, Upstream],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._terms = terms
        self._upstreams = upstreams
        self._clock = clock
        self._mute: set[str] = set()
        """Those whose protocol has no such question."""

    async def ask_due(self) -> None:
        """Ask whom it is time to ask, once over all processes."""
        for name, terms in self._terms.items():
            if not terms.every_s or name in self._mute:
                continue
            at = await self._begin(name, terms.every_s)
            if at is not None:
                await self._ask(name, at)

    async def _begin(self, name: str, every_s: float) -> float | None:
        now = self._clock()
        return await self._store.write(lambda connection: balances.begin(connection, name, now, every_s))

    async def ask(self, name: str) -> Balance:
        """Ask now, and write it down. Raises ``Unsupported``, ``NoAnswer``, ``Refused``."""
        found = await self._balance(name)
        await self._write(name, self._clock(), found)
        return found

    async def _balance(self, name: str) -> Balance:
        began, outcome = time.monotonic(), "ok"
        try:
            return await self._upstreams[name].balance()
        except NoAnswer:
            outcome = "unreachable"
            raise
        except Refused:
            outcome = "rejected"
            raise
        except Unsupported:
            outcome = ""
            raise
        finally:
            if outcome:
                counts.asked(name, "balance", outcome, time.monotonic() - began)

    async def _ask(self, name: str, at: float) -> None:
        try:
            found = await self._balance(name)
        except Unsupported:
            self._mute.add(name)
            await self._store.write(lambda connection: balances.give_up(connection, name, at))
            return
        except (NoAnswer, Refused) as error:
            why = words(error)
            log.warning("balance.unknown", provider=name, why=why)
            await self._store.write(lambda connection: balances.write(connection, Reading(name, at, None, why=why)))
            return
        await self._write(name, at, found)

    async def _write(self, name: str, at: float, found: Balance) -> None:
        try:
            amount = float(Decimal(found.amount))
        except InvalidOperation:
            reading = Reading(name, at, None, why=f"no number: {found.amount[:20]}")
            return await self._store.write(lambda connection: balances.write(connection, reading))
        before = await self._store.read(lambda connection: balances.last(connection, name, at))
        reading = Reading(name, at, amount, found.currency[:10])
        await self._store.write(lambda connection: balances.write(connection, reading))
        low = self._terms[name].low
        if low is not None and amount < low and (before is None or before.amount is None or before.amount >= low):
            log.error("balance.low", provider=name, amount=found.amount, currency=found.currency, alert=True)
        return None

    def low(self, name: str) -> float | None:
        """Below that it is an alert."""
        low = self._terms[name].low
        return None if low is None else float(low)

    async def account(self, name: str) -> Account:
        """What is known of one provider."""
        since = self._clock() - LOOK_BACK_S
        readings = await self._store.read(lambda connection: balances.history(connection, since, name))
        return account(name, readings, self._terms[name].low)

    async def accounts(self) -> dict[str, Account]:
        """Of all that have told, or should have."""
        since = self._clock() - LOOK_BACK_S
        readings = await self._store.read(lambda connection: balances.history(connection, since))
        found = {name: [one for one in readings if one.provider == name] for name in self._terms}
        return {name: account(name, mine, self._terms[name].low) for name, mine in found.items() if mine}

    async def currencies(self) -> dict[str, str]:
        """By provider."""
        return {name: one.currency for name, one in (await self.accounts()).items() if one.currency}


def account(name: str, readings: list[Reading], low: Decimal | None) -> Account:
    """Of readings in the order of time."""
    told = [(one.at, one.amount) for one in readings if one.amount is not None]
    last = next((one for one in reversed(readings) if one.amount is not None), None)
    newest = next((one for one in reversed(readings) if one.amount is not None or one.why), None)
    return Account(
        provider=name,
        amount=last.amount if last else None,
        currency=last.currency if last else "",
        at=last.at if last else None,
        why=newest.why if newest else "",
        burndown=burndown(told),
        low=low is not None and last is not None and last.amount is not None and last.amount < low,
        readings=tuple(readings),
    )


def words(error: NoAnswer | Refused) -> str:
    """Why there is no answer."""
    if isinstance(error, Refused):
        return f"{error.refusal.code}: {error.refusal.values.get('text', '')}"
    return str(error)
