"""``/messages``: search, look, send, change."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from gateway.lifecycle import Event, State
from gateway.model import Door, Note
from gateway.policy.permissions import Scope, Visitor
from gateway.service.desk import Story
from gateway.service.direct import By, Draft, OtherContent, Sent
from gateway.service.messages import Message, Mistake, cursor, of_job, place
from gateway.service.story import in_order
from gateway.service.wording import explained
from gateway.sms.numbers import mask, masked
from gateway.strict import TimeZone
from gateway.verdicts import REASONS, Refusal, Refused
from gateway.web.api.explain import PartBody, part_body
from gateway.web.needs import Services, looked_only, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["messages"])

Reader = Annotated[Visitor, needs(Scope.READ)]
Operator = Annotated[Visitor, needs(Scope.READ, Scope.OPERATE)]
Sender = Annotated[Visitor, needs(Scope.SEND)]
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
Id = Annotated[str, Path(max_length=200, description="Queue id, SMS id or the provider's id.")]


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


class MailBody(BaseModel):
    """What is known of a mail without its words."""

    id: str
    at: datetime
    door: str
    listener: str
    peer: str
    helo: str
    tls: bool
    login: str | None = Field(description="Proved by SMTP AUTH.")
    sender: str
    recipients: list[str]
    message_id: str
    dialect: str
    account: str | None
    verified_by: str
    verdict: str
    what: str


class ReplyBody(BaseModel):
    """A mail that went back."""

    to: str
    state: str
    sent_at: datetime | None
    tries: int
    error: str


class StoryBody(BaseModel):
    """A mail and its SMS."""

    mail: MailBody
    messages: list[MessageBody]
    replies: list[ReplyBody]


class NoteBody(BaseModel):
    """One decision."""

    at: datetime
    message: str | None = Field(description="The SMS that it is about; null: the whole mail.")
    room: str
    what: str
    values: dict[str, str | int]


class AttemptBody(BaseModel):
    """One call of a provider."""

    message: str
    number: int
    provider: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    detail: str | None


class TraceBody(BaseModel):
    """What happened, in order."""

    items: list[NoteBody]
    attempts: list[AttemptBody]
    tree: list[PartBody] = Field(
        description="The mail's MIME parts; empty: it had only one, or was never opened. Names of files are not kept."
    )


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


class Change(StrEnum):
    """What one may do."""

    RETRY = "retry"
    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"


EVENTS = {Change(event.name.lower()): event for event in (Event.RETRY, Event.CANCEL, Event.HOLD, Event.RELEASE)}


class ChangedBody(BaseModel):
    """The new state."""

    id: str
    status: State


class Bulk(BaseModel):
    """What to do with all that a query finds."""

    model_config = ConfigDict(extra="forbid")

    change: Change
    q: str = Field(min_length=1, max_length=2000, description="As in the search; `status:open` for all that waits.")


class BulkBody(BaseModel):
    """How many there were."""

    changed: int
    more: bool = Field(description="There are more than are changed at one time: ask again.")


# ── search ───────────────────────────────────────────────────────────────────────────────────


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
    query = _query(console, q, visitor, zone)
    page = await console.messages.page(query, _place(cursor), limit, looks=3)
    return MessagesFound(items=[body(row, visitor) for row in page.rows], next=_cursor(page.next))


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
    query = _query(console, q, visitor, zone)
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
    yield "\ufeff" + _line(columns)  # so that Excel takes it for UTF-8
    async for one in bodies:
        found = one.model_dump(mode="json", by_alias=True)
        yield _line([_harmless(found[column]) for column in columns])


def _line(values: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()


def _harmless(value: Any) -> Any:
    """A spreadsheet takes what begins like a formula for one."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


# ── send ─────────────────────────────────────────────────────────────────────────────────────


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
                to=_number(job.destination, visitor),
                segments=job.segments,
                verdict=job.verdict if not job.provider else "",
                what=_what(job.reason, job.values) if not job.provider else "",
            )
            for job in sent.jobs
        ],
    )


# ── change ───────────────────────────────────────────────────────────────────────────────────


@router.post("/messages/bulk", responses=problems())
async def change_messages(console: Services, visitor: Operator, wanted: Bulk) -> BulkBody:
    """Retry, cancel, hold or release all that the query finds, as far as its state allows it."""
    query = _query(console, wanted.q, visitor)
    changed = await console.messages.change_all(query, wanted.q, EVENTS[wanted.change], visitor.login)
    return BulkBody(changed=changed.count, more=changed.more)


@router.post("/messages/{id}/{change}", responses=problems(404, 409))
async def change_message(console: Services, visitor: Operator, id: Id, change: Change) -> ChangedBody:
    """Retry, cancel, hold or release one SMS, by its own id."""
    story = await _story(console, id, visitor)
    job = next((job for job in story.jobs if id in (job.id, job.provider_id)), None)
    if job is None:
        raise Problem(404, "This is the id of a mail; give the id of one of its SMS")
    state = await console.desk.change(job.id, EVENTS[change], visitor.login)
    if state is None:
        raise Problem(409, f"It is {job.state.value}: {change.value} is not possible")
    return ChangedBody(id=job.id, status=state)


# ── look ─────────────────────────────────────────────────────────────────────────────────────


@router.get("/messages/{id}", responses=problems(404))
async def show_message(console: Services, visitor: Reader, id: Id) -> StoryBody:
    """A mail, its SMS and the replies to it."""
    story = await _story(console, id, visitor)
    mail = story.mail
    refusal = Refusal(REASONS[mail["reason"]], mail["reason_values"] or {}) if mail["reason"] in REASONS else None
    return StoryBody(
        mail=MailBody(
            id=mail["id"],
            at=_time(mail["received_at"]),
            **{name: mail[name] for name in _MAIL},
            login=mail["identity"],
            sender=mail["reverse_path"],
            recipients=[one if visitor.may(Scope.NUMBERS) else masked(one) for one in mail["recipients"]],
            verdict=refusal.code if refusal else "",
            what=explained(refusal) if refusal else "",
        ),
        messages=[body(of_job(job, story), visitor) for job in story.jobs],
        replies=[
            ReplyBody(**{**reply, "sent_at": reply["sent_at"] and _time(reply["sent_at"])}) for reply in story.replies
        ],
    )


_MAIL = ("door", "listener", "peer", "helo", "tls", "message_id", "dialect", "account", "verified_by")


@router.get("/messages/{id}/trace", responses=problems(404))
async def trace_message(console: Services, visitor: Reader, id: Id) -> TraceBody:
    """Every decision about it, in order, every call of a provider, and the MIME parts of the mail."""
    story = await _story(console, id, visitor)
    return TraceBody(
        items=[_note(at, job_id, note) for at, job_id, note in story.trail],
        tree=[part_body(part) for step in in_order(story) for part in step.tree],
        attempts=[
            AttemptBody(
                message=one["job_id"],
                number=one["number"],
                provider=one["provider"],
                started_at=_time(one["started_at"]),
                finished_at=None if one["finished_at"] is None else _time(one["finished_at"]),
                outcome=one["outcome"],
                detail=one["detail"] and masked(one["detail"]),
            )
            for one in story.attempts
        ],
    )


def _note(at: float, job_id: str | None, note: Note) -> NoteBody:
    return NoteBody(at=_time(at), message=job_id, room=note.room, what=note.what, values=dict(note.values))


# ── shared ───────────────────────────────────────────────────────────────────────────────────


def body(row: Message, visitor: Visitor) -> MessageBody:
    """As JSON shows it."""
    return MessageBody(
        id=row.id,
        mail=row.mail_id,
        at=_time(row.at),
        to=_number(row.to, visitor),
        from_=row.sender,
        account=row.account,
        status=row.status,
        verdict=row.verdict,
        reason=row.reason,
        what=_what(row.reason, row.values),
        why=row.why,
        segments=row.segments,
        provider=row.provider,
        provider_id=row.provider_id,
        dialect=row.dialect,
        channel=row.channel,
        updated_at=_time(row.updated_at),
        due_at=None if row.due_at is None else _time(row.due_at),
        expires_at=None if row.expires_at is None else _time(row.expires_at),
        attempt=row.attempt,
    )


def _number(typed: str, visitor: Visitor) -> str:
    return typed if not typed or visitor.may(Scope.NUMBERS) else mask(typed)


def _what(reason: str, values: Any) -> str:
    return explained(Refusal(REASONS[reason], values)) if reason in REASONS else ""


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _query(console: Services, words: str, visitor: Visitor, zone: str | None = None) -> Any:
    try:
        return console.messages.query(words, visitor.accounts, ZoneInfo(zone) if zone else None)
    except Mistake as mistake:
        raise Problem(422, f"q: {mistake}") from None


def _place(word: str | None) -> Any:
    try:
        return place(word) if word else None
    except ValueError:
        raise Problem(422, "cursor: give the word that came as next") from None


_cursor = cursor


async def _story(console: Services, wanted: str, visitor: Visitor) -> Story:
    story = await console.messages.story(wanted.replace("\0", ""), visitor.accounts)
    if story is None:
        raise Problem(404, f"Nothing is known of {wanted}")
    return story
