"""``GET /rejections``: who was turned away, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service.advice import advise
from gateway.service.rejections import Rejection, Which
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems
from gateway.web.rendering import language

router = APIRouter(tags=["rejections"])

Text = Annotated[str, Query(max_length=100)]
LARGEST = 2**62


class RejectionBody(BaseModel):
    """Clients that were turned away for one reason on one day, or a mail that was answered with a refusal."""

    id: str = Field(description="A number, or the queue id of the mail.")
    mail: str | None = Field(description="Queue id, if there is a mail: see it under messages.")
    first_at: datetime
    last_at: datetime
    count: int
    listener: str
    peer: str = Field(description="IP address or network; `*`: many, in a flood; empty: a Unix socket or a pipe.")
    trusted: bool = Field(description="From a network of the listener's trust.")
    helo: str
    tls: bool
    reason: str
    verdict: str = Field(description="Empty where there was no mail to judge.")
    what: str = Field(description="The reason in words.")
    fix: str = Field(description="What to do, in words.")
    reply: str = Field(description="What the client was told.")
    sender: str
    recipients: list[str] = Field(description="Masked.")
    account: str | None
    dialogue: list[str] = Field(description="The last lines: `C:` the client, `S:` the gateway. Without secrets.")


class Rejections(BaseModel):
    """Some of them, those seen last first."""

    items: list[RejectionBody]
    next: str | None = Field(description="Give it as `before`.")


def body(one: Rejection, words: str) -> RejectionBody:
    """As JSON shows it; ``words`` is the language."""
    advice = advise(one, words)
    return RejectionBody(
        id=one.name,
        mail=one.mail,
        first_at=datetime.fromtimestamp(one.first_at, UTC),
        last_at=datetime.fromtimestamp(one.last_at, UTC),
        count=one.count,
        listener=one.listener,
        peer=one.peer,
        trusted=one.trusted,
        helo=one.helo,
        tls=one.tls,
        reason=one.reason,
        verdict=one.verdict,
        what=advice.what,
        fix=advice.fix,
        reply=one.reply,
        sender=one.sender,
        recipients=list(one.recipients),
        account=one.account,
        dialogue=list(one.dialogue),
    )


def which(visitor: Visitor, reason: str, listener: str, peer: str) -> Which:
    """What this visitor may see of what is asked for."""
    accounts = None if visitor.accounts is None else tuple(sorted(visitor.accounts))
    return Which(accounts, reason.strip(), listener.strip(), peer.strip())


@router.get("/rejections", responses=problems())
async def list_rejections(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    reason: Text = "",
    listener: Text = "",
    peer: Annotated[str, Query(max_length=100, description="Its beginning.")] = "",
    before: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Rejections:
    """Sessions and mails that were refused, with the reason and what to do; in the language of the request."""
    wanted = which(visitor, reason, listener, peer)
    try:
        page = await console.rejections.listed(wanted, before=before, limit=limit)
    except ValueError:
        raise Problem(422, "before: give what a page said as next") from None
    words = language(request)
    return Rejections(items=[body(one, words) for one in page.items], next=page.next)


@router.get("/rejections/{number}", responses=problems(404))
async def show_rejection(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    number: Annotated[int, Path(ge=1, le=LARGEST)],
) -> RejectionBody:
    """One of those that were turned away before there was a mail."""
    one = await console.rejections.find(number)
    if one is None or not visitor.sees(one.account):
        raise Problem(404, f"there is no rejection {number}")
    return body(one, language(request))
