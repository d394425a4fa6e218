"""``POST /segments``: what a text costs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service.counting import Counted
from gateway.service.wording import explained
from gateway.verdicts import Refused
from gateway.web.api.explain import NoteBody, note_body
from gateway.web.needs import LOOKS, Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["try"])

MAX_TEXT = 20_000
"""Characters."""


class TextBody(BaseModel):
    """A text to count."""

    text: str = Field(max_length=MAX_TEXT)
    account: str = Field("", max_length=255, description="Treat it as this account's texts are.")


class CharacterBody(BaseModel):
    """A character that the 7-bit alphabet does not have."""

    char: str
    name: str
    at: int = Field(description="Where it stands first; the text begins with 1.")


class ShorterBody(BaseModel):
    """A way to take fewer SMS."""

    way: str
    text: str
    segments: int


class CountedBody(BaseModel):
    """A text as handsets and bills count it."""

    text: str = Field(description="As it goes out.")
    alphabet: str
    segments: int
    units: int = Field(description="Septets of GSM-7, or UTF-16 units of UCS-2.")
    single: int = Field(description="Units that one SMS holds.")
    part: int = Field(description="Units that each part of a long one holds.")
    left: int = Field(description="Units that still go into the last one.")
    parts: list[str]
    not_in_gsm7: list[CharacterBody]
    shorter: list[ShorterBody]
    changed: list[NoteBody] = Field(description="What the account's settings have changed.")


@router.post("/segments", dependencies=[LOOKS], responses=problems())
async def count_segments(
    body: TextBody, console: Services, visitor: Annotated[Visitor, needs(Scope.READ)]
) -> CountedBody:
    """How many SMS a text takes, where it is cut, which characters make it longer, and what makes it shorter."""
    if body.account and not visitor.sees(body.account):
        raise Problem(403, f"{visitor.login} does not see this account")
    try:
        return counted_body(await console.workbench.count(body.text, body.account))
    except Refused as refused:
        raise Problem.of(refused.refusal, explained(refused.refusal)) from None


def counted_body(found: Counted) -> CountedBody:
    """As JSON shows it."""
    return CountedBody(
        text=found.text,
        alphabet=found.alphabet.value,
        segments=len(found.parts),
        units=found.units,
        single=found.single,
        part=found.part,
        left=found.left,
        parts=list(found.parts),
        not_in_gsm7=[CharacterBody(char=c.char, name=c.name, at=c.at) for c in found.culprits],
        shorter=[ShorterBody(way=way.way, text=way.text, segments=way.segments) for way in found.shorter],
        changed=[note_body(note) for note in found.notes],
    )
