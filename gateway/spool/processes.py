"""Who works on the store. A process that is gone leaves calls in flight that somebody must resolve."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from gateway.spool.prepared import Query
from gateway.spool.schema import processes


@dataclass(frozen=True, slots=True)
class Process:
    """One running gateway process."""

    id: str
    """Chosen anew at each start."""
    place: str
    """Boot id and PID namespace: there, a PID says whether the process lives."""
    pid: int
    started: int
    """Ticks since the boot, as in /proc: a PID that is used again differs in it."""
    host: str = ""
    configuration: str = ""
    """Digest of the files that it runs."""
    beat: int = 0
    at: float = 0.0


def beat(connection: Connection, me: Process) -> None:
    """Say that this process lives. It becomes known by that, also when the others had given it up."""
    values = {"at": me.at, "beat": processes.c.beat + 1, "configuration": me.configuration}
    if not connection.execute(update(processes).where(processes.c.id == me.id).values(values)).rowcount:
        connection.execute(insert(processes), asdict(me))


def is_known(connection: Connection, process_id: str) -> bool:
    """Whether it has not been given up; nobody gives it up before the end of this transaction."""
    return bool(_KNOWN(connection, {"process": process_id}))


_KNOWN = Query(select(processes.c.id).where(processes.c.id == bindparam("process")).with_for_update(read=True))


def listed(connection: Connection) -> list[Process]:
    """All that have not been given up."""
    rows = connection.execute(select(processes).order_by(processes.c.host, processes.c.pid)).mappings()
    return [Process(**row) for row in rows]


def forget(connection: Connection, ids: Collection[str]) -> None:
    """They have ended."""
    if ids:
        connection.execute(delete(processes).where(processes.c.id.in_(list(ids))))
