"""``/snippets``: how to connect what sends mail, filled in for this gateway."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service import connect
from gateway.service.connect import Facts, NoListener, Recipe
from gateway.web.console import Console
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems
from gateway.web.rendering import language

router = APIRouter(tags=["connect"])

_SHORT = Query(max_length=200)


class SnippetName(BaseModel):
    """One of the recipes."""

    name: str
    title: str
    group: str


class SnippetNames(BaseModel):
    """All recipes."""

    items: list[SnippetName]
    next: None = None


class StepBody(BaseModel):
    """Something to copy, and where it belongs."""

    where: str
    text: str


class SnippetBody(BaseModel):
    """A recipe, filled in. `PASSWORD`, `KEY` and `TOKEN` stand for what only you know."""

    name: str
    title: str
    group: str
    about: str
    steps: list[StepBody] = Field(description="In order.")


@router.get("/snippets", responses=problems())
async def list_snippets(visitor: Annotated[Visitor, needs(Scope.READ)]) -> SnippetNames:
    """Which recipes there are."""
    del visitor
    found = ((name, *connect.heading(name)) for name in connect.names())
    return SnippetNames(items=[SnippetName(name=name, title=title, group=group) for name, title, group in found])


@router.get("/snippets/{name}", responses=problems(404))
async def show_snippet(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    name: str,
    listener: Annotated[str, _SHORT] = "",
    account: Annotated[str, _SHORT] = "",
) -> SnippetBody:
    """A recipe for a listener (default: the first) and an account."""
    facts = facts_for(request, console, visitor, listener, account)
    try:
        found = connect.filled(name, facts, language(request))
    except KeyError:
        raise Problem(404, f"no recipe {name}") from None
    return _body(found)


def facts_for(request: Request, console: Console, visitor: Visitor, listener: str, account: str) -> Facts:
    """As this browser reaches the gateway. Raises ``Problem``."""
    if account and not visitor.sees(account):
        raise Problem(403, f"{visitor.login} does not see this account")
    configuration = console.configuration()
    hostname = configuration.settings.server.hostname
    host = hostname if hostname != "localhost" else request.url.hostname or hostname
    try:
        return connect.facts(
            configuration,
            listener=listener,
            account=account,
            host=host,
            console=str(request.base_url).rstrip("/"),
        )
    except NoListener as error:
        raise Problem(404, str(error)) from None


def _body(found: Recipe) -> SnippetBody:
    steps = [StepBody(where=step.where, text=step.text) for step in found.steps]
    return SnippetBody(name=found.name, title=found.title, group=found.group, about=found.about, steps=steps)
