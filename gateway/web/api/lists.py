"""``/lists`` and ``/stop-list``. Whoever may not see numbers gets the first of them, masked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi import Body as RawBody
from fastapi.responses import StreamingResponse
from pydantic import Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service.lists import STOP, Lists, Sheet, Unreadable
from gateway.service.wording import explained
from gateway.sms.numbers import calling_code, mask, parse_in
from gateway.verdicts import Refused
from gateway.web.api.accounts import Body, Login, moment
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems
from gateway.web.tenancy import check_house, check_sees, check_stops, told

router = APIRouter(tags=["lists"])

Reads = Annotated[Visitor, needs(Scope.READ)]
Changes = Annotated[Visitor, needs(Scope.READ, Scope.ACCOUNTS)]
Takes = Annotated[Visitor, needs(Scope.READ, Scope.NUMBERS)]
Name = Annotated[str, Path(max_length=64)]
Whose = Annotated[str, Query(max_length=255, description="A login; empty: the stop-list for all accounts.")]
Search = Annotated[str, Query(max_length=20, description="Numbers that begin so.")]
After = Annotated[str, Query(max_length=20)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Country = Annotated[
    str, Query(pattern="^([A-Za-z]{2})?$", description="ISO 3166; of numbers without a country code: RU.")
]
WHY = {
    "workbook": "A workbook. Save it as CSV.",
    "empty": "There is nothing in it.",
    "long": "Too long: at most 300,000 lines.",
    "broken": "No table: a quote is not closed, or a field is too long.",
}
EXPORTED: dict[int | str, Any] = {**problems(404), 200: {"content": {"text/csv": {}}}}
_CSV = Annotated[bytes, RawBody(media_type="text/csv", description="A table; any separator, a heading or none.")]


class ListShown(Body):
    """A list. Without a name: a stop-list; without an account: that of all accounts."""

    account: str
    name: str
    count: int
    provisioned: bool
    changed_at: datetime | None


class ListPage(Body):
    """All lists."""

    items: list[ListShown]
    next: str | None = None


class NumberPage(Body):
    """Some numbers, in order."""

    items: list[str]
    next: str | None


class Numbers(Body):
    """As people write them. All of them are taken, or none."""

    numbers: list[str] = Field(min_length=1, max_length=10_000)
    country: str = Field("", pattern="^([A-Za-z]{2})?$")


class RefusedLine(Body):
    """A line that is not taken."""

    line: int
    typed: str
    verdict: str
    why: str


class Report(Body):
    """What became of a table. ``count`` None: nothing was changed."""

    taken: int
    repeated: int
    refused: list[RefusedLine]
    refused_count: int
    added: int | None
    count: int | None


class Changed(Body):
    """How many, and how many there are now."""

    changed: int
    count: int | None = None


@router.get("/lists", responses=problems())
async def lists(
    console: Services, visitor: Reads, account: Annotated[str | None, Query(max_length=255)] = None
) -> ListPage:
    """All lists and stop-lists, or those of your accounts."""
    found = [
        ListShown(
            account=one.account,
            name=one.name,
            count=one.count,
            provisioned=one.provisioned,
            changed_at=moment(one.changed_at),
        )
        for one in await console.lists.listed()
        if account in (None, one.account) and visitor.sees(one.account)
    ]
    return ListPage(items=found)


@router.get("/lists/{account}/{name}", responses=problems(404))
async def numbers_of_list(
    console: Services,
    visitor: Reads,
    account: Login,
    name: Name,
    q: Search = "",
    after: After = "",
    limit: Limit = 100,
) -> NumberPage:
    """Its numbers, page by page."""
    check_sees(visitor, account)
    return await _page(console.lists, visitor, account, name, q, after, limit)


@router.get("/lists/{account}/{name}/export", response_class=Response, responses=EXPORTED)
async def export_list(console: Services, visitor: Takes, account: Login, name: Name) -> StreamingResponse:
    """All of its numbers, one a line. Recorded."""
    check_sees(visitor, account)
    return await exported(console.lists, visitor, account, name)


@router.put("/lists/{account}/{name}", responses=problems(404, 409))
async def import_list(
    console: Services,
    visitor: Changes,
    account: Login,
    name: Name,
    body: _CSV,
    add: Annotated[bool, Query(description="Keep what is there already.")] = False,
    country: Country = "",
    dry_run: Annotated[bool, Query(description="Only say what would be taken.")] = False,
) -> Report:
    """Make a list of a table, or bring it up to date: all at once."""
    check_sees(visitor, account)
    try:
        sheet = await console.lists.read(body, known_country(country))
    except Unreadable as error:
        raise Problem(422, WHY[str(error)]) from None
    if dry_run or not sheet.numbers:
        return _report(sheet, None, None)
    with told():
        put = await console.lists.put(account, name, sheet.numbers, visitor.login, replace=not add, what="import")
    return _report(sheet, put.added, put.count)


@router.post("/lists/{account}/{name}/numbers", responses=problems(404, 409))
async def add_numbers(console: Services, visitor: Changes, account: Login, name: Name, body: Numbers) -> Changed:
    """Add numbers; the list is made when there is none."""
    check_sees(visitor, account)
    return await _put(console.lists, visitor, account, name, body)


@router.post("/lists/{account}/{name}/numbers/remove", responses=problems(404, 409))
async def remove_numbers(console: Services, visitor: Changes, account: Login, name: Name, body: Numbers) -> Changed:
    """Take numbers out."""
    check_sees(visitor, account)
    return await _take_out(console.lists, visitor, account, name, body)


@router.delete("/lists/{account}/{name}", status_code=204, response_class=Response, responses=problems(404, 409))
async def drop_list(console: Services, visitor: Changes, account: Login, name: Name) -> None:
    """Remove it."""
    check_sees(visitor, account)
    with told():
        await console.lists.drop(account, name, visitor.login)


@router.get("/stop-list", responses=problems(404))
async def stop_list(
    console: Services, visitor: Reads, account: Whose = "", q: Search = "", after: After = "", limit: Limit = 100
) -> NumberPage:
    """Who gets no SMS. That for all accounts is not for people and tokens of single ones."""
    check_stops(visitor, account)
    try:
        return await _page(console.lists, visitor, account, STOP, q, after, limit)
    except Problem as problem:
        if problem.status != 404 or (account and not console.intake.knows(account)):
            raise
        return NumberPage(items=[], next=None)


@router.get("/stop-list/export", response_class=Response, responses=EXPORTED)
async def export_stops(console: Services, visitor: Takes, account: Whose = "") -> StreamingResponse:
    """All who get no SMS, one a line. Recorded."""
    check_stops(visitor, account)
    return await exported(console.lists, visitor, account, STOP)


@router.post("/stop-list", responses=problems(404))
async def add_stops(console: Services, visitor: Changes, body: Numbers, account: Whose = "") -> Changed:
    """They get no SMS any more: BANNED."""
    check_house(visitor, account)
    return await _put(console.lists, visitor, account, STOP, body)


@router.post("/stop-list/remove", responses=problems(404))
async def remove_stops(console: Services, visitor: Changes, body: Numbers, account: Whose = "") -> Changed:
    """They may get SMS again."""
    check_house(visitor, account)
    return await _take_out(console.lists, visitor, account, STOP, body)


async def exported(lists: Lists, visitor: Visitor, account: str, name: str) -> StreamingResponse:
    """As a file; that ``visitor`` takes it is written down first. Raises ``Problem`` where there is no such list."""
    numbers = lists.exported(account, name, visitor.login)
    with told():
        first = await anext(numbers)

    async def lines() -> AsyncIterator[str]:
        yield _lines(first)
        async for more in numbers:
            yield _lines(more)

    file = "stop-list" if name == STOP else "list"
    headers = {"Content-Disposition": f'attachment; filename="{file}.csv"'}
    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


def _lines(numbers: Iterable[str]) -> str:
    return "".join(f"{number}\r\n" for number in numbers)


async def _page(lists: Lists, visitor: Visitor, account: str, name: str, q: str, after: str, limit: int) -> NumberPage:
    with told():
        if visitor.may(Scope.NUMBERS):
            found = await lists.page(account, name, after=after, search=q, limit=limit)
            return NumberPage(items=list(found.numbers), next=found.next)
        found = await lists.page(account, name, limit=limit)
    return NumberPage(items=[mask(number) for number in found.numbers], next=None)


async def _put(lists: Lists, visitor: Visitor, account: str, name: str, body: Numbers) -> Changed:
    with told():
        put = await lists.put(account, name, _parsed(body), visitor.login)
    return Changed(changed=put.added, count=put.count)


async def _take_out(lists: Lists, visitor: Visitor, account: str, name: str, body: Numbers) -> Changed:
    parsed = _parsed(body)
    with told():
        return Changed(changed=await lists.take_out(account, name, parsed, visitor.login))


def _parsed(body: Numbers) -> list[str]:
    country, found = known_country(body.country), []
    for typed in body.numbers:
        try:
            found.append(parse_in(typed, country))
        except Refused as refused:
            raise Problem.of(refused.refusal, explained(refused.refusal)) from None
    return found


def known_country(given: str) -> str:
    """In capitals. Raises ``Problem`` for what is none."""
    try:
        calling_code(given.upper() or "RU")
    except KeyError:
        raise Problem(422, f"{given}: no country; give its two letters (ISO 3166): RU, KZ, UA") from None
    return given.upper()


def _report(sheet: Sheet, added: int | None, count: int | None) -> Report:
    refused = [
        RefusedLine(line=one.number, typed=one.typed, verdict=one.refusal.code, why=explained(one.refusal))
        for one in sheet.refused[:1000]
    ]
    return Report(
        taken=len(sheet.numbers),
        repeated=sheet.repeated,
        refused=refused,
        refused_count=len(sheet.refused),
        added=added,
        count=count,
    )
