"""``/live``: ``tail -f`` of the gateway."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from gateway.policy.permissions import Scope, Visitor
from gateway.service.events import Kind
from gateway.service.wanted import wanted
from gateway.web.needs import Services, needs
from gateway.web.rendering import page, words_of
from gateway.web.wording import Words

router = APIRouter()

LINES = 200
LOOKED_AT = 1000
"""Events of which those that fit the filter are shown."""
_LOOKS = {
    Kind.ACCEPTED: "wait",
    Kind.DEFERRED: "queued",
    Kind.RETRIED: "queued",
    Kind.RELEASED: "queued",
    Kind.DUPLICATE: "cancelled",
    Kind.REPLIED: "submitted",
    Kind.INCOMING: "good",
    Kind.REJECTED: "refused",
    Kind.NOTED: "cancelled",
}
"""As which state a kind of event looks, where it is not called like one."""
_ICONS = {
    Kind.ACCEPTED: "message",
    Kind.DEFERRED: "state-queued",
    Kind.RETRIED: "retry",
    Kind.RELEASED: "play",
    Kind.DUPLICATE: "copy",
    Kind.REPLIED: "reports",
    Kind.INCOMING: "phones",
    Kind.REJECTED: "rejected",
    Kind.NOTED: "info",
}

Q = Annotated[str, Query(max_length=500)]


@router.get("/live")
async def live(
    request: Request, console: Services, visitor: Annotated[Visitor, needs(Scope.READ)], q: Q = ""
) -> HTMLResponse:
    """The newest lines, and from then on each as it comes."""
    return page(request, "live.html", q=q, htmx=False, **await _lines(request, console, visitor, q, None))


@router.get("/live/lines")
async def lines(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    q: Q = "",
    after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> HTMLResponse:
    """Only what is new since ``after``."""
    return page(request, "_live_lines.html", htmx=True, **await _lines(request, console, visitor, q, after))


async def _lines(request: Request, console: Services, visitor: Visitor, q: str, after: int | None) -> dict[str, Any]:
    fault, words = "", words_of(request)
    try:
        is_wanted = wanted(q, words.local(time.time()))
    except ValueError as error:
        is_wanted, fault = (lambda event: False), str(error)
    recent = await console.feed.recent(visitor.accounts, after, LOOKED_AT)
    events = [event for event in recent.events if is_wanted(event)][-LINES:]
    return {
        "events": events,
        "after": recent.position,
        "fault": fault,
        "looks": _LOOKS,
        "icons": _ICONS,
        "clock": lambda at: _clock(at, words),
    }


def _clock(at: float, words: Words) -> str:
    """The day only where it is another one."""
    when = words.local(at)
    return when.strftime("%H:%M:%S" if when.date() == words.local(time.time()).date() else "%Y-%m-%d %H:%M:%S")
