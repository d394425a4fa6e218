"""What was left on providers' accounts: asked once at a time over all processes, and kept."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from gateway.spool.engine import insert_missing
from gateway.spool.schema import balances


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer of a provider; without an ``amount``: why there was none."""

    provider: str
    at: float
    amount: float | None
    currency: str = ""
    why: str = ""


def begin(connection: Connection, provider: str, now: float, every_s: float) -> float | None:
    """Make the next question one's own: the time under which its answer is written down. None: it is not due, or
    another process asks."""
    at = now // every_s * every_s
    last = connection.execute(select(func.max(balances.c.at)).where(balances.c.provider == provider)).scalar_one()
    if last is not None and at <= last <= now:
        return None
    found = connection.execute(insert_missing(connection, balances), {"provider": provider, "at": at}).rowcount
    return at if found == 1 else None


def write(connection: Connection, reading: Reading) -> None:
    """The answer to a question that was begun, or one that somebody asked besides."""
    mine = (balances.c.provider == reading.provider, balances.c.at == reading.at)
    values = {"amount": reading.amount, "currency": reading.currency, "why": reading.why}
    if not connection.execute(update(balances).where(*mine).values(values)).rowcount:
        row = {"provider": reading.provider, "at": reading.at, **values}
        connection.execute(insert_missing(connection, balances), row)


def give_up(connection: Connection, provider: str, at: float) -> None:
    """There is no such question."""
    connection.execute(delete(balances).where(balances.c.provider == provider, balances.c.at == at))


def last(connection: Connection, provider: str, before: float) -> Reading | None:
    """The last amount that is known from before then."""
    query = select(balances).where(
        balances.c.provider == provider, balances.c.at < before, balances.c.amount.is_not(None)
    )
    row = connection.execute(query.order_by(balances.c.at.desc()).limit(1)).one_or_none()
    return Reading(row.provider, row.at, row.amount, row.currency, row.why) if row else None


def history(connection: Connection, since: float, provider: str | None = None) -> list[Reading]:
    """Answers, also failed ones, from then on, in the order of time."""
    query = select(balances).where(balances.c.at >= since).order_by(balances.c.at)
    if provider is not None:
        query = query.where(balances.c.provider == provider)
    return [Reading(row.provider, row.at, row.amount, row.currency, row.why) for row in connection.execute(query)]


def forget(connection: Connection, before: float) -> None:
    """What is too old."""
    connection.execute(delete(balances).where(balances.c.at < before))
