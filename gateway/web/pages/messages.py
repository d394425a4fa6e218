"""``/messages``: what has come in, and what became of it, by a query."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup

from gateway.policy.permissions import Scope, Visitor
from gateway.policy.search import KEYS, Key, word
from gateway.service.messages import CHANGES, Message, Messages, Mistake, Page, Place, cursor, place
from gateway.service.wording import what_and_fix
from gateway.verdicts import REASONS, Refusal
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem
from gateway.web.rendering import is_fragment, language, page, words_of
from gateway.web.wording import Words
from gateway.web.zones import zone_of

router = APIRouter()

ROWS = 50
NEWER = 200
"""Rows that come by themselves; who wants more loads the page again."""
LOOKS = 5
SHORTCUTS = ("", "status:open", "status:failed", "status:uncertain", "status:undelivered", "status:refused", "after:1h")
CHANGED = {event.name.lower(): event for event in CHANGES}

Q = Annotated[str, Query(max_length=2000)]
At = Annotated[str | None, Query(max_length=200)]
Reader = Annotated[Visitor, needs(Scope.READ)]
Operator = Annotated[Visitor, needs(Scope.READ, Scope.OPERATE)]


@dataclass(frozen=True, slots=True)
class Found:
    """A page of the list, or why there is none."""

    rows: Sequence[Message] = ()
    next: str | None = None
    mistake: Mistake | None = None


@router.get("/messages")
async def messages(
    request: Request, console: Services, visitor: Reader, q: Q = "", after: At = None, changed: int | None = None
) -> HTMLResponse:
    """The newest; further ones, ``after`` a place, as somebody scrolls."""
    found = await _found(request, console.messages, visitor, q, _place(after))
    values = {"q": q, "found": found, **_words(request)}
    if after is not None and is_fragment(request):
        return page(request, "_message_rows.html", **values)
    last = found.rows[-1] if found.rows else None
    return page(
        request,
        "messages.html",
        after=after,
        down_to=cursor(Place(last.at, last.id)) if last else "",
        keys=KEYS,
        shortcuts=SHORTCUTS,
        changes=list(CHANGED),
        changed=changed,
        in_zone=f"&{urlencode({'zone': zone})}" if (zone := zone_of(request)) else "",
        **values,
    )


@router.get("/messages/newest")
async def newest(request: Request, console: Services, visitor: Reader, q: Q = "", down_to: At = None) -> HTMLResponse:
    """All rows down to the one that was the last of the first page, as they are now."""
    found = await _found(request, console.messages, visitor, q, None, NEWER)
    end = _place(down_to)
    rows = [row for row in found.rows if end is None or (row.at, row.id) >= (end.at, end.id)]
    is_gap = end is not None and len(rows) == NEWER
    return page(request, "_message_rows.html", q=q, found=Found(rows), is_gap=is_gap, more=False, **_words(request))


@router.post("/messages/change")
async def change(
    request: Request,
    console: Services,
    visitor: Operator,
    change: Annotated[str, Form(max_length=20)],
    q: Annotated[str, Form(max_length=2000)] = "",
    back: Annotated[str, Form(max_length=20)] = "messages",
) -> Response:
    """All that the query finds, as far as its state allows it."""
    if change not in CHANGED or not q.strip():
        raise Problem(422)
    try:
        query = console.messages.query(q, visitor.accounts, zone_of(request))
    except Mistake as mistake:
        raise Problem(422, str(mistake)) from None
    done = await console.messages.change_all(query, q, CHANGED[change], visitor.login)
    target = f"/queue?changed={done.count}" if back == "queue" else _link(q, changed=done.count)
    return RedirectResponse(target, 303)


def query_word(key: str, value: str) -> str:
    """For links."""
    return word(Key(key), value)


def what(row: Message, language: str) -> str:
    """What is wrong with it, in one line."""
    if row.reason in REASONS:
        return what_and_fix(Refusal(REASONS[row.reason], row.values), language)[0]
    return Words(language).said("trail", row.why)


def _words(request: Request) -> dict[str, Any]:
    return {
        "query_word": query_word,
        "what": lambda row: what(row, language(request)),
        "stamp": lambda at: stamp(at, words_of(request)),
    }


def stamp(at: float, words: Words) -> Markup:
    """Of today only the time, as one reads down a list; the whole of it under the pointer."""
    when = words.local(at)
    short = when.strftime("%H:%M:%S") if when.date() == words.local(time.time()).date() else words.time(when, "short")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(when.isoformat(), words.time(when, "full"), short)


async def _found(
    request: Request, messages: Messages, visitor: Visitor, words: str, below: Place | None, limit: int = ROWS
) -> Found:
    try:
        query = messages.query(words, visitor.accounts, zone_of(request))
    except Mistake as mistake:
        return Found(mistake=mistake)
    found: Page = await messages.page(query, below, limit, LOOKS)
    return Found(found.rows, cursor(found.next))


def _place(given: str | None) -> Place | None:
    try:
        return place(given) if given else None
    except ValueError:
        raise Problem(422) from None


def _link(q: str, **more: str | int) -> str:
    return f"/messages?{urlencode({'q': q, **more})}"
