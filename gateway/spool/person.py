"""All that is stored about one phone number, and its erasure: what somebody may ask for whose number it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, String, and_, cast, delete, or_, select, update

from gateway.lifecycle import State
from gateway.sms import numbers
from gateway.spool.desk import job_row
from gateway.spool.lists import STOP, containing, take_out
from gateway.spool.schema import attempts, hooks, incoming, jobs, mails, outbox, receipts
from gateway.verdicts import Refused

T = TypeVar("T")

_WAITING = frozenset({State.QUEUED.value, State.SUBMITTING.value, State.HELD.value})
_AT_ONCE = 500
"""Values in one statement: SQLite takes no more than 32,766."""


@dataclass(frozen=True, slots=True)
class Erased:
    """How much is gone, and what is not."""

    jobs: int
    mails: int
    incoming: int
    events: int
    waiting: tuple[str, ...]
    """Jobs that are not at their end: cancel them, and erase again."""


def export(connection: Connection, number: str) -> dict[str, Any]:
    """``number`` in E.164 digits. Nobody else's number is in it: the copy of a mail, which may hold some, is not."""
    found = _jobs(connection, number)
    ids = [row.id for row in found]
    return {
        "number": number,
        "sms": [_exported(row) for row in found],
        "attempts": [dict(row) for row in _in(connection, select(attempts), attempts.c.job_id, ids)],
        "mails": [dict(row) for row in _in(connection, _MAIL_FACTS, mails.c.id, {row.mail_id for row in found})],
        "incoming": [dict(row) for row in connection.execute(_from(number)).mappings()],
        "webhook_events": [row.event for row in _events(connection, number)],
        "lists": [{"account": one.account, "list": one.name or "stop-list"} for one in containing(connection, number)],
    }


def erase(connection: Connection, number: str, now: float) -> Erased:
    """Texts are gone and the number is masked in all that is done; states and counts stay. All or nothing."""
    mask, masked = numbers.mask(number), _masking(number)
    found = _jobs(connection, number)
    waiting = tuple(row.id for row in found if row.state in _WAITING or row.due_at is not None)
    done = [row for row in found if row.id not in waiting]
    for row in done:
        connection.execute(
            update(jobs)
            .where(jobs.c.id == row.id)
            .values(
                destination=mask,
                recipient=masked(row.recipient),
                why=masked(row.why),
                text=None,
                extras=None,
                result=None,
                fingerprint=b"",
                poll_at=None,
            )
        )
    for ids in _some(row.id for row in done):
        for tried in connection.execute(select(attempts).where(attempts.c.job_id.in_(ids))):
            if tried.detail and masked(tried.detail) != tried.detail:
                mine = (attempts.c.job_id == tried.job_id, attempts.c.number == tried.number)
                connection.execute(update(attempts).where(*mine).values(detail=masked(tried.detail)))
    blanked = _erase_mails(connection, number, {row.mail_id for row in found}, masked)
    came = list(connection.execute(select(incoming.c.id).where(incoming.c.sender == number)).scalars())
    connection.execute(update(incoming).where(incoming.c.sender == number).values(text=None, sender=mask))
    _erase_replies(connection, came, masked)
    told = [row.id for row in _events(connection, number)]
    for ids in _some(told):
        connection.execute(delete(hooks).where(hooks.c.id.in_(ids)))
    early = cast(receipts.c.details, String).contains(number)
    connection.execute(delete(receipts).where(early))
    for one in containing(connection, number):
        if one.name != STOP:  # on a stop-list it stands for his own sake
            take_out(connection, one.account, one.name, [number], now)
    return Erased(len(done), blanked, len(came), len(told), waiting)


# ── what is the number's ─────────────────────────────────────────────────────────────────────


_MAIL_FACTS = select(
    mails.c.id, mails.c.received_at, mails.c.reverse_path, mails.c.account, mails.c.originator, mails.c.dialect
)


def _jobs(connection: Connection, number: str) -> list[Row[Any]]:
    """Its SMS, also those that were refused: their number is stored as it was typed."""
    typed = (jobs.c.provider == "", jobs.c.destination.endswith(number[-2:]))
    query = select(jobs).where(or_(jobs.c.destination == number, and_(*typed))).order_by(jobs.c.created_at, jobs.c.id)
    return [row for row in connection.execute(query) if row.destination == number or _is(row.destination, number)]


def _is(typed: str, number: str) -> bool:
    try:
        return numbers.parse(typed) == number
    except Refused:
        return False


def _from(number: str) -> Any:
    return select(incoming).where(incoming.c.sender == number).order_by(incoming.c.received_at)


def _events(connection: Connection, number: str) -> list[Row[Any]]:
    """Looked through one by one: they may be sealed."""
    return [row for row in connection.execute(select(hooks)) if number in json.dumps(row.event)]


def _exported(row: Row[Any]) -> dict[str, Any]:
    shown = job_row(row)
    return {
        "id": shown.id,
        "mail": row.mail_id,
        "account": shown.account,
        "originator": shown.originator,
        "state": shown.state.value,
        "verdict": shown.verdict,
        "why": shown.why,
        "created_at": shown.created_at,
        "updated_at": shown.updated_at,
        "provider": shown.provider,
        "provider_id": shown.provider_id,
        "channel": row.channel,
        "text": row.text,
        **(row.extras or {}),
    }


def _some(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    return iter(lambda: list(islice(rest, _AT_ONCE)), [])


def _in(connection: Connection, query: Any, column: Any, values: Iterable[str]) -> list[Any]:
    return [row for some in _some(values) for row in connection.execute(query.where(column.in_(some))).mappings()]


# ── erasing ──────────────────────────────────────────────────────────────────────────────────


def _masking(number: str) -> Callable[[str], str]:
    mask = numbers.mask(number)
    return lambda words: words.replace(number, mask)


def _erase_mails(connection: Connection, number: str, theirs: set[str], masked: Callable[[str], str]) -> int:
    addressed = connection.execute(select(mails.c.id).where(cast(mails.c.recipients, String).contains(number)))
    ids = sorted(theirs | set(addressed.scalars()))
    for row in _in(connection, select(mails.c.id, mails.c.recipients), mails.c.id, ids):
        changes = {"copy": None, "dsn": None, "recipients": [masked(one) for one in row["recipients"]]}
        connection.execute(update(mails).where(mails.c.id == row["id"]).values(changes))
    _erase_replies(connection, ids, masked)
    return len(ids)


def _erase_replies(connection: Connection, mail_ids: Sequence[str], masked: Callable[[str], str]) -> None:
    """Those that have been sent, or never will be."""
    for ids in _some(mail_ids):
        for row in connection.execute(select(outbox).where(outbox.c.mail_id.in_(ids), outbox.c.state != "pending")):
            changes = {"message": None, "error": masked(row.error)}
            connection.execute(update(outbox).where(outbox.c.id == row.id).values(changes))
