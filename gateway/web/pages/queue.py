"""``/queue``: what waits and why, and what is on hold."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.policy.permissions import Scope, Visitor
from gateway.service.messages import Line, possible
from gateway.service.switch import Scope as Of
from gateway.web.console import Console
from gateway.web.needs import Services, needs
from gateway.web.pages.messages import query_word
from gateway.web.problems import Problem
from gateway.web.rendering import is_fragment, page

router = APIRouter()

Reader = Annotated[Visitor, needs(Scope.READ)]
Operator = Annotated[Visitor, needs(Scope.READ, Scope.OPERATE)]


@router.get("/queue")
async def queue(request: Request, console: Services, visitor: Reader, changed: int | None = None) -> HTMLResponse:
    """As it is now; a part of it again as something happens."""
    values = await _values(console, visitor)
    if is_fragment(request):
        return page(request, "_queue.html", **values)
    return page(request, "queue.html", changed=changed, scopes=_scopes(visitor), **values)


@router.post("/queue/hold")
async def hold(
    console: Services,
    visitor: Operator,
    scope: Annotated[Of, Form()],
    name: Annotated[str, Form(max_length=200)] = "",
    why: Annotated[str, Form(max_length=500)] = "",
    refuse: Annotated[str, Form(max_length=5)] = "",
) -> Response:
    """Nothing of it goes out any more."""
    name = _known(console, visitor, scope, name.strip())
    await console.switch.hold(scope, name, why.strip() or f"by {visitor.login}", refuse=bool(refuse), who=visitor.login)
    return RedirectResponse("/queue", 303)


@router.post("/queue/resume")
async def resume(
    console: Services, visitor: Operator, scope: Annotated[Of, Form()], name: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """It goes out again."""
    if not _may(visitor, scope, name):
        raise Problem(403)
    providers = list(console.configuration().settings.providers)
    _, released = await console.switch.resume(scope, name, providers, who=visitor.login)
    return RedirectResponse(f"/queue?changed={released}" if released else "/queue", 303)


async def _values(console: Console, visitor: Visitor) -> dict[str, Any]:
    lines = await console.messages.queue(visitor.accounts)
    holds = [
        one for one in await console.switch.holds() if _may(visitor, one.scope, one.name) or one.scope is not Of.ACCOUNT
    ]
    return {
        "lines": lines,
        "totals": _totals(lines),
        "holds": holds,
        "paused": await console.desk.paused_providers(),
        "choices": lambda line: [event.name.lower() for event in possible(line.state)],
        "query": lambda line: f"{query_word('provider', line.provider)} status:{line.state}",
        "may_end": lambda one: _may(visitor, one.scope, one.name),
        "now": time.time(),
    }


def _totals(lines: list[Line]) -> dict[str, tuple[int, bool]]:
    """How many are in each state, and whether there are more than that."""
    found: dict[str, tuple[int, bool]] = {}
    for line in lines:
        count, is_more = found.get(line.state.value, (0, False))
        found[line.state.value] = (count + line.count, is_more or line.is_more)
    return found


def _scopes(visitor: Visitor) -> list[Of]:
    return list(Of) if visitor.accounts is None else [Of.ACCOUNT]


def _may(visitor: Visitor, scope: Of, name: str) -> bool:
    """Somebody of an account holds only that."""
    return visitor.accounts is None or (scope is Of.ACCOUNT and visitor.sees(name))


def _known(console: Console, visitor: Visitor, scope: Of, name: str) -> str:
    if not _may(visitor, scope, name):
        raise Problem(403)
    configuration = console.configuration()
    if scope is Of.ALL:
        return ""
    if scope is Of.ACCOUNT and name not in configuration.directory.accounts:
        raise Problem(422, f"{name}: is no account")
    if scope is Of.PROVIDER and name not in configuration.settings.providers:
        raise Problem(422, f"{name}: is no provider; there is {', '.join(configuration.settings.providers)}")
    return name
