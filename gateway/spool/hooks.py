"""What a program of the account's owner is told, and when it is due to be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from gateway.lifecycle import State
from gateway.spool.schema import hooks

SENDING_S = 60.0
"""For so long no other process takes a call. A second one is cheap: its id tells that it is the same."""
_NEWS = frozenset(State) - {State.QUEUED, State.SUBMITTING, State.HELD}


@dataclass(frozen=True, slots=True)
class News:
    """A job has come to a state that somebody outside wants to know."""

    account: str
    mail_id: str
    job_id: str
    destination: str
    state: State
    at: float
    provider: str
    provider_id: str | None
    verdict: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A webhook call that is due."""

    id: int
    account: str
    event: dict[str, Any]
    created_at: float
    tries: int


class CallState(StrEnum):
    """Of a call."""

    WAITING = "waiting"
    TOLD = "told"
    FAILED = "failed"
    """Given up."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as people see it, without texts."""

    id: int
    account: str
    state: CallState
    what: str
    """``message``, ``incoming`` or ``test``."""
    job: str
    status: str
    """That of the SMS, which is told."""
    created_at: float
    due_at: float | None
    tries: int
    error: str


_DONE = hooks.c.due_at.is_(None)
_IS = {
    CallState.WAITING: ~_DONE,
    CallState.TOLD: _DONE & (hooks.c.error == ""),
    CallState.FAILED: _DONE & (hooks.c.error != ""),
}
LOOKED_AT = 100_000
"""So many of the newest calls are looked through, whoever's they are."""


def listed(
    connection: Connection, accounts: Collection[str] | None, state: CallState | None, before: int | None, limit: int
) -> list[CallRow]:
    """The newest first, those with an id below ``before``. ``accounts`` None: all."""
    last = connection.execute(select(func.max(hooks.c.id))).scalar() or 0
    query = select(hooks).where(hooks.c.id > last - LOOKED_AT).order_by(hooks.c.id.desc()).limit(limit)
    if accounts is not None:
        query = query.where(hooks.c.account.in_(accounts))
    if state is not None:
        query = query.where(_IS[state])
    if before is not None:
        query = query.where(hooks.c.id < before)
    return [_shown(row) for row in connection.execute(query)]


def _shown(row: Row[Any]) -> CallRow:
    event = row.event or {}
    done = CallState.FAILED if row.error else CallState.TOLD
    return CallRow(
        id=row.id,
        account=row.account,
        state=done if row.due_at is None else CallState.WAITING,
        what=event.get("type", ""),
        job=event.get("job", ""),
        status=event.get("state", ""),
        created_at=row.created_at,
        due_at=row.due_at,
        tries=row.tries,
        error=row.error,
    )


def again(connection: Connection, call_id: int, accounts: Collection[str] | None, now: float) -> bool:
    """Due now, as if it were new. False: there is no such call, or it has been heard."""
    query = update(hooks).where(hooks.c.id == call_id, ~_IS[CallState.TOLD])
    if accounts is not None:
        query = query.where(hooks.c.account.in_(accounts))
    return connection.execute(query.values(created_at=now, due_at=now, tries=0)).rowcount == 1


def call_to_test(connection: Connection, account: str, now: float) -> int:
    """One that is about nothing; its id."""
    row = {"account": account, "event": {"type": "test", "at": now}, "created_at": now, "due_at": now}
    made: int = connection.execute(insert(hooks).returning(hooks.c.id), row).scalar_one()
    return made


def call(connection: Connection, news: Sequence[News]) -> None:
    """Have them told."""
    rows = [_row(item) for item in news if item.state in _NEWS]
    if rows:
        connection.execute(insert(hooks), rows)


def call_about_incoming(connection: Connection, account: str, row: Mapping[str, Any]) -> None:
    """An SMS has come in."""
    names = {"id": "id", "from": "sender", "to": "destination", "text": "text", "provider": "provider"}
    event = {"type": "incoming", **{name: row[column] for name, column in names.items()}, "at": row["received_at"]}
    at = row["received_at"]
    connection.execute(insert(hooks), {"account": account, "event": event, "created_at": at, "due_at": at})


def _row(item: News) -> dict[str, Any]:
    event = {
        "type": "message",
        "message": item.mail_id,
        "job": item.job_id,
        "to": item.destination,
        "state": item.state.value,
        "verdict": item.verdict,
        "detail": item.detail,
        "provider": item.provider,
        "provider_id": item.provider_id,
        "at": item.at,
    }
    return {"account": item.account, "event": event, "created_at": item.at, "due_at": item.at}


def take(connection: Connection, now: float, limit: int) -> list[Call]:
    """Calls to be made now, the oldest first."""
    rows = connection.execute(
        select(hooks)
        .where(hooks.c.due_at <= now)
        .order_by(hooks.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if rows:
        ids = [row.id for row in rows]
        connection.execute(update(hooks).where(hooks.c.id.in_(ids)).values(due_at=now + SENDING_S))
    return [Call(row.id, row.account, row.event, row.created_at, row.tries) for row in rows]


def finish(connection: Connection, call_id: int, error: str = "") -> None:
    """Done, or given up because of this."""
    connection.execute(update(hooks).where(hooks.c.id == call_id).values(due_at=None, error=error))


def postpone(connection: Connection, call_id: int, due_at: float, error: str) -> None:
    """Try again later."""
    changed = {"due_at": due_at, "error": error, "tries": hooks.c.tries + 1}
    connection.execute(update(hooks).where(hooks.c.id == call_id).values(changed))


def next_due(connection: Connection) -> float | None:
    """When the next call is due."""
    earliest: float | None = connection.execute(
        select(func.min(hooks.c.due_at)).where(text("due_at IS NOT NULL"))
    ).scalar_one()
    return earliest
