"""``/providers``."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service.balances import Account
from gateway.service.providers import Condition, Provider
from gateway.service.switch import Scope as Of
from gateway.web.api.figures import Counts, Depth, counts, moment
from gateway.web.console import Console
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["providers"])


class BalanceBody(BaseModel):
    """What is left; ``why`` says why it is not known."""

    amount: Decimal | None
    currency: str
    at: datetime | None
    why: str
    low: bool
    spent_per_day: float | None
    """By how it has fallen in the last week."""
    zero_at: datetime | None
    """When nothing will be left, at this rate."""


class ProviderBody(BaseModel):
    """One provider account."""

    name: str
    driver: str
    condition: Condition
    why: str
    until: datetime | None
    rate: float | None
    max_in_flight: int
    in_flight: int
    queue: list[Depth]
    last_success_at: datetime | None
    """To five minutes."""
    day: Counts
    balance: BalanceBody | None


class ProvidersBody(BaseModel):
    """All of them, in the order of the configuration."""

    items: list[ProviderBody]
    next: None = None


class RouteBody(BaseModel):
    """Which providers carry what, the first one first."""

    matches: str
    providers: list[str]


class TestedBody(BaseModel):
    """What came of asking."""

    ok: bool
    asked: str
    answer: str
    took_s: float


class HoldBody(BaseModel):
    """Why."""

    why: str = Field("", max_length=200)


class Done(BaseModel):
    """Whether anything has changed."""

    changed: bool


See = Annotated[Visitor, needs(Scope.READ)]
Operate = Annotated[Visitor, needs(Scope.OPERATE)]


@router.get("/providers", responses=problems())
async def providers(console: Services, visitor: See) -> ProvidersBody:
    """How it stands with each of them."""
    house(visitor)
    return ProvidersBody(items=[body(one) for one in await console.providers.listed()])


@router.get("/providers/{name}/balance", responses=problems(404))
async def balance(name: str, console: Services, visitor: See) -> BalanceBody:
    """As it was last asked for."""
    house(visitor)
    known(console, name)
    return balance_body(await console.providers.balances.account(name))


@router.post("/providers/{name}/test", responses=problems(404))
async def test(name: str, console: Services, visitor: Operate) -> TestedBody:
    """Ask it, without sending an SMS."""
    house(visitor)
    known(console, name)
    found = await console.providers.test(name)
    return TestedBody(ok=found.ok, asked=found.asked, answer=found.answer, took_s=found.took_s)


@router.post("/providers/{name}/{verb}", responses=problems(404))
async def change(
    name: str,
    verb: Literal["hold", "resume", "unpause"],
    console: Services,
    visitor: Operate,
    asked: HoldBody | None = None,
) -> Done:
    """``hold``: it gets nothing any more until ``resume``. ``unpause``: go on before a pause is over."""
    house(visitor)
    known(console, name)
    return Done(changed=await changed(console, visitor, name, verb, asked.why if asked else ""))


async def changed(console: Console, visitor: Visitor, name: str, verb: str, why: str) -> bool:
    """Do it. Whether anything has changed."""
    match verb:
        case "hold":
            await console.switch.hold(Of.PROVIDER, name, why, who=visitor.login)
            return True
        case "resume":
            names = list(console.providers.names)
            found, _ = await console.switch.resume(Of.PROVIDER, name, names, who=visitor.login)
            return found
        case _:
            return await console.providers.unpause(name, visitor.login)


def house(visitor: Visitor) -> None:
    """Providers are the house's: who sees only some accounts sees none. Raises ``Problem``."""
    if visitor.accounts is not None:
        raise Problem(403, "This concerns all accounts.")


def known(console: Console, name: str) -> None:
    """Raises ``Problem``."""
    if name not in console.providers.names:
        raise Problem(404, f"no provider {name[:40]!r}; one of {', '.join(console.providers.names)}")


def body(one: Provider) -> ProviderBody:
    """As JSON says it."""
    return ProviderBody(
        name=one.name,
        driver=one.driver,
        condition=one.condition,
        why=one.why,
        until=_at(one.until),
        rate=one.rate,
        max_in_flight=one.max_in_flight,
        in_flight=one.in_flight,
        queue=[
            Depth(state=w.state.value, provider=w.provider, count=w.count, oldest_at=moment(w.oldest_at))
            for w in one.waiting
        ],
        last_success_at=_at(one.last_success_at),
        day=counts(one.day),
        balance=balance_body(one.balance) if one.balance else None,
    )


def balance_body(one: Account) -> BalanceBody:
    """As JSON says it."""
    burndown = one.burndown
    return BalanceBody(
        amount=None if one.amount is None else Decimal(str(one.amount)),
        currency=one.currency,
        at=_at(one.at),
        why=one.why,
        low=one.low,
        spent_per_day=burndown.per_day if burndown else None,
        zero_at=_at(burndown.zero_at) if burndown else None,
    )


def _at(at: float | None) -> datetime | None:
    try:
        return None if at is None else moment(at)
    except (OverflowError, ValueError):  # further away than a calendar goes
        return None
