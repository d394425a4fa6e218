"""``POST /messages``: send."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.model import Door
from gateway.policy.permissions import Scope, Visitor
from gateway.service.direct import By, Draft, OtherContent, Sent
from gateway.service.wording import explained
from gateway.verdicts import Refused
from gateway.web.api.messages import number, reason_words
from gateway.web.needs import Services, looked_only, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["messages"])

Sender = Annotated[Visitor, needs(Scope.SEND)]


class ToSend(BaseModel):
    """One text to one or more numbers."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    account: str | None = Field(None, max_length=200, description="May be left out by who has only one.")
    from_: str = Field(alias="from", max_length=50, description="The originator that the handset shows.")
    to: list[Annotated[str, Field(max_length=64)]] = Field(min_length=1, max_length=10_000, description="Numbers.")
    text: str = Field(min_length=1, max_length=20_000)


class QueuedBody(BaseModel):
    """One number of it."""

    id: str
    to: str
    segments: int
    verdict: str = Field(description="Empty: it is on its way. Otherwise it is not sent.")
    what: str


class SentBody(BaseModel):
    """What has become of it."""

    mail: str = Field(description="Queue id.")
    items: list[QueuedBody]


@router.post("/messages", status_code=202, responses=problems(429))
async def send_message(
    request: Request,
    console: Services,
    visitor: Sender,
    wanted: ToSend,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=200,
            description="The same key and the same content within a day: sent once, the same answer.",
        ),
    ] = None,
) -> SentBody:
    """Queue an SMS. The same rules as for a mail; a number that is refused alone does not keep the others back."""
    login = _account(visitor, wanted.account)
    draft = Draft(login, wanted.from_, tuple(wanted.to), wanted.text)
    try:
        sent = await console.workbench.send_once(draft, By(Door.WEB, visitor.login), key or "")
        if sent.again:
            looked_only(request)
    except OtherContent:
        raise Problem(422, "This Idempotency-Key was used for another message") from None
    except Refused as refused:
        raise Problem.of(refused.refusal, explained(refused.refusal)) from None
    return _sent(sent, visitor)


def _account(visitor: Visitor, asked: str | None) -> str:
    if asked is None:
        if visitor.accounts is None or len(visitor.accounts) != 1:
            raise Problem(422, "account: say for which one")
        return next(iter(visitor.accounts))
    if not visitor.sees(asked):
        raise Problem(403, f"{visitor.login} may not send for this account")
    return asked


def _sent(sent: Sent, visitor: Visitor) -> SentBody:
    return SentBody(
        mail=sent.mail_id,
        items=[
            QueuedBody(
                id=job.id,
                to=number(job.destination, visitor),
                segments=job.segments,
                verdict=job.verdict if not job.provider else "",
                what=reason_words(job.reason, job.values) if not job.provider else "",
            )
            for job in sent.jobs
        ],
    )
