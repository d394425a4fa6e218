"""``/compose``: an SMS by hand. What it costs is seen while it is written, what would be sent before it is."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.dialects import repairs
from gateway.model import Accepted, Door, Job
from gateway.policy.accounts import ANY
from gateway.policy.permissions import Scope, Visitor
from gateway.service import counting
from gateway.service.direct import By, Draft, OtherContent
from gateway.service.way import Way
from gateway.service.wording import what_and_fix
from gateway.sms import numbers as phones
from gateway.verdicts import Refusal, Refused
from gateway.web.api.segments import MAX_TEXT
from gateway.web.console import Console
from gateway.web.needs import LOOKS, Services, looked_only, needs
from gateway.web.problems import Problem
from gateway.web.rendering import language, page
from gateway.web.zones import zone_of

router = APIRouter()

SHOWN = 20
"""Numbers whose way is looked up while somebody types; the rest are counted."""
OFFERED = 200
"""Accounts to choose from; of more one types the login."""

_Short = Annotated[str, Form(max_length=500)]
_Asked = Annotated[str, Query(max_length=500)]
_Text = Annotated[str, Form(max_length=MAX_TEXT)]


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as it is."""

    account: str = ""
    originator: str = ""
    to: str = ""
    text: str = ""
    at: str = ""

    @property
    def numbers(self) -> tuple[str, ...]:
        """By commas, semicolons or lines; ``8 910 …`` as it is dialled inside Russia."""
        return phones.split(repairs.numbers(self.to))

    def draft(self, zone: tzinfo | None) -> Draft:
        """``at`` is a time of ``zone``; None: of the machine. Raises ``ValueError`` for a time that is none."""
        when = datetime.fromisoformat(self.at) if self.at else None
        at = None if when is None else when.replace(tzinfo=when.tzinfo or zone).timestamp()
        return Draft(self.account, self.originator, self.numbers, self.text.replace("\r\n", "\n").strip("\n"), at)


@dataclass(frozen=True, slots=True)
class Recipient:
    """A number while it is typed."""

    typed: str
    way: Way | None = None
    why: str = ""
    """It is not, or not yet, a number."""


@router.get("/compose")
async def compose(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.SEND)],
    account: _Asked = "",
    originator: _Asked = "",
    to: _Asked = "",
    text: Annotated[str, Query(max_length=MAX_TEXT)] = "",
    sent: _Asked = "",
) -> HTMLResponse:
    """The form, as a link has filled it in; what has just been sent above it."""
    offered = _accounts(console, visitor)
    typed = Typed(account or (offered[0] if offered else ""), originator, to, text)
    story = await _story(console, visitor, sent) if sent else None
    return page(request, "compose.html", story=story, **await _shown(request, console, visitor, typed))


@router.get("/compose/sent/{mail}")
async def sent(
    request: Request, console: Services, visitor: Annotated[Visitor, needs(Scope.SEND)], mail: str
) -> HTMLResponse:
    """What has become of it."""
    return page(request, "_compose_sent.html", story=await _story(console, visitor, mail))


async def _story(console: Console, visitor: Visitor, mail: str) -> Any:
    story = await console.desk.story(mail)
    if story is None or not visitor.sees(story.mail["account"]):
        raise Problem(404)
    return story


@router.post("/compose/count", dependencies=[LOOKS])
async def count(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.SEND)],
    account: _Short = "",
    originator: _Short = "",
    to: _Text = "",
    text: _Text = "",
) -> HTMLResponse:
    """The counter, while one types."""
    typed = Typed(account, originator, to, text)
    return page(request, "_counter.html", **await _shown(request, console, visitor, typed))


@router.post("/compose")
async def act(  # noqa: PLR0913, PLR0917  (the fields of the form)
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.SEND)],
    account: _Short = "",
    originator: _Short = "",
    to: _Text = "",
    text: _Text = "",
    at: _Short = "",
    do: _Short = "check",
    once: _Short = "",
) -> Response:
    """``clean`` and ``latin`` change the text; ``check`` shows what would be sent; ``send`` sends, once
    for each form that was shown."""
    typed = Typed(account, originator, to, text, at)
    if do != "send":
        looked_only(request)
    if do == "clean":
        typed = replace(typed, text=await asyncio.to_thread(counting.cleaned, text))
    elif do == "latin":
        typed = replace(typed, text=await asyncio.to_thread(counting.in_latin_letters, text))
    if do not in ("check", "send"):
        return page(request, "compose.html", story=None, **await _shown(request, console, visitor, typed))
    if not visitor.sees(account):
        raise Problem(403, f"{visitor.login} may not send for this account", words="base.not_yours")
    by = By(Door.WEB, visitor.login)
    try:
        draft = typed.draft(zone_of(request))
        if do == "send":
            done = await console.workbench.send(draft, by, once)
            if done.again:
                looked_only(request)
            return RedirectResponse(f"/compose?sent={done.mail_id}", 303)
        outcome = _outcome(console, visitor, await console.workbench.check(draft, by), language(request))
    except OtherContent:
        raise Problem(409, "This form has been sent already. Load the page again.", words="base.sent_already") from None
    except Refused as refused:
        why, fix = what_and_fix(refused.refusal, language(request))
        outcome = {"verdict": refused.refusal.code, "why": why, "fix": fix}
    except (ValueError, OverflowError, OSError):
        outcome = {"verdict": "FORMAT", "why": f'"{at}"', "fix": ""}
    shown = await _shown(request, console, visitor, typed)
    status = 200 if "verdict" not in outcome else 422
    return page(request, "compose.html", status, **{**shown, "outcome": outcome}, story=None)


def _outcome(console: Console, visitor: Visitor, accepted: Accepted, lang: str) -> dict[str, Any]:
    asked = request_shown(console, visitor, accepted.jobs[0], lang) if accepted.jobs else ""
    dropped = [(drop.asked.typed, drop.refusal.code, *what_and_fix(drop.refusal, lang)) for drop in accepted.dropped]
    return {"jobs": accepted.jobs, "request": asked, "dropped": dropped, "notes": accepted.notes}


def request_shown(console: Console, visitor: Visitor, job: Job, lang: str) -> str:
    """What the first provider of its route would be asked now, or why it cannot be; empty where that is not shown."""
    try:
        return console.workbench.request(job, numbers=visitor.may(Scope.NUMBERS))
    except Refused as refused:
        return ": ".join(what_and_fix(refused.refusal, lang))


async def _shown(request: Request, console: Console, visitor: Visitor, typed: Typed) -> dict[str, Any]:
    account = typed.account if visitor.sees(typed.account) else ""
    known = console.configuration().directory.accounts.get(account)
    fault: tuple[str, str] | None = None
    text = typed.text.replace("\r\n", "\n")
    try:
        counted = await console.workbench.count(text, account if known else "")
    except Refused as refused:
        counted = await console.workbench.count(text)
        fault = what_and_fix(refused.refusal, language(request))
    login = account if known else ""
    ways = await console.workbench.ways(
        typed.numbers[:SHOWN], login=login, originator=typed.originator, parts=len(counted.parts)
    )
    recipients = [_recipient(number, way, language(request)) for number, way in zip(typed.numbers, ways, strict=False)]
    return {
        "typed": typed,
        "accounts": _accounts(console, visitor),
        "originators": sorted(known.originators - {ANY}) if known else [],
        "counted": counted,
        "pieces": [list(counting.marked(part)) for part in counted.parts],
        "foreign": _is_foreign(counted.text),
        "fault": fault,
        "recipients": recipients,
        "more": max(0, len(typed.numbers) - SHOWN),
        "total": _total(recipients, len(typed.numbers)),
        "outcome": None,
        "once": secrets.token_urlsafe(12),
    }


def _accounts(console: Console, visitor: Visitor) -> list[str]:
    """To choose from; none, where there are too many."""
    known = console.configuration().directory.accounts
    mine = [login for login, account in known.items() if account.enabled and visitor.sees(login)]
    return sorted(mine) if len(mine) <= OFFERED else []


def _recipient(typed: str, found: Way | Refusal, lang: str) -> Recipient:
    if isinstance(found, Refusal):
        return Recipient(typed, why=". ".join(filter(None, what_and_fix(found, lang))))
    return Recipient(typed, found, found.closed)


def _is_foreign(text: str) -> bool:
    """In another script: then no single character is to blame."""
    dear = sum(len(piece) for piece, is_dear in counting.marked(text) if is_dear)
    return 3 * dear > len(text)


def _total(recipients: list[Recipient], count: int) -> Decimal | None:
    """What all of it costs at the first provider of each; None: not known of all."""
    ways = [recipient.way for recipient in recipients if recipient.way is not None and not recipient.why]
    costs = [way.cost(hop) for way in ways if (hop := next((hop for hop in way.hops if hop.carries), None))]
    if not costs or len(recipients) < count or None in costs:
        return None
    return sum((cost for cost in costs if cost is not None), Decimal(0))
