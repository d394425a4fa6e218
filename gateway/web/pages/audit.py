"""``/audit``: who has looked, taken, erased and changed."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import date, datetime, tzinfo
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from gateway.policy.permissions import Scope, Visitor
from gateway.service.audit import Place, Wanted
from gateway.web.needs import Services, needs
from gateway.web.rendering import is_fragment, page
from gateway.web.zones import zone_of

router = APIRouter()

AT_ONCE = 100
IN_A_FILE = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Text = Annotated[str, Query(max_length=200)]
Admin = Annotated[Visitor, needs(Scope.ADMIN)]


@router.get("/audit")
async def audit(
    request: Request,
    console: Services,
    visitor: Admin,
    who: Text = "",
    what: Text = "",
    first: Text = "",
    last: Text = "",
    after: Text = "",
) -> Response:
    """The newest first."""
    del visitor
    looks, place = await console.audit.search(wanted(request, who, what, first, last), AT_ONCE, place_of(after))
    asked = {"who": who, "what": what, "first": first, "last": last}
    further = urlencode({**asked, "after": f"{place[0]!r} {place[1]}"}) if place else ""
    template = "_audit_rows.html" if is_fragment(request) and after else "audit.html"
    return page(request, template, looks=looks, asked=asked, further=further, query=urlencode(asked))


@router.get("/audit.csv")
async def audit_csv(
    request: Request,
    console: Services,
    visitor: Admin,
    who: Text = "",
    what: Text = "",
    first: Text = "",
    last: Text = "",
) -> Response:
    """All that the filter lets through. That somebody has taken it is in it, too."""
    await console.audit.note(visitor.login, "audit.csv")
    asked = wanted(request, who, what, first, last)

    async def lines() -> AsyncIterator[str]:
        yield _line("at", "who", "via", "what", "subject")
        place: Place | None = None
        while True:
            looks, place = await console.audit.search(asked, IN_A_FILE, place)
            for look in looks:
                at = datetime.fromtimestamp(look.at).astimezone().isoformat(timespec="seconds")
                yield _line(at, look.who, look.via, look.what, look.subject)
            if place is None:
                return

    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


def wanted(request: Request, who: str, what: str, first: str, last: str) -> Wanted:
    """The filter as the form has it: days on the visitor's clock, the last one included."""
    zone = zone_of(request)
    return Wanted(who.strip() or None, what.strip() or None, _day(first, 0, zone), _day(last, 1, zone))


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


def _line(*cells: str) -> str:
    """No cell is taken for a formula by whoever opens it in an office program."""
    out = io.StringIO()
    csv.writer(out).writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return out.getvalue()
