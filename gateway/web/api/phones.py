"""``/phones``: the sandbox's handsets, and what becomes of what rings there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service.phones import Decision, NoNumberOfOurs, Phones, Sms, Trouble, parts
from gateway.service.wording import explained
from gateway.sms.numbers import mask
from gateway.verdicts import Refused
from gateway.web.console import Console
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["phones"])

Operator = Annotated[Visitor, needs(Scope.OPERATE)]


class PhoneMessage(BaseModel):
    """An SMS on a handset."""

    id: str
    to: str
    originator: str = Field(alias="from")
    text: str | None = Field(description="Only for the scope `texts`.")
    parts: list[str] | None
    alphabet: str
    segments: int
    at: datetime
    state: str = Field(description="`send`: on its way.")
    waits: bool = Field(description="For somebody's decision.")
    provider: str

    model_config = ConfigDict(populate_by_name=True)


class PhoneMessages(BaseModel):
    """The newest first."""

    items: list[PhoneMessage]
    next: None = None


class NewState(BaseModel):
    """What the handset or the network does with it."""

    state: Decision


class ReplyFrom(BaseModel):
    """An SMS from a handset to a number of ours."""

    sender: str = Field(alias="from", max_length=50)
    to: str = Field("", max_length=50, description="Default: the one that wrote last, or the first.")
    text: str = Field(min_length=1, max_length=2000)

    model_config = ConfigDict(populate_by_name=True)


class ReplyTo(BaseModel):
    """Where it went."""

    to: str


class Faults(BaseModel):
    """What goes wrong on purpose."""

    trouble: Trouble


def phones_of(console: Console, visitor: Visitor) -> Phones:
    """The handsets. Raises ``Problem``: without a sandbox there are none, and they belong to no account."""
    if console.phones is None:
        raise Problem(404, "No provider of this gateway is the sandbox.")
    if visitor.accounts is not None:
        raise Problem(403, f"{visitor.login} sees accounts only", words="base.not_yours")
    return console.phones


async def _bodies(phones: Phones, found: list[Sms], visitor: Visitor) -> list[PhoneMessage]:
    if sees := visitor.may(Scope.TEXTS):
        await phones.show(visitor.login, found)
    return [_body(sms, visitor, sees=sees) for sms in found]


def _body(sms: Sms, visitor: Visitor, *, sees: bool) -> PhoneMessage:
    return PhoneMessage(
        id=sms.id,
        to=sms.destination if visitor.may(Scope.NUMBERS) else mask(sms.destination),
        originator=sms.originator,
        text=sms.text if sees else None,
        parts=list(parts(sms)) if sees else None,
        alphabet=sms.alphabet,
        segments=sms.segments,
        at=datetime.fromtimestamp(sms.at, UTC),
        state=sms.state,
        waits=sms.waits,
        provider=sms.provider,
    )


@router.get("/phones", responses=problems(404))
async def list_phones(
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    to: Annotated[str, Query(max_length=50, description="Only on this handset, E.164 digits.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> PhoneMessages:
    """What has rung, the newest first. In this process only: it is kept in memory. Whose texts are shown is recorded,
    once for each."""
    phones = phones_of(console, visitor)
    return PhoneMessages(items=await _bodies(phones, phones.messages(to)[:limit], visitor))


@router.delete("/phones", status_code=204, responses=problems(404))
async def clear_phones(console: Services, visitor: Operator) -> Response:
    """All handsets are new."""
    phones_of(console, visitor).clear()
    return Response(status_code=204)


@router.post("/phones/{sms_id}/state", responses=problems(404))
async def decide_phone_message(sms_id: str, wanted: NewState, console: Services, visitor: Operator) -> PhoneMessage:
    """What becomes of an SMS; its receipt comes at once."""
    phones = phones_of(console, visitor)
    try:
        sms = await phones.decide(sms_id, wanted.state)
    except KeyError:
        raise Problem(404, "no such SMS") from None
    (body,) = await _bodies(phones, [sms], visitor)
    return body


@router.post("/phones/replies", responses=problems(404, 409))
async def reply_from_phone(wanted: ReplyFrom, console: Services, visitor: Operator) -> ReplyTo:
    """Somebody writes to us from a handset."""
    return ReplyTo(to=await replied(phones_of(console, visitor), wanted.sender, wanted.text, wanted.to))


async def replied(phones: Phones, number: str, text: str, to: str = "") -> str:
    """Raises ``Problem``."""
    try:
        return await phones.reply(number, text, to)
    except NoNumberOfOurs:
        raise Problem(409, "no account has a number for incoming SMS: incoming.numbers") from None
    except Refused as refused:
        raise Problem.of(refused.refusal, explained(refused.refusal)) from None


@router.post("/phones/faults", status_code=204, responses=problems(404))
async def make_phones_fail(wanted: Faults, console: Services, visitor: Operator) -> Response:
    """The next request for an SMS goes wrong."""
    phones_of(console, visitor).go_wrong(wanted.trouble)
    return Response(status_code=204)


@router.delete("/phones/faults", status_code=204, responses=problems(404))
async def mend_phones(console: Services, visitor: Operator) -> Response:
    """No request goes wrong any more."""
    phones_of(console, visitor).go_right()
    return Response(status_code=204)
