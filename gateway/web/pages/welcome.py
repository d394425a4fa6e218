"""The link that is printed at the start."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

from gateway.web.gate import COOKIE, LinkGate
from gateway.web.needs import Services
from gateway.web.problems import Problem

router = APIRouter()


@router.get("/welcome/{token}")
async def welcome(token: str, request: Request, console: Services) -> RedirectResponse:
    """Come in."""
    gate = console.gate
    session = gate.enter(token) if isinstance(gate, LinkGate) else None
    if session is None:
        raise Problem(403, "This link has been used, or is too old.")
    answer = RedirectResponse("/", 303)
    answer.set_cookie(COOKIE, session, httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return answer
