"""``/me``: one's own password, language, sessions and tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from gateway.policy.permissions import Scope, Visitor
from gateway.service.people import BadPassword
from gateway.verdicts import Refused
from gateway.web.agents import browser
from gateway.web.gate import Visit, stranger
from gateway.web.needs import Services, in_person, needs
from gateway.web.problems import Problem
from gateway.web.rendering import page, words_of
from gateway.web.wording import LANGUAGES

router = APIRouter()

DAYS = (30, 90, 365, 0)
"""How long a token lives; 0: until it is revoked."""


@router.get("/me")
async def me(request: Request, console: Services, visitor: Annotated[Visitor, needs()]) -> Response:
    """All about oneself."""
    del visitor
    return await _shown(request, console)


async def _shown(request: Request, console: Services, status: int = 200, **values: Any) -> Response:
    visit = in_person(request)
    login = visit.visitor.login
    return page(
        request,
        "me.html",
        status,
        **{"fault": "", "secret": "", "done": "", **values},
        user=visit.user,
        own=visit.session.id if visit.session is not None else "",
        browser=browser,
        sessions=await console.sessions.of(login),
        tokens=await console.tokens.listed(login),
        scopes=[scope for scope in Scope if visit.visitor.may(scope)],
        days=DAYS,
    )


@router.post("/me/password")
async def change_password(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs()],
    present: Annotated[str, Form(max_length=1000)],
    password: Annotated[str, Form(max_length=1000)],
    again: Annotated[str, Form(max_length=1000)],
) -> Response:
    """The other sessions end."""
    visit = in_person(request)
    fault = await _password_fault(request, console, visit, present, differs=password != again)
    if not fault:
        try:
            keep = visit.session.id if visit.session is not None else None
            await console.people.set_password(visitor.login, password, visitor.login, keep=keep)
        except BadPassword as reason:
            fault = f"password_{reason}"
    if fault:
        return await _shown(request, console, 422, fault=fault)
    return await _shown(request, console, done="password_changed")


async def _password_fault(request: Request, console: Services, visit: Visit, present: str, *, differs: bool) -> str:
    if visit.user is None or visit.user.password_hash is None:
        return "password_none"
    try:
        if not await console.sessions.is_password(visit.user, present, stranger(request)):
            return "password_wrong"
    except Refused:
        return "guessed"
    return "password_differs" if differs else ""


@router.post("/me/language")
async def change_language(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs()],
    language: Annotated[str, Form()] = "",
) -> Response:
    """Of the pages, in every browser; empty: as the browser wants it."""
    in_person(request)
    chosen = language if language in LANGUAGES else None
    await console.people.change(visitor.login, visitor.login, lambda user: replace(user, language=chosen))
    answer = RedirectResponse("/me", 303)
    answer.delete_cookie("language")  # chosen for this browser before; what is said here counts now
    return answer


@router.post("/me/sessions/end")
async def end_sessions(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs()],
    session: Annotated[str, Form()] = "",
) -> Response:
    """One, or all but this."""
    own = in_person(request).session
    if session:
        await console.sessions.end(visitor.login, visitor.login, only=session)
    else:
        await console.sessions.end(visitor.login, visitor.login, but=own.id if own is not None else None)
    return RedirectResponse("/me", 303)


@router.post("/me/tokens")
async def create_token(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs()],
    name: Annotated[str, Form(min_length=1, max_length=80)],
    scope: Annotated[list[Scope], Form()],
    days: Annotated[int, Form(ge=0, le=3650)] = 90,
) -> Response:
    """It is shown once."""
    in_person(request)
    if missing := [one.value for one in scope if not visitor.may(one)]:
        raise Problem(403, words_of(request)("people.no_such_rights", rights=", ".join(missing)))
    _, secret = await console.tokens.create(
        name,
        frozenset(scope),
        visitor.login,
        login=visitor.login,
        lasting_s=days * 86400.0 if days else None,
    )
    return await _shown(request, console, secret=secret)


@router.post("/me/tokens/{token}/revoke")
async def revoke_token(
    token: str, request: Request, console: Services, visitor: Annotated[Visitor, needs()]
) -> Response:
    """At once."""
    in_person(request)
    if not await console.tokens.revoke(token, visitor.login, visitor.login):
        raise Problem(404)
    return RedirectResponse("/me", 303)
