"""For whom wrong credentials are counted, and who is shut out. Read by every process with its beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, select, update

from gateway.policy.guessing import DAY_S, Record, Terms, struck
from gateway.spool.engine import insert_missing
from gateway.spool.schema import bans


@dataclass(frozen=True, slots=True)
class Strike:
    """One wrong credential, for each of its subjects."""

    subjects: tuple[str, ...]
    at: float
    terms: Terms


def strike(connection: Connection, strikes: Sequence[Strike]) -> list[tuple[Record, ...]]:
    """Count; what is known of each subject then. Rows are locked in the order of their names, by every process."""
    names = sorted({subject for one in strikes for subject in one.subjects})
    if not names:
        return [() for _ in strikes]
    for name in names:
        connection.execute(insert_missing(connection, bans), asdict(Record(name)))
    query = select(bans).where(bans.c.subject.in_(names)).order_by(bans.c.subject).with_for_update()
    known = {row["subject"]: Record(**row) for row in connection.execute(query).mappings()}
    results = []
    for one in strikes:
        for subject in one.subjects:
            known[subject] = struck(known[subject], one.at, one.terms)
        results.append(tuple(known[subject] for subject in one.subjects))
    for record in known.values():
        connection.execute(update(bans).where(bans.c.subject == record.subject).values(asdict(record)))
    return results


def shut_out(connection: Connection, now: float) -> list[Record]:
    """Those whose time has not passed."""
    query = select(bans).where(bans.c.until > now).order_by(bans.c.until)
    return [Record(**row) for row in connection.execute(query).mappings()]


def lift(connection: Connection, subject: str) -> bool:
    """Forget all that is counted for it. False: nothing was."""
    return bool(connection.execute(delete(bans).where(bans.c.subject == subject)).rowcount)


def forget_old(connection: Connection, now: float) -> None:
    """A quiet day ends all of it."""
    connection.execute(delete(bans).where(bans.c.until < now - DAY_S, bans.c.today_since < now - DAY_S))
