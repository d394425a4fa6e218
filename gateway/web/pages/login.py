"""``/login`` and ``/logout``."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from gateway.policy.permissions import Visitor
from gateway.service.sessions import NotLetIn
from gateway.verdicts import GUESSED_TOO_OFTEN, Refused
from gateway.web import cookies
from gateway.web.console import Console
from gateway.web.gate import stranger
from gateway.web.needs import Services, from_our_page, in_person, needs, visit_of
from gateway.web.oidc import NotProven, Provider
from gateway.web.problems import Problem
from gateway.web.rendering import page

log = structlog.get_logger()

router = APIRouter()

Target = Annotated[str, Query(alias="next")]


@router.get("/login")
async def login(request: Request, console: Services, target: Target = "/") -> Response:
    """Who are you?"""
    if await visit_of(request) is not None:
        return RedirectResponse(cookies.inside(target), 303)
    return _shown(request, console, 200, target)


def _shown(request: Request, console: Console, status: int, target: str, fault: str = "", login: str = "") -> Response:
    settings = console.configuration().settings.console
    oidc = settings.oidc.name if settings is not None and settings.oidc is not None else ""
    return page(request, "login.html", status, target=cookies.inside(target), fault=fault, login=login, oidc=oidc)


@router.post("/login")
async def sign_in(
    request: Request,
    console: Services,
    login: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    target: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    """With a password."""
    from_our_page(request)
    try:
        secret = await console.sessions.by_password(login, password, stranger(request))
    except Refused as refused:
        is_guessing = refused.refusal.reason is GUESSED_TOO_OFTEN
        fault, status = ("guessed", 429) if is_guessing else ("crowded", 503)
        return _shown(request, console, status, target, fault, login)
    if secret is None:
        return _shown(request, console, 401, target, "wrong", login)
    return await come_in(request, console, secret, target)


async def come_in(request: Request, console: Console, secret: str, target: str) -> Response:
    """With a new session; the one before it, in this browser, ends."""
    before = request.cookies.get(cookies.name(request, console), "")
    if known := await console.sessions.find(before) if before else None:
        await console.sessions.end(known[1].login, known[1].login, only=known[0].id)
    answer = RedirectResponse(cookies.inside(target), 303)
    settings = console.configuration().settings.console
    assert settings is not None
    cookies.give(request, console, answer, secret, settings.session_longest)
    return answer


@router.post("/logout")
async def logout(request: Request, console: Services, visitor: Annotated[Visitor, needs()]) -> Response:
    """The session ends, here and in the store."""
    session = in_person(request).session
    if session is not None:
        await console.sessions.end(visitor.login, visitor.login, only=session.id)
    answer = RedirectResponse("/login", 303)
    cookies.take(request, console, answer)
    return answer


# ── an OpenID provider ───────────────────────────────────────────────────────────────────────


def _provider(request: Request, console: Console) -> Provider:
    configuration = console.configuration()
    settings = configuration.settings.console
    if settings is None or settings.oidc is None:
        raise Problem(404)
    state = request.app.state
    if not hasattr(state, "oidc"):
        state.oidc = Provider(settings.oidc, f"{configuration.console_url}/login/oidc/back")
    found: Provider = state.oidc
    return found


@router.get("/login/oidc")
async def to_provider(request: Request, console: Services, target: Target = "/") -> Response:
    """To its page."""
    try:
        return await _provider(request, console).start(request, console, cookies.inside(target))
    except NotProven:
        return _shown(request, console, 503, target, "away")


@router.get("/login/oidc/back")
async def from_provider(request: Request, console: Services) -> Response:
    """Back from it."""
    provider = _provider(request, console)
    oidc = console.configuration().settings.console
    assert oidc is not None
    assert oidc.oidc is not None
    try:
        named = await provider.finish(request, console)
        user = await console.sessions.by_oidc(named, new_users=oidc.oidc.new_users)
    except NotProven:
        return _shown(request, console, 401, "/", "not_proven")
    except NotLetIn as reason:
        log.warning("console.not_let_in", how="oidc", why=str(reason))
        return _shown(request, console, 403, "/", f"not_let_in_{reason}")
    secret = await console.sessions.begin(user, stranger(request), "oidc")
    return await come_in(request, console, secret, named.target)
