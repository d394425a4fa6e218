"""``POST /explain``: what would happen with a mail. Nothing is stored, nothing sent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from gateway.model import Note
from gateway.policy.permissions import Scope, Visitor
from gateway.service.explain import Arrival, Explained, NoListener, NoRecipient, Part
from gateway.service.workbench import GUESSES, TooManyGuesses
from gateway.web.console import Console
from gateway.web.needs import LOOKS, Services, needs
from gateway.web.problems import Problem, problems
from gateway.web.rendering import language

router = APIRouter(tags=["try"])

MAX_MAIL = 10_485_760
"""Bytes."""


class NoteBody(BaseModel):
    """One decision, in the order taken."""

    room: str
    what: str
    values: dict[str, str | int]


class PartBody(BaseModel):
    """A part of the mail."""

    depth: int
    type: str
    charset: str
    encoding: str
    name: str
    characters: int = Field(description="Of its coded content.")
    is_text: bool = Field(description="This is the part that is read.")


class DroppedBody(BaseModel):
    """A number that would not be sent to."""

    number: str
    verdict: str
    why: str
    fix: str


class ExplainedBody(BaseModel):
    """What would happen with a mail."""

    verdict: str = Field(description="`OK`, or why the whole is refused.")
    reason: str | None
    why: str | None
    fix: str | None
    smtp: str | None = Field(description="Code and enhanced status of the refusal.")
    recipients: list[str]
    sender: str
    dialect: str | None
    form: str | None
    account: str | None
    verified_by: str | None
    originator: str | None
    text: str | None = Field(description="As it would go out.")
    alphabet: str | None
    segments: list[str] = Field(description="The parts of the SMS.")
    destinations: list[str]
    route: list[str] = Field(description="Providers, in the order in which they are tried.")
    dropped: list[DroppedBody]
    tree: list[PartBody] = Field(description="The mail's MIME parts.")
    trail: list[NoteBody]


@router.post(
    "/explain",
    dependencies=[LOOKS],
    responses=problems(413, 429),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def explain_mail(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    to: Annotated[list[str] | None, Query(max_length=100, description="RCPT TO; default: the To field.")] = None,
    sender: Annotated[str | None, Query(max_length=500, description="MAIL FROM; default: the From field.")] = None,
    listener: Annotated[str, Query(max_length=100, description="As if it came to this listener.")] = "",
    peer: Annotated[str, Query(max_length=100, description="As if it came from this IP address.")] = "",
) -> ExplainedBody:
    """What would happen with a mail, which is the body of the request, and why. Nothing is stored, nothing sent."""
    raw = await request.body()
    if len(raw) > MAX_MAIL:
        raise Problem(413, f"more than {MAX_MAIL} bytes")
    arrival = Arrival(tuple(to or ()), sender, listener, peer)
    return explained_body(await explained_to(console, visitor, raw, arrival, language(request)))


async def explained_to(console: Console, visitor: Visitor, raw: bytes, arrival: Arrival, lang: str) -> Explained:
    """What this visitor may know of it. Raises ``Problem``."""
    try:
        return await console.workbench.explain(
            raw,
            arrival,
            visitor.login,
            accounts=visitor.accounts,
            numbers=visitor.may(Scope.NUMBERS),
            language=lang,
        )
    except NoRecipient:
        raise Problem(422, "The mail has no To field; name the envelope recipient.") from None
    except NoListener as error:
        raise Problem(422, str(error)) from None
    except TooManyGuesses:
        raise Problem(429, f"{GUESSES} mails with wrong credentials have been explained; wait ten minutes") from None


def explained_body(found: Explained) -> ExplainedBody:
    """As JSON shows it."""
    return ExplainedBody(
        verdict=found.verdict,
        reason=found.reason or None,
        why=found.why or None,
        fix=found.fix or None,
        smtp=found.smtp or None,
        recipients=list(found.recipients),
        sender=found.sender,
        dialect=found.dialect or None,
        form=found.form or None,
        account=found.account or None,
        verified_by=found.verified_by or None,
        originator=found.originator or None,
        text=found.text,
        alphabet=found.alphabet or None,
        segments=list(found.parts),
        destinations=list(found.destinations),
        route=list(found.route),
        dropped=[
            DroppedBody(number=drop.number, verdict=drop.verdict, why=drop.why, fix=drop.fix) for drop in found.dropped
        ],
        tree=[part_body(part) for part in found.tree],
        trail=[note_body(note) for note in found.notes],
    )


def part_body(part: Part) -> PartBody:
    """As JSON shows it."""
    return PartBody(**asdict(part))


def note_body(note: Note) -> NoteBody:
    """As JSON shows it."""
    return NoteBody(room=note.room, what=note.what, values=dict(note.values))
