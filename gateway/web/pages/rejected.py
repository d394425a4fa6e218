"""``/rejected``: who was turned away, why, and what to do about it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from gateway.policy.permissions import Scope, Visitor
from gateway.service.advice import advise
from gateway.web.api.rejections import which
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem
from gateway.web.rendering import is_fragment, language, page

router = APIRouter()

AT_ONCE = 50
Text = Annotated[str, Query(max_length=100)]


@router.get("/rejected")
async def rejected(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    reason: Text = "",
    listener: Text = "",
    peer: Text = "",
    before: Annotated[str | None, Query(max_length=100)] = None,
) -> HTMLResponse:
    """Those seen last first."""
    try:
        found = await console.rejections.listed(which(visitor, reason, listener, peer), before=before, limit=AT_ONCE)
    except ValueError:
        raise Problem(404) from None
    asked = {"reason": reason, "listener": listener, "peer": peer}
    words = language(request)
    return page(
        request,
        "_rejected_rows.html" if is_fragment(request) else "rejected.html",
        items=[(one, advise(one, words)) for one in found.items],
        asked=asked,
        query=urlencode({key: value for key, value in asked.items() if value}),
        further=urlencode({**asked, "before": found.next}) if found.next else "",
        listeners=[door.name for door in console.configuration().settings.listeners],
    )
