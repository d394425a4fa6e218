"""``/welcome/…``: what a one-time link opens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from gateway.service.people import BadPassword, Link
from gateway.web.gate import stranger
from gateway.web.methods import only_head
from gateway.web.needs import Services, from_our_page
from gateway.web.pages.login import come_in
from gateway.web.problems import Problem
from gateway.web.rendering import page, words_of

router = APIRouter()


@router.get("/welcome/{secret}")
async def welcome(secret: str, request: Request, console: Services) -> Response:
    """Choose a password, or come in at once. To look does not use the link up."""
    link = await console.people.opened(secret)
    if link is None:
        raise _used(request)
    if not link.enters:
        return _shown(request, link)
    if only_head(request):
        return Response()  # a chat that previews links does not use it up
    user = await console.people.enter(secret)
    if user is None:
        raise _used(request)
    return await come_in(request, console, await console.sessions.begin(user, stranger(request), "link"), "/")


@router.post("/welcome/{secret}")
async def accept(
    secret: str,
    request: Request,
    console: Services,
    login: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    again: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """It is chosen."""
    from_our_page(request)
    link = await console.people.opened(secret)
    if link is None or link.enters:
        raise _used(request)
    if password != again:
        return _shown(request, link, login, "password_differs")
    try:
        user = await console.people.accept(secret, login, password)
    except BadPassword as fault:
        return _shown(request, link, login, f"password_{fault}")
    except ValueError:
        return _shown(request, link, login, "login_bad")
    if user is None:
        raise _used(request)
    return await come_in(request, console, await console.sessions.begin(user, stranger(request), "link"), "/")


def _shown(request: Request, link: Link, login: str = "", fault: str = "") -> Response:
    return page(request, "welcome.html", 422 if fault else 200, link=link, login=link.login or login, fault=fault)


def _used(request: Request) -> Problem:
    return Problem(403, words_of(request)("people.link_used"))
