"""Alarm storms: alike SMS are counted where their mails become durable. What is gathered is a job that is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from gateway.model import Job, StormRule
from gateway.spool.engine import insert_missing
from gateway.spool.schema import storms

GATHERED = "alarm storm: gathered, one SMS will tell of all"
_AT_ONCE = 1000
"""Keys in one statement: SQLite takes only so many values."""


@dataclass(slots=True)
class _Count:
    sent: int
    gathers: bool
    since: float
    due_at: float
    changed: bool = False


class Counts:
    """What a batch of mails counts. Costs nothing when no job of it can be gathered."""

    def __init__(self, connection: Connection, wanted: Sequence[tuple[str, float, StormRule, Job]]) -> None:
        """``wanted``: account, when its mail came, its rule, and a job with a key."""
        self._connection = connection
        self._counts: dict[bytes, _Count] = {}
        first = {job.storm: (account, at, rule) for account, at, rule, job in reversed(wanted) if job.storm}
        for start in range(0, len(first), _AT_ONCE):
            self._lock(dict(sorted(first.items())[start : start + _AT_ONCE]))

    def _lock(self, wanted: dict[bytes, tuple[str, float, StormRule]]) -> None:
        """Until the commit nobody else counts these. Sorted, or two batches would wait for each other."""
        query = select(storms).where(storms.c.key.in_(list(wanted))).order_by(storms.c.key).with_for_update()
        while True:
            for row in self._connection.execute(query):
                self._counts[row.key] = _Count(row.sent, row.gathers, row.since, row.due_at)
            missing = [
                {"key": key, "account": account, "sent": 0, "gathers": False, "since": at, "due_at": at + rule.within_s}
                for key, (account, at, rule) in wanted.items()
                if key not in self._counts
            ]
            if not missing:
                return
            self._connection.execute(insert_missing(self._connection, storms), missing)

    def gathers(self, job: Job, at: float, rule: StormRule) -> bool:
        """Whether the job is one too many. Counts nothing yet."""
        if job.storm is None:
            return False
        count = self._counts[job.storm]
        return count.gathers or (at < count.due_at and count.sent >= rule.over)

    def count(self, job: Job, at: float, rule: StormRule) -> None:
        """The job is stored."""
        if job.storm is None:
            return
        count = self._counts[job.storm]
        if count.gathers:
            return
        if at >= count.due_at:
            count.sent, count.since, count.due_at = 0, at, at + rule.within_s
        if count.sent < rule.over:
            count.sent += 1
        else:
            count.gathers, count.since, count.due_at = True, at, at + rule.every_s
        count.changed = True

    def record(self) -> None:
        """Write down what has changed."""
        rows = [
            {"which": key, "n": c.sent, "now_gathers": c.gathers, "new_since": c.since, "new_due_at": c.due_at}
            for key, c in self._counts.items()
            if c.changed
        ]
        if rows:
            self._connection.execute(_COUNT, rows)


_COUNT = (
    update(storms)
    .where(storms.c.key == bindparam("which"))
    .values(
        sent=bindparam("n"),
        gathers=bindparam("now_gathers"),
        since=bindparam("new_since"),
        due_at=bindparam("new_due_at"),
    )
)
