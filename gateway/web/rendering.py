"""Templates → pages."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway import __version__
from gateway.policy.permissions import Scope
from gateway.sms.numbers import mask
from gateway.web.navigation import entries
from gateway.web.telling import happened, told
from gateway.web.wording import LANGUAGES, Words, wanted
from gateway.web.zones import told_zone, zone_of

_ENVIRONMENT = Environment(
    loader=PackageLoader("gateway.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
THEMES = ("auto", "light", "dark")


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page, or a fragment of one. Templates know besides ``values``: ``t`` (the words), ``visit``, ``may(scope)``,
    ``number(msisdn)`` (masked where it must be), ``moment(at)`` and ``ago(at)`` (seconds since the epoch),
    ``told(note)`` of a trail and what ``happened(event)``, in the reader's language."""
    visit = getattr(request.state, "visit", None)
    visitor = visit.visitor if visit is not None else None
    words = words_of(request)
    theme = request.cookies.get("theme", "auto")

    def may(scope: str) -> bool:
        return visitor is not None and visitor.may(Scope(scope))

    shown = _ENVIRONMENT.get_template(template).render(
        request=request,
        path=request.url.path,
        t=words,
        visit=visit,
        visitor=visitor,
        may=may,
        csrf=visit.csrf if visit is not None else "",
        theme=theme if theme in THEMES else "auto",
        themes=THEMES,
        languages=LANGUAGES,
        version=__version__,
        zone=told_zone(request),
        zone_name=words.zone_name(time.time()),
        navigation=entries(request) if visitor is not None else (),
        number=lambda msisdn: msisdn if may(Scope.NUMBERS) else mask(msisdn),
        moment=lambda at: _moment(at, words),
        ago=lambda at: _ago(at, words),
        told=lambda note: told(note.room, note.what, note.values, words),
        happened=lambda event: happened(event.what, words),
        **values,
    )
    return HTMLResponse(shown, status)


def words_of(request: Request) -> Words:
    """In the language of the answer, and on the visitor's clock."""
    return Words(language(request), zone_of(request))


def language(request: Request) -> str:
    """Of the answer."""
    visit = getattr(request.state, "visit", None)
    own = visit.visitor.language if visit is not None else None
    return wanted(request.cookies.get("language"), own, request.headers.get("Accept-Language", ""))


def is_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of the page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def _moment(at: float | None, words: Words) -> Markup:
    if at is None:
        return Markup("")
    when = words.local(at)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        when.isoformat(), words.time(when, "full"), words.time(when)
    )


def _ago(at: float | None, words: Words) -> Markup:
    if at is None:
        return Markup("")
    when = words.local(at)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        when.isoformat(), words.time(when), words.ago(time.time() - at)
    )
