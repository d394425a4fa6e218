"""``/messages/{id}``: what became of a mail and its SMS."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from gateway.model import Note
from gateway.policy.permissions import Scope, Visitor
from gateway.service.desk import Story
from gateway.service.messages import of_job
from gateway.service.story import in_order
from gateway.service.wording import explained
from gateway.sms.numbers import masked
from gateway.verdicts import REASONS, Refusal
from gateway.web.api.explain import PartBody, part_body
from gateway.web.api.messages import MessageBody, Reader, body, moment
from gateway.web.needs import Services
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["messages"])

Id = Annotated[str, Path(max_length=200, description="Queue id, SMS id or the provider's id.")]


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


class DecisionBody(BaseModel):
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

    items: list[DecisionBody]
    attempts: list[AttemptBody]
    tree: list[PartBody] = Field(
        description="The mail's MIME parts; empty: it had only one, or was never opened. Names of files are not kept."
    )


@router.get("/messages/{id}", responses=problems(404))
async def show_message(console: Services, visitor: Reader, id: Id) -> StoryBody:
    """A mail, its SMS and the replies to it."""
    story = await story_of(console, id, visitor)
    mail = story.mail
    refusal = Refusal(REASONS[mail["reason"]], mail["reason_values"] or {}) if mail["reason"] in REASONS else None
    return StoryBody(
        mail=MailBody(
            id=mail["id"],
            at=moment(mail["received_at"]),
            **{name: mail[name] for name in _MAIL},
            login=mail["identity"],
            sender=mail["reverse_path"],
            recipients=[one if visitor.may(Scope.NUMBERS) else masked(one) for one in mail["recipients"]],
            verdict=refusal.code if refusal else "",
            what=explained(refusal) if refusal else "",
        ),
        messages=[body(of_job(job, story), visitor) for job in story.jobs],
        replies=[
            ReplyBody(**{**reply, "sent_at": reply["sent_at"] and moment(reply["sent_at"])}) for reply in story.replies
        ],
    )


_MAIL = ("door", "listener", "peer", "helo", "tls", "message_id", "dialect", "account", "verified_by")


@router.get("/messages/{id}/trace", responses=problems(404))
async def trace_message(console: Services, visitor: Reader, id: Id) -> TraceBody:
    """Every decision about it, in order, every call of a provider, and the MIME parts of the mail."""
    story = await story_of(console, id, visitor)
    return TraceBody(
        items=[_note(at, job_id, note) for at, job_id, note in story.trail],
        tree=[part_body(part) for step in in_order(story) for part in step.tree],
        attempts=[
            AttemptBody(
                message=one["job_id"],
                number=one["number"],
                provider=one["provider"],
                started_at=moment(one["started_at"]),
                finished_at=None if one["finished_at"] is None else moment(one["finished_at"]),
                outcome=one["outcome"],
                detail=one["detail"] and masked(one["detail"]),
            )
            for one in story.attempts
        ],
    )


def _note(at: float, job_id: str | None, note: Note) -> DecisionBody:
    return DecisionBody(at=moment(at), message=job_id, room=note.room, what=note.what, values=dict(note.values))


async def story_of(console: Services, wanted: str, visitor: Visitor) -> Story:
    """By any of its ids. Raises ``Problem``."""
    story = await console.messages.story(wanted.replace("\0", ""), visitor.accounts)
    if story is None:
        raise Problem(404, f"Nothing is known of {wanted}")
    return story
