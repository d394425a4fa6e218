"""One SMS tells of all that an alarm storm has gathered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, text, update

from gateway.lifecycle import State
from gateway.model import Note, Tell
from gateway.policy.caps import THE_GATEWAY, periods
from gateway.policy.composing import Composed
from gateway.sms.segments import alphabet
from gateway.spool import hooks
from gateway.spool.claims import job_of
from gateway.spool.engine import announce, insert_missing
from gateway.spool.put import fingerprint, identity
from gateway.spool.schema import jobs, storms, trail, usage
from gateway.spool.trail import trail_row


@dataclass(frozen=True, slots=True)
class Summed:
    """A storm of which one SMS tells now."""

    job_id: str
    account: str
    provider: str
    count: int
    segments: int


Words = Callable[[str, str, int, float], Composed]
"""Account, the last text, how many, over how many seconds."""


def sum_up(
    connection: Connection, now: float, limit: int, words: Words, every_s: Callable[[str], float | None]
) -> list[Summed]:
    """Counts whose time is over are forgotten. Of each storm whose period is over the last job goes out with the
    number of all, the others end as ``cancelled``: all in this transaction. A storm in which nothing came is over."""
    due = (
        select(storms)
        .where(storms.c.due_at <= now)
        .order_by(storms.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    summed: list[Summed] = []
    charges: dict[str, list[int]] = {}
    over: list[bytes] = []
    for row in connection.execute(due).all():
        found = _sum_up(connection, row, now, words) if row.gathers else None
        period_s = every_s(row.account)
        if found is None or period_s is None:  # the account gathers no more: the next one counts anew
            over.append(row.key)
        else:
            again = {"since": now, "due_at": now + period_s}
            connection.execute(update(storms).where(storms.c.key == row.key).values(again))
        if found is not None:
            summed.append(found)
            charges.setdefault(row.account, []).append(found.segments)
    _charge(connection, charges, now)
    if over:
        connection.execute(delete(storms).where(storms.c.key.in_(over)))
    return summed


def is_due(connection: Connection, now: float) -> bool:
    """Whether ``sum_up`` has something to do."""
    return connection.execute(select(storms.c.key).where(storms.c.due_at <= now).limit(1)).first() is not None


def _sum_up(connection: Connection, storm: Row[Any], now: float, words: Words) -> Summed | None:
    # Who has been released or cancelled by an operator is none of them any more.
    mine = (text("storm IS NOT NULL"), jobs.c.storm == storm.key, jobs.c.state == State.HELD.value)
    query = select(jobs).where(*mine).order_by(jobs.c.created_at, jobs.c.id)
    held = connection.execute(query.with_for_update()).all()
    if not held:
        return None
    last, others = held[-1], held[:-1]
    composed = words(storm.account, last.text or "", len(held), now - storm.since)
    connection.execute(
        update(jobs)
        .where(jobs.c.id == last.id)
        .values(
            state=State.QUEUED.value,
            due_at=now,
            updated_at=now,
            text=composed.text,
            segments=composed.segments,
            alphabet=alphabet(composed.text).value,
            fingerprint=fingerprint(*identity(replace(job_of(last), text=composed.text))),
            storm=None,
            why="",
        )
    )
    story = [_told(last, now, Note("storm", "tells of all", {"count": len(held), "segments": composed.segments}))]
    if others:
        why = f"collapsed into {last.id}"
        changed = {"state": State.CANCELLED.value, "storm": None, "updated_at": now, "why": why}
        connection.execute(update(jobs).where(*mine).values(changed))
        story += [_told(row, now, Note("storm", "collapsed into", {"job": last.id})) for row in others]
        hooks.call(connection, [_news(row, now, why) for row in others if Tell.HOOK in row.tell.split()])
    connection.execute(insert(trail), story)
    announce(connection, last.provider)
    return Summed(last.id, storm.account, last.provider, len(held), composed.segments)


def _told(row: Row[Any], now: float, note: Note) -> dict[str, Any]:
    return trail_row(row.mail_id, row.id, now, (note,))


def _news(row: Row[Any], now: float, why: str) -> hooks.News:
    return hooks.News(
        account=row.account,
        mail_id=row.mail_id,
        job_id=row.id,
        destination=row.destination,
        state=State.CANCELLED,
        at=now,
        provider=row.provider,
        provider_id=None,
        detail=why,
    )


def _charge(connection: Connection, charges: Mapping[str, Sequence[int]], now: float) -> None:
    """What goes out is counted against the quotas, which gathering did not (but for money). Sorted, as everywhere."""
    hour, day = periods(now)
    everybody = {THE_GATEWAY: [one for segments in charges.values() for one in segments]} if charges else {}
    for account, segments in sorted((everybody | dict(charges)).items()):
        if account != THE_GATEWAY:  # whose counters are there only where it has caps
            rows = [{"account": account, "period": period, "jobs": 0} for period in (day, hour)]
            connection.execute(insert_missing(connection, usage), rows)
        for period, count in ((day, len(segments)), (f"{day} segments", sum(segments)), (hour, len(segments))):
            mine = (usage.c.account == account, usage.c.period == period)
            connection.execute(update(usage).where(*mine).values(jobs=usage.c.jobs + count))
