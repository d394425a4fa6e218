"""``/providers``: each account at a provider, and what one may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.policy.permissions import Scope, Visitor
from gateway.service import reports
from gateway.service.providers import Provider, Tested
from gateway.service.wording import verdict_of
from gateway.settings.schema import RouteSettings
from gateway.web.api.providers import changed, house, known
from gateway.web.charts import Chart
from gateway.web.console import Console
from gateway.web.drawings import balance
from gateway.web.needs import Services, needs
from gateway.web.rendering import is_fragment, page, words_of
from gateway.web.wording import Words

router = APIRouter()

See = Annotated[Visitor, needs(Scope.READ)]
Operate = Annotated[Visitor, needs(Scope.OPERATE)]


@dataclass(frozen=True, slots=True)
class Shown:
    """A provider and what is drawn of it."""

    one: Provider
    errors: list[reports.Count]
    balance: Chart | None


@router.get("/providers")
async def providers(request: Request, console: Services, visitor: See) -> HTMLResponse:
    """All of them, and the routes that lead to them."""
    house(visitor)
    return await _listed(request, console, {})


@router.post("/providers/{name}/test")
async def test(request: Request, name: str, console: Services, visitor: Operate) -> HTMLResponse:
    """Ask it, without sending an SMS."""
    house(visitor)
    known(console, name)
    found = await console.providers.test(name)
    if is_fragment(request):
        return page(request, "_tested.html", tested=found)
    return await _listed(request, console, {name: found})


@router.post("/providers/{name}/{verb}")
async def change(
    name: str,
    verb: Literal["hold", "resume", "unpause"],
    console: Services,
    visitor: Operate,
    why: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Hold, resume, or go on before a pause is over."""
    house(visitor)
    known(console, name)
    await changed(console, visitor, name, verb, why)
    return RedirectResponse(f"/providers#{name}", 303)


async def _listed(request: Request, console: Console, tested: dict[str, Tested]) -> HTMLResponse:
    t = words_of(request)
    now = console.intake.now()
    shown = []
    for one in await console.providers.listed():
        low = console.providers.balances.low(one.name)
        has_money = one.balance is not None and one.balance.amount is not None
        chart = balance(t, now, one.balance, low) if one.balance is not None and has_money else None
        shown.append(Shown(one, reports.errors(one.day, t.language, 5), chart))
    routes = [(matches(t, route), _carriers(t, route)) for route in console.configuration().settings.routes]
    return page(request, "providers.html", shown=shown, tested=tested, routes=routes, verdict_of=verdict_of)


def matches(t: Words, route: RouteSettings) -> str:
    """Which SMS a route takes, in words."""
    said = []
    for name in ("originator", "account", "prefix", "country"):
        if values := [value for value in getattr(route, name) if value]:
            said.append(t(f"providers.route_{name}", words=", ".join(values)))
    if route.hours:
        said.append(t("providers.route_hours", words=f"{route.hours} {route.timezone or 'UTC'}"))
    return ", ".join(said) or t("providers.route_all")


def _carriers(t: Words, route: RouteSettings) -> str:
    weighted = [
        f"{name} ({t('providers.weight', n=weight)})" if weight is not None else name
        for name, weight in route.providers.items()
    ]
    if route.order == "cheapest":
        return f"{', '.join(weighted)}: {t('providers.order_cheapest')}"
    return f" → {t('providers.then')} ".join(weighted)
