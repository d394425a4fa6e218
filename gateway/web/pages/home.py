"""``/``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from gateway.policy.permissions import Scope, Visitor
from gateway.web.needs import Services, needs
from gateway.web.rendering import page

router = APIRouter()


@router.get("/")
async def home(request: Request, console: Services, visitor: Annotated[Visitor, needs(Scope.READ)]) -> HTMLResponse:
    """How much is in which state."""
    del visitor
    return page(request, "home.html", counts=await console.desk.counts())
