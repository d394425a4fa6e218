"""``/webhooks``: what programs of accounts' owners were told, or could not be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service.hooks import CallRow, CallState, NoWebhook
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems
from gateway.web.tenancy import check_sees

router = APIRouter(tags=["webhooks"])

Operator = Annotated[Visitor, needs(Scope.READ, Scope.OPERATE)]


class CallBody(BaseModel):
    """One call of a webhook."""

    id: int = Field(description="The `id` that it tells, the same for each try.")
    account: str
    state: CallState = Field(description="`failed`: given up.")
    type: str = Field(description="What it tells of: `message`, `incoming` or `test`.")
    job: str = Field(description="The SMS; empty: it is about none.")
    status: str = Field(description="The state of the SMS that is told.")
    created_at: datetime
    due_at: datetime | None = Field(description="Of the next try; null: there is none.")
    tries: int = Field(description="Failed ones, before the last.")
    error: str = Field(description="Why the last try failed.")


class CallsFound(BaseModel):
    """The newest first."""

    items: list[CallBody]
    next: int | None = Field(description="Give it as `before`, until it is null.")


class TestBody(BaseModel):
    """The call that was made."""

    id: int


@router.get("/webhooks", responses=problems(404))
async def list_calls(
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    account: Annotated[str | None, Query(max_length=255, description="Only of this one.")] = None,
    state: CallState | None = None,
    before: Annotated[int | None, Query(ge=0, le=2**53, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> CallsFound:
    """Calls of webhooks, of the newest 100,000."""
    accounts = visitor.accounts
    if account is not None:
        check_sees(visitor, account)
        accounts = frozenset({account})
    found = await console.webhooks.listed(accounts, state, before, limit)
    return CallsFound(items=[_body(row) for row in found], next=found[-1].id if len(found) == limit else None)


@router.post("/webhooks/test", status_code=202, responses=problems(404, 409))
async def try_webhook(console: Services, visitor: Operator, account: Annotated[str, Query(max_length=255)]) -> TestBody:
    """Call the webhook of an account with an event of the type `test`."""
    check_sees(visitor, account)
    try:
        return TestBody(id=await console.webhooks.test(account, visitor.login))
    except NoWebhook:
        raise Problem(409, f"{account} has no webhook") from None


@router.post("/webhooks/{id}/retry", status_code=204, response_class=Response, responses=problems(404))
async def retry_call(console: Services, visitor: Operator, id: Annotated[int, Path(ge=0, le=2**53)]) -> None:
    """Tell it once more, now; then for a day as any other."""
    if not await console.webhooks.retry(id, visitor.accounts, visitor.login):
        raise Problem(404, "There is no such call, or it has been heard.")


def _body(row: CallRow) -> CallBody:
    return CallBody(
        id=row.id,
        account=row.account,
        state=row.state,
        type=row.what,
        job=row.job,
        status=row.status,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        due_at=None if row.due_at is None else datetime.fromtimestamp(row.due_at, UTC),
        tries=row.tries,
        error=row.error,
    )
