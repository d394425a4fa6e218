"""``/messages``: search and export. What the other routes of messages share is here, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service.messages import Message, Mistake, place
from gateway.service.messages import cursor as cursor_of
from gateway.service.wording import explained
from gateway.sms.numbers import mask
from gateway.strict import TimeZone
from gateway.verdicts import REASONS, Refusal
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems
from gateway.web.spreadsheet import line

router = APIRouter(tags=["messages"])

Reader = Annotated[Visitor, needs(Scope.READ)]
Q = Annotated[
    str,
    Query(
        max_length=2000,
        description='The query language of the console: `to:79101234567 from:"My Bank" account:shop status:failed '
        "verdict:AUTH provider:main id:… after:2h before:2026-11-26`. Nothing: all.",
    ),
]
Zone = Annotated[
    TimeZone | None,
    Query(description="On whose clock `today` and `14:30` are. Default: the gateway's machine."),
]


class MessageBody(BaseModel):
    """One SMS, or a mail that was refused as a whole."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    mail: str = Field(description="Queue id.")
    at: datetime = Field(description="When it came in.")
    to: str = Field(description="The number; masked without the scope `numbers`.")
    from_: str = Field(alias="from", description="The originator; of a refused mail perhaps its sender's address.")
    account: str
    status: str = Field(description="A state of an SMS, or `refused`: a mail.")
    verdict: str
    reason: str = Field(description="Narrower than the verdict.")
    what: str = Field(description="The reason in words, and how to mend it.")
    why: str = Field(description="Why it is in that state, for an operator.")
    segments: int
    provider: str
    provider_id: str
    dialect: str
    channel: str
    updated_at: datetime
    due_at: datetime | None = Field(description="When something is to be done by itself.")
    expires_at: datetime | None
    attempt: int = Field(description="How many calls of providers there have been.")


class MessagesFound(BaseModel):
    """A page, the newest first."""

    items: list[MessageBody]
    next: str | None = Field(description="Give it as `cursor`, until it is null. A page may hold less than `limit`.")


@router.get("/messages", responses=problems())
async def search_messages(
    console: Services,
    visitor: Reader,
    q: Q = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    zone: Zone = None,
) -> MessagesFound:
    """The newest first: SMS, and mails that were refused."""
    query = query_of(console, q, visitor, zone)
    page = await console.messages.page(query, _place(cursor), limit, looks=3)
    return MessagesFound(items=[body(row, visitor) for row in page.rows], next=cursor_of(page.next))


class Format(StrEnum):
    """Of an export."""

    CSV = "csv"
    JSON = "json"


@router.get(
    "/messages/export",
    response_class=Response,
    responses={**problems(), 200: {"content": {"text/csv": {}, "application/json": {}}}},
)
async def export_messages(
    console: Services, visitor: Reader, q: Q = "", format: Format = Format.CSV, zone: Zone = None
) -> StreamingResponse:
    """All that the query finds, however much. With the scope `numbers` they are in it in full, and that is recorded."""
    query = query_of(console, q, visitor, zone)
    rows = console.messages.export(query, q, visitor.login, numbers=visitor.may(Scope.NUMBERS))
    bodies = (body(row, visitor) async for row in rows)
    name = f'attachment; filename="messages.{format.value}"'
    streamed, kind = (
        (_csv(bodies), "text/csv; charset=utf-8") if format is Format.CSV else (_json(bodies), "application/json")
    )
    return StreamingResponse(streamed, media_type=kind, headers={"Content-Disposition": name})


async def _json(bodies: AsyncIterator[MessageBody]) -> AsyncIterator[str]:
    yield "[\n"
    glue = ""
    async for one in bodies:
        yield glue + one.model_dump_json(by_alias=True)
        glue = ",\n"
    yield "\n]\n"


async def _csv(bodies: AsyncIterator[MessageBody]) -> AsyncIterator[str]:
    columns = [field.alias or name for name, field in MessageBody.model_fields.items()]
    yield "\ufeff" + line(columns)  # so that Excel takes it for UTF-8
    async for one in bodies:
        found = one.model_dump(mode="json", by_alias=True)
        yield line(found[column] for column in columns)


# ── shared ───────────────────────────────────────────────────────────────────────────────────


def body(row: Message, visitor: Visitor) -> MessageBody:
    """As JSON shows it."""
    return MessageBody(
        id=row.id,
        mail=row.mail_id,
        at=moment(row.at),
        to=number(row.to, visitor),
        from_=row.sender,
        account=row.account,
        status=row.status,
        verdict=row.verdict,
        reason=row.reason,
        what=reason_words(row.reason, row.values),
        why=row.why,
        segments=row.segments,
        provider=row.provider,
        provider_id=row.provider_id,
        dialect=row.dialect,
        channel=row.channel,
        updated_at=moment(row.updated_at),
        due_at=None if row.due_at is None else moment(row.due_at),
        expires_at=None if row.expires_at is None else moment(row.expires_at),
        attempt=row.attempt,
    )


def number(typed: str, visitor: Visitor) -> str:
    """As this visitor may see it."""
    return typed if not typed or visitor.may(Scope.NUMBERS) else mask(typed)


def reason_words(reason: str, values: Any) -> str:
    """How to mend it, too; empty: no reason."""
    return explained(Refusal(REASONS[reason], values)) if reason in REASONS else ""


def moment(at: float) -> datetime:
    """As JSON shows it."""
    return datetime.fromtimestamp(at, UTC)


def query_of(console: Services, words: str, visitor: Visitor, zone: str | None = None) -> Any:
    """What the words ask for, among what this visitor sees. Raises ``Problem``."""
    try:
        return console.messages.query(words, visitor.accounts, ZoneInfo(zone) if zone else None)
    except Mistake as mistake:
        raise Problem(422, f"q: {mistake}") from None


def _place(word: str | None) -> Any:
    try:
        return place(word) if word else None
    except ValueError:
        raise Problem(422, "cursor: give the word that came as next") from None
