"""``/connect``: recipes to copy, filled in with this gateway's addresses, and a light that waits for the first mail."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from gateway.policy.permissions import Scope, Visitor
from gateway.service import connect as recipes
from gateway.service.connect import light
from gateway.web.api.snippets import facts_for
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem
from gateway.web.rendering import language, page

router = APIRouter()

OFFERED = 200
"""Accounts to choose from; of more one types the login."""
FIRST = "curl"

_Short = Annotated[str, Query(max_length=200)]


@router.get("/connect")
async def connect(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    recipe: _Short = FIRST,
    listener: _Short = "",
    account: _Short = "",
    after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> HTMLResponse:
    """One recipe, and the way to the others."""
    configuration = console.configuration()
    known = configuration.directory.accounts
    mine = sorted(login for login, one in known.items() if one.enabled and visitor.sees(login))
    doors = recipes.listeners(configuration)
    chosen = account or (mine[0] if 0 < len(mine) <= OFFERED else "")
    door = listener or doors[0]
    try:
        found = recipes.filled(recipe, facts_for(request, console, visitor, door, chosen), language(request))
    except KeyError:
        raise Problem(404) from None
    if after is None:
        after = (await console.feed.recent(visitor.accounts, None, 1)).position
    return page(
        request,
        "connect.html",
        found=found,
        groups=[(group, list(names)) for group, names in groupby(_headings(), key=lambda one: one[2])],
        listeners=doors,
        listener=door,
        accounts=mine if len(mine) <= OFFERED else [],
        account=chosen,
        after=after,
        light=await light(console.feed, visitor.accounts, after=after, account=chosen, listener=door),
    )


@router.get("/connect/light")
async def waiting(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    after: Annotated[int, Query(ge=0, le=2**53)],
    account: _Short = "",
    listener: _Short = "",
) -> HTMLResponse:
    """The light, alone."""
    found = await light(console.feed, visitor.accounts, after=after, account=account, listener=listener)
    return page(request, "_light.html", light=found, account=account, listener=listener)


def _headings() -> list[tuple[str, str, str]]:
    return [(name, *recipes.heading(name)) for name in recipes.names()]
