"""``/messages``: retry, cancel, hold, release."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gateway.lifecycle import Event, State
from gateway.policy.permissions import Scope, Visitor
from gateway.web.api.message import Id, story_of
from gateway.web.api.messages import query_of
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["messages"])

Operator = Annotated[Visitor, needs(Scope.READ, Scope.OPERATE)]


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


@router.post("/messages/bulk", responses=problems())
async def change_messages(console: Services, visitor: Operator, wanted: Bulk) -> BulkBody:
    """Retry, cancel, hold or release all that the query finds, as far as its state allows it."""
    query = query_of(console, wanted.q, visitor)
    changed = await console.messages.change_all(query, wanted.q, EVENTS[wanted.change], visitor.login)
    return BulkBody(changed=changed.count, more=changed.more)


@router.post("/messages/{id}/{change}", responses=problems(404, 409))
async def change_message(console: Services, visitor: Operator, id: Id, change: Change) -> ChangedBody:
    """Retry, cancel, hold or release one SMS, by its own id."""
    story = await story_of(console, id, visitor)
    job = next((job for job in story.jobs if id in (job.id, job.provider_id)), None)
    if job is None:
        raise Problem(404, "This is the id of a mail; give the id of one of its SMS")
    state = await console.desk.change(job.id, EVENTS[change], visitor.login)
    if state is None:
        raise Problem(409, f"It is {job.state.value}: {change.value} is not possible")
    return ChangedBody(id=job.id, status=state)
