"""``/phones``: a shelf of fake handsets, and somebody who decides what they do."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.policy.permissions import Scope, Visitor
from gateway.service.phones import Decision, Phones, Trouble, parts
from gateway.web.api.phones import phones_of, replied
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem
from gateway.web.rendering import is_fragment, page, words_of

router = APIRouter()

Reader = Annotated[Visitor, needs(Scope.READ)]
Operator = Annotated[Visitor, needs(Scope.OPERATE)]
_Short = Annotated[str, Form(max_length=2000)]
STATES = {
    "send": "submitted",
    "deliver": "delivered",
    "not_deliver": "undelivered",
    "expired": "expired",
    "partly_deliver": "uncertain",
}
"""How the states of the wire look."""
NEW_S = 3.0
"""So long an SMS pops in."""


@router.get("/phones")
async def phones(
    request: Request, console: Services, visitor: Reader, parted: Annotated[bool, Query(alias="parts")] = False
) -> HTMLResponse:
    """The shelf and the switches."""
    found = phones_of(console, visitor)
    return page(request, "phones.html", **await _shelf(request, found, visitor, parted), **_switches(found))


@router.get("/phones/shelf")
async def shelf(
    request: Request,
    console: Services,
    visitor: Reader,
    parted: Annotated[bool, Query(alias="parts")] = False,
    seen: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """The shelf alone; nothing, where it is as it was ``seen``."""
    found = await _shelf(request, phones_of(console, visitor), visitor, parted)
    return Response(status_code=204) if found["mark"] == seen else page(request, "_shelf.html", **found)


@router.post("/phones/{sms_id}/state")
async def decide(
    request: Request, console: Services, visitor: Operator, sms_id: str, decision: Annotated[Decision, Form()]
) -> Response:
    """One of the buttons under an SMS."""
    try:
        await phones_of(console, visitor).decide(sms_id, decision)
    except KeyError:
        raise Problem(404) from None
    return await _back(request, console, visitor)


@router.post("/phones/reply")
async def reply(
    request: Request, console: Services, visitor: Operator, number: _Short, text: _Short, to: _Short = ""
) -> Response:
    """An SMS from the handset to us."""
    chosen = await replied(phones_of(console, visitor), number, text, to)
    answer = await _back(request, console, visitor)
    words = words_of(request)("phones.replied", to=f"+{chosen}")
    answer.headers["HX-Trigger"] = json.dumps({"toast": words})
    return answer


@router.post("/phones/switch")
async def switch(
    request: Request,
    console: Services,
    visitor: Operator,
    trouble: Annotated[Trouble | None, Form()] = None,
    do: _Short = "",
) -> Response:
    """The switches: ``do`` is ``right``, ``clear``, ``manual`` or ``automatic``."""
    found = phones_of(console, visitor)
    if trouble is not None:
        found.go_wrong(trouble)
    elif do == "right":
        found.go_right()
    elif do == "clear":
        found.clear()
    elif do in ("manual", "automatic"):
        found.confirm(by_themselves=do == "automatic")
    if is_fragment(request):
        return page(request, "_switches.html", **_switches(found))
    return RedirectResponse("/phones", 303)


async def _back(request: Request, console: Services, visitor: Visitor) -> Response:
    if is_fragment(request):
        return page(request, "_shelf.html", **await _shelf(request, phones_of(console, visitor), visitor, False))
    return RedirectResponse("/phones", 303)


async def _shelf(request: Request, found: Phones, visitor: Visitor, parted: bool) -> dict[str, Any]:
    shelf = found.shelf()
    if visitor.may(Scope.TEXTS):
        await found.show(visitor.login, [sms for phone in shelf for sms in phone.messages])
    said = repr([(sms.id, sms.state, sms.waits) for phone in shelf for sms in phone.messages]) + str(parted)
    return {
        "shelf": shelf,
        "parted": parted,
        "parts": parts,
        "mark": hashlib.sha256(said.encode()).hexdigest()[:16],
        "states": STATES,
        "decisions": list(Decision),
        "clock": words_of(request).clock,
        "can_reply": bool(found.our_numbers),
        "new": time.time() - NEW_S,
    }


def _switches(found: Phones) -> dict[str, Any]:
    return {"troubles": list(Trouble), "faults": len(found.faults), "automatic": found.confirm_by_themselves}
