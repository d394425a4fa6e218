"""``/audit``: who has looked, taken, erased and changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, tzinfo
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from gateway.policy.permissions import Scope, Visitor
from gateway.service.audit import Place, Wanted
from gateway.web.needs import Services, needs
from gateway.web.rendering import is_fragment, page
from gateway.web.spreadsheet import line
from gateway.web.zones import zone_of

router = APIRouter()

AT_ONCE = 100
IN_A_FILE = 1000

Text = Annotated[str, Query(max_length=200)]
Admin = Annotated[Visitor, needs(Scope.ADMIN)]


def filter_of(who: Text = "", what: Text = "", first: Text = "", last: Text = "") -> dict[str, str]:
    """As the form has it."""
    return {"who": who, "what": what, "first": first, "last": last}


Asked = Annotated[dict[str, str], Depends(filter_of)]


@router.get("/audit")
async def audit(request: Request, console: Services, visitor: Admin, asked: Asked, after: Text = "") -> Response:
    """The newest first."""
    del visitor
    looks, place = await console.audit.search(wanted(asked, request), AT_ONCE, place_of(after))
    further = urlencode({**asked, "after": f"{place[0]!r} {place[1]}"}) if place else ""
    template = "_audit_rows.html" if is_fragment(request) and after else "audit.html"
    return page(request, template, looks=looks, asked=asked, further=further, query=urlencode(asked))


@router.get("/audit.csv")
async def audit_csv(request: Request, console: Services, visitor: Admin, asked: Asked) -> Response:
    """All that the filter lets through. That somebody has taken it is in it, too."""
    await console.audit.note(visitor.login, "audit.csv")
    which = wanted(asked, request)

    async def lines() -> AsyncIterator[str]:
        yield line(("at", "who", "via", "what", "subject"))
        place: Place | None = None
        while True:
            looks, place = await console.audit.search(which, IN_A_FILE, place)
            for look in looks:
                at = datetime.fromtimestamp(look.at).astimezone().isoformat(timespec="seconds")
                yield line((at, look.who, look.via, look.what, look.subject))
            if place is None:
                return

    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


def wanted(asked: dict[str, str], request: Request) -> Wanted:
    """Days are those on the visitor's clock, the last one included."""
    zone = zone_of(request)
    who, what = asked["who"].strip() or None, asked["what"].strip() or None
    return Wanted(who, what, _day(asked["first"], 0, zone), _day(asked["last"], 1, zone))


def _day(value: str, more: int, zone: tzinfo | None) -> float | None:
    try:
        day = date.fromordinal(date.fromisoformat(value).toordinal() + more)
        return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def place_of(after: str) -> Place | None:
    """Where the last page ended; None: at the beginning."""
    at, _, serial = after.partition(" ")
    try:
        return float(at), int(serial)
    except ValueError:
        return None
