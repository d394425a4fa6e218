"""``/people``: who may come in."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from gateway.policy.permissions import Role, Scope, Visitor
from gateway.service.people import LastAdmin, Taken, Unknown, User
from gateway.web.agents import browser
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem
from gateway.web.rendering import page

router = APIRouter()

Admin = Annotated[Visitor, needs(Scope.ADMIN)]
_MANY_LOGINS = 200
"""Accounts that a form offers as boxes; beyond, they are typed."""


@router.get("/people")
async def people(request: Request, console: Services, visitor: Admin) -> Response:
    """All of them, and a form for another one."""
    del visitor
    return await _listed(request, console)


async def _listed(request: Request, console: Services, status: int = 200, **values: Any) -> Response:
    return page(
        request,
        "people.html",
        status,
        **{"fault": "", "link": "", "typed": User(""), **values},
        users=await console.people.all(),
        roles=list(Role),
        logins=_logins(console),
    )


def _logins(console: Services) -> list[str]:
    return sorted(console.configuration().directory.accounts)[:_MANY_LOGINS]


class Rights(BaseModel):
    """The form of what somebody may."""

    role: Role = Role.VIEWER
    texts: bool = False
    disabled: bool = False
    limited: bool = False
    account: list[str] = Field([], max_length=_MANY_LOGINS)
    accounts: str = Field("", max_length=2000)

    @property
    def sees(self) -> frozenset[str] | None:
        """Which accounts; None: all."""
        return frozenset(self.account) | frozenset(self.accounts.replace(",", " ").split()) if self.limited else None


class Invitation(Rights):
    """And who it is."""

    login: str = Field("", max_length=200)


@router.post("/people")
async def invite(request: Request, console: Services, visitor: Admin, given: Annotated[Invitation, Form()]) -> Response:
    """A new user, and his link."""
    user = User(given.login, given.role, given.texts, given.sees)
    try:
        link = await console.people.invite(user, visitor.login)
    except Taken:
        return await _listed(request, console, 409, fault="login_taken", typed=user)
    except ValueError:
        return await _listed(request, console, 422, fault="login_bad", typed=user)
    return await _listed(request, console, 201, link=link)


@router.get("/people/{login}")
async def person(login: str, request: Request, console: Services, visitor: Admin) -> Response:
    """One of them."""
    del visitor
    return await _shown(request, console, login)


async def _shown(request: Request, console: Services, login: str, status: int = 200, **values: Any) -> Response:
    user = await console.people.find(login)
    if user is None:
        raise Problem(404)
    return page(
        request,
        "person.html",
        status,
        **{"fault": "", "link": "", **values},
        user=user,
        browser=browser,
        sessions=await console.sessions.of(user.login),
        tokens=await console.tokens.listed(user.login),
        roles=list(Role),
        logins=_logins(console),
    )


def _back(login: str) -> Response:
    return RedirectResponse(f"/people/{quote(login, safe='')}", 303)


@router.post("/people/{login}")
async def change(
    login: str, request: Request, console: Services, visitor: Admin, given: Annotated[Rights, Form()]
) -> Response:
    """What he may."""

    def changed(user: User) -> User:
        return replace(user, role=given.role, texts=given.texts, accounts=given.sees, disabled=given.disabled)

    try:
        await console.people.change(login, visitor.login, changed)
    except Unknown:
        raise Problem(404) from None
    except LastAdmin:
        return await _shown(request, console, login, 409, fault="last_admin")
    return _back(login)


@router.post("/people/{login}/link")
async def new_link(login: str, request: Request, console: Services, visitor: Admin) -> Response:
    """Where he chooses a new password."""
    try:
        link = await console.people.link(login, visitor.login)
    except Unknown:
        raise Problem(404) from None
    return await _shown(request, console, login, link=link)


@router.post("/people/{login}/sessions/end")
async def end_sessions(login: str, console: Services, visitor: Admin) -> Response:
    """All of them."""
    await console.sessions.end(login, visitor.login)
    return _back(login)


@router.post("/people/{login}/tokens/{token}/revoke")
async def revoke_token(login: str, token: str, console: Services, visitor: Admin) -> Response:
    """At once."""
    if not await console.tokens.revoke(token, visitor.login, login):
        raise Problem(404)
    return _back(login)


@router.post("/people/{login}/remove")
async def remove(login: str, request: Request, console: Services, visitor: Admin) -> Response:
    """With his sessions and tokens."""
    try:
        await console.people.remove(login, visitor.login)
    except Unknown:
        raise Problem(404) from None
    except LastAdmin:
        return await _shown(request, console, login, 409, fault="last_admin")
    return RedirectResponse("/people", 303)
