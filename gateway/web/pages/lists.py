"""``/lists``: numbers that mails may be sent to by name, and those that get no SMS."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.policy.permissions import Scope, Visitor
from gateway.replies.wording import sentence
from gateway.service.lists import EVERYBODY, STOP, Lists, Page, Put, Sheet, Unreadable
from gateway.sms.numbers import parse_in
from gateway.verdicts import Refusal, Refused
from gateway.web.api.lists import Takes, exported, known_country
from gateway.web.needs import LOOKS, Services, needs
from gateway.web.problems import Problem
from gateway.web.rendering import language, page
from gateway.web.tenancy import check_house, check_sees, check_stops, told

router = APIRouter()

Reads = Annotated[Visitor, needs(Scope.READ)]
Changes = Annotated[Visitor, needs(Scope.READ, Scope.ACCOUNTS)]
Account = Annotated[str, Path(max_length=255)]
Name = Annotated[str, Path(max_length=64)]
Search = Annotated[str, Query(max_length=20)]
After = Annotated[str, Query(max_length=20)]
Whose = Annotated[str, Query(max_length=255)]
SUGGESTED = 500
"""Logins that a field suggests."""
REFUSED_SHOWN = 100


@router.get("/lists", name="lists_page")
async def lists(request: Request, console: Services, visitor: Reads) -> HTMLResponse:
    """All of them."""
    found = [one for one in await console.lists.listed() if visitor.sees(one.account)]
    named, stops = [one for one in found if one.name != STOP], [one for one in found if one.name == STOP]
    return page(
        request,
        "lists.html",
        named=named,
        stops=[one for one in stops if one.account],
        everybody=next((one.count for one in stops if not one.account), 0),
        whole=visitor.accounts is None,
    )


# ── a table comes in ─────────────────────────────────────────────────────────────────────────


@router.get("/lists/-/import")
async def form(
    request: Request, console: Services, visitor: Changes, account: Whose = "", name: Search = "", stop: bool = False
) -> HTMLResponse:
    """Which file, and where to."""
    return _form(request, console, visitor, account, name, stop=stop)


@router.post("/lists/-/preview", dependencies=[LOOKS])
async def preview(
    request: Request,
    console: Services,
    visitor: Changes,
    file: UploadFile | None = None,
    pasted: Annotated[str, Form()] = "",
    country: Annotated[str, Form(max_length=2)] = "",
) -> HTMLResponse:
    """What would be taken and refused. Changes nothing."""
    del visitor
    sheet, fault = await _read(console.lists, file, pasted, country)
    return page(request, "_sheet.html", **_sheet(request, sheet, fault))


@router.post("/lists/-/import")
async def take(  # noqa: PLR0913, PLR0917  (parts of the form)
    request: Request,
    console: Services,
    visitor: Changes,
    account: Annotated[str, Form(max_length=255)] = "",
    name: Annotated[str, Form(max_length=64)] = "",
    file: UploadFile | None = None,
    pasted: Annotated[str, Form()] = "",
    country: Annotated[str, Form(max_length=2)] = "",
    mode: Annotated[str, Form(pattern="^(replace|add)$")] = "replace",
    stop: Annotated[bool, Form()] = False,
) -> HTMLResponse:
    """Take it, all at once, and say what was not taken."""
    if stop:
        check_house(visitor, account)
    else:
        check_sees(visitor, account)
    sheet, fault = await _read(console.lists, file, pasted, country)
    put: Put | None = None
    if sheet is not None and sheet.numbers:
        replace = mode == "replace" and not stop
        with told():
            put = await console.lists.put(
                account, STOP if stop else name, sheet.numbers, visitor.login, replace=replace, what="import"
            )
    return _form(request, console, visitor, account, name, stop=stop, sheet=sheet, fault=fault, put=put)


async def _read(lists: Lists, file: UploadFile | None, pasted: str, country: str) -> tuple[Sheet | None, str]:
    raw = await file.read() if file is not None and file.filename else pasted.encode()
    try:
        return await lists.read(raw, known_country(country)), ""
    except Unreadable as error:
        return None, str(error)


def _form(  # noqa: PLR0913  (what it shows)
    request: Request,
    console: Services,
    visitor: Visitor,
    account: str,
    name: str,
    *,
    stop: bool,
    sheet: Sheet | None = None,
    fault: str = "",
    put: Put | None = None,
) -> HTMLResponse:
    logins = sorted(visitor.accounts if visitor.accounts is not None else console.configuration().directory.accounts)
    return page(
        request,
        "list_import.html",
        200,
        account=account,
        name=name,
        stop=stop,
        logins=logins[:SUGGESTED],
        whole=visitor.accounts is None,
        put=put,
        **_sheet(request, sheet, fault),
    )


def _sheet(request: Request, sheet: Sheet | None, fault: str) -> dict[str, Any]:
    def why(refusal: Refusal) -> str:
        what, fix = sentence(refusal, language(request))
        return f"{what}. {fix}" if fix else what

    return {"sheet": sheet, "fault": fault, "why": why, "refused_shown": REFUSED_SHOWN}


# ── stop-lists ───────────────────────────────────────────────────────────────────────────────


@router.get("/lists/-/stop")
async def stop_list(
    request: Request, console: Services, visitor: Reads, account: Whose = EVERYBODY, q: Search = "", after: After = ""
) -> HTMLResponse:
    """Who gets no SMS, from one account or from any."""
    check_stops(visitor, account)
    return await _shown(request, console, visitor, account, STOP, q, after)


@router.get("/lists/-/stop.csv")
async def export_stops(console: Services, visitor: Takes, account: Whose = EVERYBODY) -> Response:
    """All of them, one a line."""
    check_stops(visitor, account)
    return await exported(console.lists, visitor, account, STOP)


@router.post("/lists/-/stop")
async def change_stops(
    request: Request,
    console: Services,
    visitor: Changes,
    what: Annotated[str, Form(pattern="^(add|remove)$")],
    numbers: Annotated[str, Form(max_length=100_000)],
    account: Annotated[str, Form(max_length=255)] = EVERYBODY,
    country: Annotated[str, Form(max_length=2)] = "",
) -> Response:
    """They get none any more, or again."""
    check_house(visitor, account)
    return await _changed(request, console, visitor, account, STOP, what, numbers, country)


# ── one list ─────────────────────────────────────────────────────────────────────────────────


@router.get("/lists/{account}/{name}")
async def one_list(
    request: Request, console: Services, visitor: Reads, account: Account, name: Name, q: Search = "", after: After = ""
) -> HTMLResponse:
    """Its numbers, page by page."""
    check_sees(visitor, account)
    return await _shown(request, console, visitor, account, name, q, after)


@router.post("/lists/{account}/{name}")
async def change(
    request: Request,
    console: Services,
    visitor: Changes,
    account: Account,
    name: Name,
    what: Annotated[str, Form(pattern="^(add|remove)$")],
    numbers: Annotated[str, Form(max_length=100_000)],
    country: Annotated[str, Form(max_length=2)] = "",
) -> Response:
    """Add numbers, or take some out."""
    check_sees(visitor, account)
    return await _changed(request, console, visitor, account, name, what, numbers, country)


@router.post("/lists/{account}/{name}/drop")
async def drop(request: Request, console: Services, visitor: Changes, account: Account, name: Name) -> Response:
    """The whole list."""
    check_sees(visitor, account)
    with told():
        await console.lists.drop(account, name, visitor.login)
    return RedirectResponse(request.url_for("lists_page"), 303)


@router.get("/lists/{account}/{name}/export.csv")
async def export(console: Services, visitor: Takes, account: Account, name: Name) -> Response:
    """All numbers, one a line."""
    check_sees(visitor, account)
    return await exported(console.lists, visitor, account, name)


async def _shown(  # noqa: PLR0913, PLR0917  (what it shows)
    request: Request,
    console: Services,
    visitor: Visitor,
    account: str,
    name: str,
    q: str = "",
    after: str = "",
    typed: str = "",
    fault: str = "",
) -> HTMLResponse:
    mine = [one for one in await console.lists.listed() if (one.account, one.name) == (account, name)]
    of_file = next((one for one in mine if one.provisioned), None)
    entry = next((one for one in mine if not one.provisioned), of_file if name != STOP else None)
    found = Page((), None)
    if entry is not None:
        in_full = visitor.may(Scope.NUMBERS)
        with told():
            found = await console.lists.page(account, name, after=after if in_full else "", search=q if in_full else "")
    elif name != STOP or (account != EVERYBODY and not console.intake.knows(account)):
        raise Problem(404, f"There is no {account}/{name}.")
    is_fixed = of_file is not None and name != STOP
    may = visitor.may(Scope.ACCOUNTS) and (account != EVERYBODY or visitor.accounts is None)
    return page(
        request,
        "list.html",
        200,
        account=account,
        name=name,
        stop=name == STOP,
        entry=entry,
        found=found,
        changes=may and not is_fixed,
        of_file=of_file,
        q=q,
        after=after,
        typed=typed,
        fault=fault,
    )


async def _changed(
    request: Request,
    console: Services,
    visitor: Visitor,
    account: str,
    name: str,
    what: str,
    typed: str,
    country: str,
) -> Response:
    lines = [line.strip() for line in typed.replace(",", "\n").replace(";", "\n").splitlines() if line.strip()]
    parsed = []
    for line in lines:
        try:
            parsed.append(parse_in(line, known_country(country)))
        except Refused as refused:
            words, fix = sentence(refused.refusal, language(request))
            fault = f"{line[:30]}: {words}. {fix}"
            return await _shown(request, console, visitor, account, name, typed=typed, fault=fault)
    with told():
        if what == "add":
            await console.lists.put(account, name, parsed, visitor.login)
        else:
            await console.lists.take_out(account, name, parsed, visitor.login)
    return RedirectResponse(request.headers.get("HX-Current-URL") or str(request.url), 303)
