"""``GET /events``: what happens, as it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from gateway.lifecycle import State
from gateway.policy.permissions import Scope, Visitor
from gateway.service.events import Event, Feed, Kind, Over
from gateway.service.wanted import Wanted, wanted
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["events"])

HEARTBEAT_S = 15.0
LASTS_S = 600.0
"""Then the client comes again, and is asked again who it is."""
MAX_STREAMS = 200
"""In one process; other requests must get in, too."""
_EVENT_STREAM = "text/event-stream"

Q = Annotated[str, Query(max_length=500, description="Which ones: `kind:failed account:shop -provider:main 192.0.2`.")]
After = Annotated[int | None, Query(ge=0, le=2**53, description="Tell first what has happened since this event.")]


class EventBody(BaseModel):
    """One thing that has happened."""

    id: int = Field(description="Counts up. Ask for what is after it.")
    at: datetime
    kind: Kind
    mail: str = Field(description="Queue id.")
    job: str | None
    account: str | None
    state: State | None = Field(description="Of the job, from then on.")
    verdict: str
    provider: str
    to: str = Field(description="The number, masked.")
    listener: str
    peer: str
    jobs: int | None = Field(description="How many SMS an accepted mail has become.")
    what: str = Field(description="In words.")


class RecentEvents(BaseModel):
    """What has happened since."""

    items: list[EventBody]
    next: int = Field(description="Ask for what is after this.")
    missed: bool = Field(description="More has happened than is listed: look at everything anew.")


def body(event: Event) -> EventBody:
    """As JSON shows it."""
    return EventBody(
        id=event.id,
        at=datetime.fromtimestamp(event.at, UTC),
        kind=event.kind,
        mail=event.mail,
        job=event.job,
        account=event.account,
        state=event.state,
        verdict=event.verdict,
        provider=event.provider,
        to=event.to,
        listener=event.listener,
        peer=event.peer,
        jobs=event.jobs,
        what=event.what,
    )


def filter_of(q: str) -> Wanted:
    """What the query means. Raises ``Problem``."""
    try:
        return wanted(q)
    except ValueError as error:
        raise Problem(422, str(error)) from None


class EventStream(StreamingResponse):
    """For the description of the API."""

    media_type = _EVENT_STREAM


@router.get(
    "/events",
    response_class=EventStream,
    responses={**problems(503), 200: {"content": {_EVENT_STREAM: {"schema": {"type": "string"}}}}},
)
async def follow_events(
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    q: Q = "",
    after: After = None,
    last_event_id: Annotated[str | None, Header(description="As a browser sends it; stronger than `after`.")] = None,
) -> EventStream:
    """Server-sent events, until the client leaves. `data` is JSON as `GET /events/recent` shows it; an event `hello`
    begins the stream, `reset` says that more was missed than is told again, `over` ends it: come again."""
    if console.feed.listeners >= MAX_STREAMS:
        raise Problem(503, f"{MAX_STREAMS} programs and pages listen already")
    since = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else after
    since = since if since is None or since <= 2**53 else None
    stream = _stream(console.feed, visitor, filter_of(q), since)
    return EventStream(stream, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def _stream(feed: Feed, visitor: Visitor, is_wanted: Wanted, after: int | None) -> AsyncIterator[str]:
    ends_at = time.monotonic() + LASTS_S
    try:
        async with feed.listen(visitor.accounts, after) as listener:
            yield "retry: 3000\nevent: hello\ndata: {}\n\n"
            if listener.missed:
                yield "event: reset\ndata: {}\n\n"
            while time.monotonic() < ends_at:
                found = await listener.next(HEARTBEAT_S)
                for event in found:
                    if is_wanted(event):
                        yield f"id: {event.id}\ndata: {body(event).model_dump_json()}\n\n"
                if found:
                    await asyncio.sleep(0)  # a thousand at once hold nobody up
                else:
                    yield ": \n\n"
    except Over:
        pass
    yield "event: over\ndata: {}\n\n"


@router.get("/events/recent", responses=problems())
async def recent_events(
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    q: Q = "",
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> RecentEvents:
    """For who cannot keep a connection open: what has happened since an event, or the newest, oldest first."""
    is_wanted = filter_of(q)
    recent = await console.feed.recent(visitor.accounts, after, limit)
    return RecentEvents(
        items=[body(event) for event in recent.events if is_wanted(event)], next=recent.position, missed=recent.missed
    )
