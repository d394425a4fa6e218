"""``GET /route``: where an SMS goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway.model import Channel
from gateway.policy.permissions import Scope, Visitor
from gateway.service.way import Way, conditions
from gateway.service.wording import explained
from gateway.sms.numbers import mask
from gateway.verdicts import Refused
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["try"])

_SHORT = Query(max_length=500)


class JudgedBody(BaseModel):
    """A route of the configuration, and what became of it."""

    route: int
    of_what: str
    taken: bool
    matches: bool
    why_not: str | None
    providers: list[str]


class HopBody(BaseModel):
    """A provider of the route that is taken."""

    provider: str
    tried: bool
    why: str
    price: str | None = Field(description="Of one segment; a decimal number.")
    cost: str | None = Field(description="Of all segments.")
    stopped: str | None = Field(description="Why nothing goes out through it now.")


class WayBody(BaseModel):
    """Where an SMS goes."""

    number: str
    country: str | None
    operator: str | None
    at: datetime
    segments: int
    closed: str | None = Field(description="Why the number is not open at all.")
    routes: list[JudgedBody]
    providers: list[HopBody]


@router.get("/route", responses=problems())
async def find_route(
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    number: Annotated[str, Query(max_length=50, description="With its country code.")],
    account: Annotated[str, _SHORT] = "",
    originator: Annotated[str, _SHORT] = "",
    text: Annotated[str, Query(max_length=4000, description="Count what it would cost.")] = "",
    channel: Channel = Channel.SMS,
    at: Annotated[datetime | None, Query(description="Default: now.")] = None,
) -> WayBody:
    """Which providers an SMS to this number goes to, why, and what it costs there."""
    if visitor.accounts is not None and not visitor.sees(account):
        raise Problem(403, f"{visitor.login} does not see this account")
    try:
        moment = at.timestamp() if at is not None else None
        found = await console.workbench.way(
            number, at=moment, login=account, originator=originator, channel=channel, text=text
        )
    except Refused as refused:
        raise Problem.of(refused.refusal, explained(refused.refusal)) from None
    except (OverflowError, OSError, ValueError):
        raise Problem(422, "at: no such time") from None
    return _way_body(found, visitor)


def _way_body(found: Way, visitor: Visitor) -> WayBody:
    number = found.trip.destination
    routes = [
        JudgedBody(
            route=index,
            of_what=conditions(item.route),
            taken=item.taken,
            matches=item.matches,
            why_not=item.why_not or None,
            providers=list(item.route.providers),
        )
        for index, item in enumerate(found.judged)
        if item.taken or visitor.accounts is None  # the others name other accounts
    ]
    hops = [
        HopBody(
            provider=hop.provider,
            tried=hop.carries,
            why=hop.why,
            price=None if hop.price is None else str(hop.price),
            cost=None if (cost := found.cost(hop)) is None else str(cost),
            stopped=found.paused.get(hop.provider),
        )
        for hop in found.hops
    ]
    return WayBody(
        number=f"+{number}" if visitor.may(Scope.NUMBERS) else mask(number),
        country=found.country or None,
        operator=found.operator or None,
        at=datetime.fromtimestamp(found.trip.at, UTC),
        segments=found.parts,
        closed=found.closed or None,
        routes=routes,
        providers=hops,
    )
