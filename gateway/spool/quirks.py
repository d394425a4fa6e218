"""What clients do that is no SMTP: one row for each client, listener and quirk, counted up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from gateway.spool.schema import quirks

MAX_ROWS = 10_000
"""Beyond, those that were seen longest ago are forgotten."""


@dataclass(frozen=True, slots=True)
class QuirkRow:
    """A habit of one client."""

    client: str
    """Its IP address; empty: a Unix socket; ``*``: anybody from a network that is not trusted."""
    listener: str
    quirk: str
    first_at: float
    last_at: float
    count: int


def add(connection: Connection, seen: Sequence[QuirkRow]) -> None:
    """Count them on top of what is known. Several processes do this at one time: all in the same order."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(quirks)
    new = statement.excluded
    known = (quirks.c.client, quirks.c.listener, quirks.c.quirk)
    upsert = statement.on_conflict_do_update(
        index_elements=known, set_={"last_at": new.last_at, "count": quirks.c["count"] + new["count"]}
    )
    connection.execute(
        upsert, [asdict(row) for row in sorted(seen, key=lambda row: (row.client, row.listener, row.quirk))]
    )


def listed(connection: Connection) -> list[QuirkRow]:
    """All, by client."""
    query = select(quirks).order_by(quirks.c.client, quirks.c.listener, quirks.c.quirk)
    return [QuirkRow(**row) for row in connection.execute(query).mappings()]


def forget(connection: Connection, before: float) -> int:
    """What was last seen before then, and what is too much."""
    gone = connection.execute(delete(quirks).where(quirks.c.last_at < before)).rowcount
    surplus = connection.execute(select(func.count()).select_from(quirks)).scalar_one() - MAX_ROWS
    if surplus > 0:
        key = (quirks.c.client, quirks.c.listener, quirks.c.quirk)
        oldest = select(*key).order_by(quirks.c.last_at).limit(surplus)
        gone += connection.execute(delete(quirks).where(tuple_(*key).in_(oldest))).rowcount
    return gone
