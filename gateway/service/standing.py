"""How it stands, in one line: for ``systemctl status``."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.service.providers import Condition, Provider


def standing(providers: Sequence[Provider]) -> str:
    """``queue 3, main ok, balance 445.60 RUR``."""
    queue = sum(one.count for provider in providers for one in provider.waiting)
    return ", ".join([f"queue {queue}", *map(_one, providers)])


def _one(provider: Provider) -> str:
    condition = provider.condition.value
    if provider.condition is not Condition.OK and provider.why:
        condition += f" ({' '.join(provider.why.split())[:60]})"
    money = provider.balance
    if money is None or money.amount is None:
        return f"{provider.name} {condition}"
    return f"{provider.name} {condition}, balance {money.amount:.2f} {money.currency}".rstrip()
