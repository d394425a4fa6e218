"""``/messages/ID``: the whole story of one mail, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.lifecycle import Event, State
from gateway.policy.permissions import Scope, Visitor
from gateway.service.desk import JobRow, Story, Words
from gateway.service.messages import of_job, possible
from gateway.service.story import Phase, Step, in_order
from gateway.service.wording import what_and_fix
from gateway.sms.numbers import masked
from gateway.verdicts import REASONS, Refusal
from gateway.web.console import Console
from gateway.web.needs import Services, needs
from gateway.web.pages.compose import SHOWN, request_shown
from gateway.web.pages.messages import CHANGED, stamp, what
from gateway.web.problems import Problem
from gateway.web.rendering import language, page, words_of

router = APIRouter()

Id = Annotated[str, Path(max_length=200)]
Reader = Annotated[Visitor, needs(Scope.READ)]
Operator = Annotated[Visitor, needs(Scope.READ, Scope.OPERATE)]
TextReader = Annotated[Visitor, needs(Scope.READ, Scope.TEXTS)]

ICONS = {
    Phase.SESSION: "connect",
    Phase.MIME: "explain",
    Phase.CHARSET: "explain",
    Phase.DIALECT: "lists",
    Phase.SENDER: "key",
    Phase.RULES: "audit",
    Phase.TEXT: "compose",
    Phase.WAITING: "state-queued",
    Phase.PROVIDER: "providers",
    Phase.RECEIPT: "state-delivered",
    Phase.OPERATOR: "me",
    Phase.REPLY: "reports",
}
_BAD = ("refused", "rejected", "expired", "answer lost", "uncertain", "dropped", "undelivered", "failed")


@dataclass(frozen=True, slots=True)
class Chapter:
    """Steps of one phase that follow one another."""

    at: float
    phase: Phase
    job: str
    """What is behind the mail's id; empty: the whole mail."""
    steps: Sequence[Step]

    @property
    def look(self) -> str:
        """Its colour."""
        if any(word in step.what for step in self.steps for word in _BAD):
            return "bad"
        return "good" if any(step.what in _GOOD for step in self.steps) else ""


_GOOD = ("submitted", "receipt: delivered", "sent")


@router.get("/messages/{id}")
async def message(request: Request, console: Services, visitor: Reader, id: Id) -> HTMLResponse:
    """By its queue id, the id of an SMS, or the provider's."""
    return await _shown(request, console, visitor, id)


@router.post("/messages/{id}/text")
async def text(request: Request, console: Services, visitor: TextReader, id: Id) -> HTMLResponse:
    """With what people wrote. That somebody has looked is written down first."""
    return await _shown(request, console, visitor, id, texts=True)


@router.post("/messages/{id}/copy")
async def copy(console: Services, visitor: TextReader, id: Id) -> Response:
    """The kept copy as a file; written down, too."""
    story = await _story(console, visitor, id)
    words = await console.desk.words(story.mail["id"], visitor.login)
    if words.copy is None:
        raise Problem(404)
    name = f'attachment; filename="{story.mail["id"]}.txt"'
    return Response(words.copy, media_type="text/plain; charset=utf-8", headers={"Content-Disposition": name})


@router.post("/messages/{id}/{change}")
async def change(console: Services, visitor: Operator, id: Id, change: Annotated[str, Path(max_length=20)]) -> Response:
    """One SMS."""
    if change not in CHANGED:
        raise Problem(404)
    story = await _story(console, visitor, id)
    job = next((job for job in story.jobs if job.id == id), None)
    if job is None:
        raise Problem(404)
    done = await console.desk.change(job.id, CHANGED[change], visitor.login)
    return RedirectResponse(f"/messages/{quote(id)}?{'done' if done else 'late'}={change}", 303)


async def _shown(
    request: Request, console: Console, visitor: Visitor, wanted: str, *, texts: bool = False
) -> HTMLResponse:
    story = await _story(console, visitor, wanted)
    mail = story.mail
    reason = REASONS.get(mail["reason"] or "")
    job = next((job for job in story.jobs if wanted in (job.id, job.provider_id)), None)
    chosen = job or (story.jobs[0] if len(story.jobs) == 1 else None)
    words = await console.desk.words(mail["id"], visitor.login) if texts else None
    return page(
        request,
        "message.html",
        story=story,
        mail=mail,
        wanted=wanted,
        jobs=[of_job(job, story) for job in story.jobs],
        chosen=chosen,
        words=words,
        requests=_requests(console, visitor, words, chosen, language(request)) if words is not None else {},
        recipients=[one if visitor.may(Scope.NUMBERS) else masked(one) for one in mail["recipients"]],
        refusal=what_and_fix(Refusal(reason, mail["reason_values"] or {}), language(request)) if reason else None,
        verdict=Refusal(reason, mail["reason_values"] or {}).code if reason else "",
        chapters=list(chapters(story)),
        icons=ICONS,
        stamp=lambda at: stamp(at, words_of(request)),
        what=lambda row: what(row, language(request)),
        fix=lambda row: _fix(row.reason, row.values, language(request)),
        possible=lambda row: [
            _Choice(event, row.status, row.provider) for event in possible(State(row.status)) if row.provider
        ],
        paused=await console.desk.paused_providers(),
        holds=await console.switch.holds(),
        done=request.query_params.get("done", ""),
        late=request.query_params.get("late", ""),
    )


def _requests(console: Console, visitor: Visitor, words: Words, chosen: JobRow | None, lang: str) -> dict[str, str]:
    """What the providers would be asked now, by SMS; of a mail with many for the first ones."""
    wanted = [job for job in words.jobs if chosen is None or job.id == chosen.id]
    shown = {job.id: request_shown(console, visitor, job, lang) for job in wanted[:SHOWN]}
    return {job_id: asked for job_id, asked in shown.items() if asked}


@dataclass(frozen=True, slots=True)
class _Choice:
    """What can be done, and which words say what comes of it."""

    event: Event
    status: str
    provider: str

    @property
    def name(self) -> str:
        return self.event.name.lower()

    @property
    def consequence(self) -> str:
        if self.event is Event.RETRY and self.status in (State.UNCERTAIN, State.QUEUED):
            return f"message.then_retry_{self.status}"
        if self.event is Event.CANCEL and self.status == State.UNCERTAIN:
            return "message.then_cancel_uncertain"
        return f"message.then_{self.name}"


def _fix(reason: str, values: dict[str, str | int], language: str) -> str:
    return what_and_fix(Refusal(REASONS[reason], values), language)[1] if reason in REASONS else ""


async def _story(console: Console, visitor: Visitor, wanted: str) -> Story:
    story = await console.messages.story(wanted.replace("\0", ""), visitor.accounts)
    if story is None:
        raise Problem(404)
    return story


def chapters(story: Story) -> Iterator[Chapter]:
    """The story in stretches."""
    for (phase, job), steps in groupby(in_order(story), key=lambda step: (step.phase, step.job)):
        found = list(steps)
        yield Chapter(found[0].at, phase, (job or "").removeprefix(story.mail["id"]), found)
