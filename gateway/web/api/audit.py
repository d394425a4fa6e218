"""``GET /audit``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service.audit import Place, Wanted
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["audit"])


class Entry(BaseModel):
    """One thing that somebody did."""

    at: datetime
    who: str
    via: str = Field(description="Through which door: `cli`, `console` or `api`.")
    what: str
    subject: str = Field(description="A queue id, a login, a masked number …")


class Entries(BaseModel):
    """The newest first."""

    items: list[Entry]
    next: str | None = Field(description="`after` of the next page; null: there is none.")


@router.get("/audit", responses=problems())
async def search_audit(
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.ADMIN)],
    who: Annotated[str | None, Query(max_length=255, description="Only what this user did.")] = None,
    what: Annotated[str | None, Query(max_length=64, description="Only this: `text`, `export`, `retry`, …")] = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
    after: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Entries:
    """Who has looked at what people wrote, taken, erased and changed."""
    del visitor
    asked = Wanted(who, what, since.timestamp() if since else None, until.timestamp() if until else None)
    looks, place = await console.audit.search(asked, limit, _place(after))
    items = [
        Entry(at=datetime.fromtimestamp(one.at, UTC), who=one.who, via=one.via, what=one.what, subject=one.subject)
        for one in looks
    ]
    return Entries(items=items, next=f"{place[0]!r}_{place[1]}" if place else None)


def _place(after: str | None) -> Place | None:
    if after is None:
        return None
    at, _, serial = after.partition("_")
    try:
        return float(at), int(serial)
    except ValueError:
        raise Problem(422, "query.after: not the `next` of a page") from None
