"""``/accounts``: who may send, what, and how much of it today."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.policy.permissions import Scope, Visitor
from gateway.service.accounts import AccountFaults, Taken
from gateway.service.hooks import CallState, NoWebhook
from gateway.web.account_form import FIELDS, REST, SECTIONS, NotYaml, faults_by_field, settings_of, shown
from gateway.web.needs import Services, needs
from gateway.web.rendering import page, words_of
from gateway.web.tenancy import check_sees, check_settings, seen, told
from gateway.web.wording import Words

router = APIRouter()

Reads = Annotated[Visitor, needs(Scope.READ)]
Changes = Annotated[Visitor, needs(Scope.READ, Scope.ACCOUNTS)]
Login = Annotated[str, Path(max_length=255)]
KeyId = Annotated[int, Path(ge=1, le=2**53)]
CALLS = 10
"""Of the webhook, the newest."""
CALL_LOOKS = {
    CallState.WAITING: ("wait", "state-queued"),
    CallState.TOLD: ("good", "state-delivered"),
    CallState.FAILED: ("bad", "state-failed"),
}


@router.get("/accounts", name="accounts_page")
async def accounts(
    request: Request,
    console: Services,
    visitor: Reads,
    q: Annotated[str, Query(max_length=255)] = "",
    after: Annotated[str, Query(max_length=255)] = "",
) -> HTMLResponse:
    """All, or those that are yours."""
    found = await console.accounts.listed(after=after, search=q, only=visitor.accounts)
    limits = await console.accounts.limits([one.login for one in found.accounts])
    return page(request, "accounts.html", q=q, after=after, found=found, limits=limits, whole=visitor.accounts is None)


@router.get("/accounts/-/new")
async def new(request: Request, visitor: Changes) -> HTMLResponse:
    """An empty form."""
    check_settings(visitor)
    return _form(request, "", shown({}), {}, is_new=True)


@router.post("/accounts/-/new")
async def add(request: Request, console: Services, visitor: Changes) -> Response:
    """Make it, then give it credentials."""
    check_settings(visitor)
    values = await _values(request)
    login = str(values["login"]).strip()
    try:
        await console.accounts.add(login, settings_of(values), visitor.login)
    except Taken:
        return _form(request, login, values, {"login": [words_of(request)("accounts.taken")]}, is_new=True)
    except (AccountFaults, NotYaml) as error:
        return _form(request, login, values, _faults(request, error), is_new=True)
    return RedirectResponse(request.url_for("account_page", login=login), 303)


@router.get("/accounts/{login}", name="account_page")
async def account(request: Request, console: Services, visitor: Reads, login: Login) -> HTMLResponse:
    """One account."""
    return await _account(request, console, visitor, login)


@router.get("/accounts/{login}/settings")
async def settings(request: Request, console: Services, visitor: Changes, login: Login) -> HTMLResponse:
    """The form."""
    check_sees(visitor, login)
    check_settings(visitor)
    with told():
        found = await console.accounts.one(login)
    return _form(request, login, shown(found.settings), {}, is_new=False)


@router.post("/accounts/{login}/settings")
async def change(request: Request, console: Services, visitor: Changes, login: Login) -> Response:
    """Take the form over."""
    check_sees(visitor, login)
    check_settings(visitor)
    values = await _values(request)
    try:
        with told(but_faults=True):
            await console.accounts.change(login, settings_of(values), visitor.login)
    except (AccountFaults, NotYaml) as error:
        return _form(request, login, values, _faults(request, error), is_new=False)
    return RedirectResponse(request.url_for("account_page", login=login), 303)


@router.post("/accounts/{login}/switch")
async def switch(
    request: Request, console: Services, visitor: Changes, login: Login, enabled: Annotated[bool, Form()]
) -> Response:
    """Activate or deactivate email2sms."""
    check_sees(visitor, login)
    with told():
        await console.accounts.switch(login, enabled, visitor.login)
    return RedirectResponse(request.url_for("account_page", login=login), 303)


@router.post("/accounts/{login}/remove")
async def remove(request: Request, console: Services, visitor: Changes, login: Login) -> Response:
    """For ever."""
    check_sees(visitor, login)
    check_settings(visitor)
    with told():
        await console.accounts.remove(login, visitor.login)
    return RedirectResponse(request.url_for("accounts_page"), 303)


@router.post("/accounts/{login}/password")
async def password(
    request: Request,
    console: Services,
    visitor: Changes,
    login: Login,
    given: Annotated[str, Form(max_length=255)] = "",
    what: Annotated[str, Form()] = "set",
) -> Response:
    """Set it, make one up, or take it away. One that is made up is on the page that answers, and nowhere else."""
    check_sees(visitor, login)
    made = ""
    with told():
        if what == "none":
            await console.accounts.remove_password(login, visitor.login)
        elif what == "make" or given:
            made = await console.accounts.set_password(login, given if what == "set" else None, visitor.login)
    if what == "make":
        return await _account(request, console, visitor, login, password=made)
    return RedirectResponse(request.url_for("account_page", login=login), 303)


@router.post("/accounts/{login}/keys")
async def add_key(
    request: Request,
    console: Services,
    visitor: Changes,
    login: Login,
    name: Annotated[str, Form(min_length=1, max_length=100)],
) -> HTMLResponse:
    """Make a key: it is on the page that answers, and nowhere else."""
    check_sees(visitor, login)
    with told():
        _, chosen = await console.accounts.add_key(login, name.strip(), visitor.login)
    return await _account(request, console, visitor, login, key=chosen)


@router.post("/accounts/{login}/keys/{key_id}")
async def change_key(
    request: Request,
    console: Services,
    visitor: Changes,
    login: Login,
    key_id: KeyId,
    what: Annotated[str, Form(pattern="^(enable|disable|revoke)$")],
) -> Response:
    """Activate, deactivate or revoke it."""
    check_sees(visitor, login)
    with told():
        if what == "revoke":
            await console.accounts.revoke_key(login, key_id, visitor.login)
        else:
            await console.accounts.switch_key(login, key_id, what == "enable", visitor.login)
    return RedirectResponse(str(request.url_for("account_page", login=login)) + "#keys", 303)


@router.post("/accounts/{login}/webhook")
async def call_webhook(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ, Scope.OPERATE)],
    login: Login,
    call: Annotated[int, Form(ge=0, le=2**53)] = 0,
) -> Response:
    """Once more what could not be told; without a ``call``, one to try."""
    check_sees(visitor, login)
    if call:
        await console.webhooks.retry(call, frozenset({login}), visitor.login)
    else:
        with suppress(NoWebhook):
            await console.webhooks.test(login, visitor.login)
    return RedirectResponse(str(request.url_for("account_page", login=login)) + "#webhook", 303)


async def _account(request: Request, console: Services, visitor: Visitor, login: str, **made: str) -> HTMLResponse:
    check_sees(visitor, login)
    with told():
        found = await console.accounts.one(login)
    limits = (await console.accounts.limits([login])).get(login, [])
    lists = [one for one in await console.lists.listed() if one.account == login]
    changes = visitor.may(Scope.ACCOUNTS) and not found.provisioned
    hears = bool(found.settings.get("webhook"))
    return page(
        request,
        "account.html",
        one=found,
        fault="; ".join(_told(line, words_of(request)) for line in found.fault.splitlines()),
        limits=limits,
        lists=lists,
        calls=await console.webhooks.listed(frozenset({login}), None, None, CALLS) if hears else None,
        looks=CALL_LOOKS,
        sections=SECTIONS,
        values=shown(seen(visitor, found.settings)),
        rest=REST,
        changes=changes,
        settles=changes and visitor.accounts is None,
        made={"key": "", "password": "", **made},
    )


def _told(line: str, words: Words) -> str:
    """``limits.per_day: what is wrong``."""
    place, _, what = line.partition(": ")
    return f"{place}: {words.said('faults', what)}"


def _form(
    request: Request, login: str, values: dict[str, Any], faults: dict[str, list[str]], *, is_new: bool
) -> HTMLResponse:
    return page(
        request,
        "account_form.html",
        200,
        login=login,
        is_new=is_new,
        sections=SECTIONS,
        values=values,
        rest=REST,
        faults=faults,
    )


async def _values(request: Request) -> dict[str, Any]:
    given = await request.form()
    values: dict[str, Any] = {field.key: str(given.get(field.key, "")) for field in FIELDS}
    for field in FIELDS:
        if field.kind == "several":
            values[field.key] = [str(one) for one in given.getlist(field.key)]
    return {**values, REST: str(given.get(REST, "")), "login": str(given.get("login", ""))}


def _faults(request: Request, error: AccountFaults | NotYaml) -> dict[str, list[str]]:
    words = words_of(request)
    if isinstance(error, NotYaml):
        return {REST: [words.said("faults", f"no YAML {error}".strip())]}
    return faults_by_field([(key, words.said("faults", what)) for key, what in error.faults])
