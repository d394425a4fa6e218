"""What providers say later: each receipt finds its job, or waits for the answer that names it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, or_, select, text, update

from gateway.lifecycle import Event, State, after, sources
from gateway.model import Note, Receipt, Tell
from gateway.spool import hooks
from gateway.spool.outbox import ask_for_reports
from gateway.spool.prepared import Query
from gateway.spool.schema import ASKABLE, jobs, parts, receipts, trail
from gateway.spool.trail import trail_row

EVENTS = {
    State.DELIVERED: Event.RECEIPT_DELIVERED,
    State.UNDELIVERED: Event.RECEIPT_UNDELIVERED,
    State.EXPIRED: Event.RECEIPT_EXPIRED,
    State.UNCERTAIN: Event.RECEIPT_UNKNOWN,
}
"""Other states are news on the way: nothing changes."""
WAIT_S = 86400.0
"""So long a receipt waits for the answer to the call that it is about."""


@dataclass(frozen=True, slots=True)
class Received:
    """A receipt as it came in."""

    provider: str
    receipt: Receipt
    at: float


@dataclass(frozen=True, slots=True)
class Applied:
    """What a receipt did. Without a job: it waits for one. Without a state: it changed nothing."""

    job_id: str | None = None
    state: State | None = None
    sent_at: float | None = field(default=None, compare=False)
    """When the provider was called."""


def record(connection: Connection, items: Sequence[Received]) -> list[Applied]:
    """Write down a batch of receipts, in their order."""
    known = _known(connection, {(item.provider, item.receipt.provider_id) for item in items})
    early = [item for item in items if (item.provider, item.receipt.provider_id) not in known.jobs]
    if early:
        connection.execute(insert(receipts), [_waiting(item) for item in early])
    return _apply(connection, items, known)


def apply_early(connection: Connection, ids: Collection[tuple[str, str]], now: float) -> None:
    """The answers have come that name these ids: receipts that were here before them have their jobs now."""
    if not ids:
        return
    rows = _EARLY(connection, {"ids": [i for _, i in ids]})
    mine = [row for row in rows if (row.provider, row.provider_id) in ids]
    if mine:
        connection.execute(delete(receipts).where(receipts.c.id.in_([row.id for row in mine])))
        items = [
            Received(
                row.provider, Receipt(row.provider_id, State(row.state), row.raw, details=row.details), row.received_at
            )
            for row in mine
        ]
        _apply(connection, items, _known(connection, {(row.provider, row.provider_id) for row in mine}))


_EARLY = Query(
    select(receipts).where(receipts.c.provider_id.in_(bindparam("ids", expanding=True))).order_by(receipts.c.id)
)


def forget_early(connection: Connection, before: float) -> int:
    """Receipts of what is not ours, or was lost. How many."""
    return connection.execute(delete(receipts).where(receipts.c.received_at < before)).rowcount


def _waiting(item: Received) -> dict[str, Any]:
    receipt = item.receipt
    return {
        "provider": item.provider,
        "provider_id": receipt.provider_id,
        "state": receipt.state.value,
        "raw": receipt.raw,
        "details": _details(receipt),
        "received_at": item.at,
    }


def _details(receipt: Receipt) -> dict[str, str]:
    said = {"at": receipt.changed_at, "price": receipt.price or "", **receipt.details}
    return {key: value for key, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class _Known:
    """The jobs that ids belong to, and which of the ids are those of parts."""

    jobs: Mapping[tuple[str, str], Row[Any]]
    parts: Collection[tuple[str, str]]


def _known(connection: Connection, ids: Collection[tuple[str, str]]) -> _Known:
    """Until the commit nobody else changes the jobs."""
    wanted = [provider_id for _, provider_id in ids]
    theirs = and_(parts.c.provider.in_({provider for provider, _ in ids}), parts.c.provider_id.in_(wanted))
    found_parts = connection.execute(select(parts).where(theirs))
    owners = {(row.provider, row.provider_id): row.job_id for row in found_parts}
    by_id = [jobs.c.provider_id.in_(wanted)]
    if owners:
        by_id.append(jobs.c.id.in_(set(owners.values())))
    rows = connection.execute(select(jobs).where(or_(*by_id)).order_by(jobs.c.id).with_for_update()).all()
    found = {(row.provider, row.provider_id): row for row in rows}
    by_job = {row.id: row for row in rows}
    found |= {key: by_job[job_id] for key, job_id in owners.items() if job_id in by_job}
    return _Known(found, owners.keys())


def _apply(connection: Connection, items: Sequence[Received], known: _Known) -> list[Applied]:
    states = {row.id: State(row.state) for row in known.jobs.values()}
    results: list[Applied] = []
    changes: list[_Change] = []
    for item in items:
        key = (item.provider, item.receipt.provider_id)
        row = known.jobs.get(key)
        if row is None:
            results.append(Applied())
            continue
        event = EVENTS.get(_whole(connection, row, item.receipt) if key in known.parts else item.receipt.state)
        if event is None or states[row.id] not in sources(event):
            results.append(Applied(row.id))
            continue
        states[row.id] = after(states[row.id], event)
        changes.append(_Change(row, item, states[row.id]))
        results.append(Applied(row.id, states[row.id], row.sent_at))
    if changes:
        _write(connection, changes)
    return results


def _whole(connection: Connection, row: Row[Any], receipt: Receipt) -> State:
    """The state of the SMS, of which the receipt is about one part."""
    mine = and_(parts.c.job_id == row.id, parts.c.provider == row.provider)
    one = and_(mine, parts.c.provider_id == receipt.provider_id)
    connection.execute(update(parts).where(one).values(state=receipt.state.value))
    states = {State(state) for state in connection.execute(select(parts.c.state).where(mine)).scalars()}
    worst = (State.UNDELIVERED, State.EXPIRED, State.UNCERTAIN, State.SUBMITTED)
    return next((state for state in worst if state in states), State.DELIVERED)


@dataclass(frozen=True, slots=True)
class _Change:
    row: Row[Any]
    item: Received
    state: State

    @property
    def notify(self) -> bool:
        """Failures are always told, the rest to those who asked. The result of a question is its answer."""
        asked = Tell.RECEIPT in self.row.tell.split() or self.row.channel in ("hlr", "ping")
        return asked or self.state is not State.DELIVERED

    def values(self) -> dict[str, Any]:
        """Of the update."""
        return {
            "job": self.row.id,
            "new_state": self.state.value,
            "at": self.item.at,
            "new_why": "" if self.state is State.DELIVERED else f"the provider says: {self.item.receipt.raw}",
            "new_cost": self.item.receipt.price or self.row.cost,
            "new_result": dict(self.item.receipt.details) or None,
            "new_told": self.row.told and not self.notify,
        }

    def note(self) -> dict[str, Any]:
        """For the trail."""
        values: dict[str, str | int] = {"provider": self.item.provider, "raw": self.item.receipt.raw}
        values |= _details(self.item.receipt)
        note = Note("provider", f"receipt: {self.state.value}", values)
        return trail_row(self.row.mail_id, self.row.id, self.item.at, (note,))

    def news(self) -> hooks.News:
        """For a webhook."""
        return hooks.News(
            account=self.row.account,
            mail_id=self.row.mail_id,
            job_id=self.row.id,
            destination=self.row.destination,
            state=self.state,
            at=self.item.at,
            provider=self.item.provider,
            provider_id=self.row.provider_id,
            detail=self.item.receipt.raw,
        )


def _write(connection: Connection, changes: Sequence[_Change]) -> None:
    connection.execute(_CHANGE, [change.values() for change in changes])
    connection.execute(insert(trail), [change.note() for change in changes])
    if tell := [change.row.mail_id for change in changes if change.notify]:
        ask_for_reports(connection, tell, changes[0].item.at)
    hooks.call(connection, [change.news() for change in changes if Tell.HOOK in change.row.tell.split()])


_CHANGE = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        state=bindparam("new_state"),
        updated_at=bindparam("at"),
        why=bindparam("new_why"),
        cost=bindparam("new_cost"),
        result=bindparam("new_result"),
        told=bindparam("new_told"),
        poll_at=None,
    )
)


# ── asking ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Question:
    """A job whose provider is to be asked. ``ids`` are those of its parts."""

    job_id: str
    destination: str
    ids: tuple[str, ...]


def questions(connection: Connection, provider: str, now: float, limit: int) -> list[Question]:
    """Whom to ask about now. The next time is set before the asking, so that no other process asks, too."""
    rows = connection.execute(
        select(jobs)
        .where(jobs.c.provider == provider, jobs.c.poll_at <= now)
        .order_by(jobs.c.poll_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not rows:
        return []
    again = [{"job": row.id, "next": _next_poll(row, now)} for row in rows]
    connection.execute(_AGAIN, again)
    several: dict[str, list[str]] = {}
    for part in connection.execute(select(parts).where(parts.c.job_id.in_([row.id for row in rows]))):
        several.setdefault(part.job_id, []).append(part.provider_id)
    return [
        Question(row.id, row.destination, tuple(several.get(row.id, [row.provider_id])))
        for row in rows
        if row.state == State.SUBMITTED.value and row.provider_id
    ]


def _next_poll(row: Row[Any], now: float) -> float | None:
    """The older the SMS, the less is news: half of its age later, ten seconds at least, an hour at most, until it is
    three days old."""
    age = now - (row.sent_at or row.created_at)
    if row.state != State.SUBMITTED.value or age > POLL_FOR_S:
        return None
    wait_s: float = min(3600.0, max(10.0, age / 2))
    return now + wait_s


POLL_FOR_S = 3 * 86400.0
_AGAIN = update(jobs).where(jobs.c.id == bindparam("job")).values(poll_at=bindparam("next"))


_NEXT_QUESTION = select(func.min(jobs.c.poll_at)).where(jobs.c.provider == bindparam("provider"), text(ASKABLE))


def next_question(connection: Connection, provider: str) -> float | None:
    """When the provider is to be asked next."""
    earliest = connection.execute(_NEXT_QUESTION, {"provider": provider}).scalar_one()
    return None if earliest is None else float(earliest)
