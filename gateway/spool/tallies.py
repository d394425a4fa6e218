"""Counting: five-minute slots from the mails and jobs themselves, hours from slots, days from hours.

A slot, by the time at which its mails came, is counted anew as often as something of it has changed: so a late
receipt, a retry or a lost answer is right wherever it falls, and counting twice changes nothing. What retention has
deleted is counted no more: its tally stays as it was.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    union,
    update,
)

from gateway.lifecycle import State
from gateway.policy import tally
from gateway.policy.tally import BOUNDS_S, DAY_S, HOUR_S, MONTH_S, SLOT_S, Tally, money, month_after, top, total
from gateway.spool.engine import insert_missing
from gateway.spool.schema import jobs, mails, tallied, tallies

SLOTS_KEPT_S = 26 * 3600
"""Older hours are counted whole: little of them still changes."""
CLIENTS_KEPT = 50
"""Of each account, those that sent most: any number of them may come by."""
_TAKEN = (State.SUBMITTED.value, State.DELIVERED.value, State.UNDELIVERED.value)

Names = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Row:
    """A tally, and of whom. ``provider`` is empty for mails, and for destinations that were refused."""

    at: int
    facet: str
    account: str
    provider: str
    tally: Tally


# ── what is to be counted ────────────────────────────────────────────────────────────────────


def begin(connection: Connection, now: float, every_s: float) -> bool:
    """Whether it is this process's turn: one of them all takes it."""
    connection.execute(insert_missing(connection, tallied), {"id": 1, "upto": 0.0, "turn_at": 0.0})
    is_due = or_(tallied.c.turn_at <= now - every_s, tallied.c.turn_at > now)  # the clock may have been set back
    return connection.execute(update(tallied).where(is_due).values(turn_at=now)).rowcount == 1


def go_on(connection: Connection, now: float) -> None:
    """It is still this process's turn."""
    connection.execute(update(tallied).values(turn_at=now))


def upto(connection: Connection) -> float:
    """Up to when all that had changed is counted; 0: nothing was ever counted."""
    return connection.execute(select(tallied.c.upto)).scalar_one_or_none() or 0.0


def changed(connection: Connection, since: float, floor: int) -> list[int]:
    """The slots, from ``floor`` on, in which something has changed since then."""
    slots = union(
        select(_begun(connection, jobs.c.created_at).label("at")).where(
            jobs.c.updated_at >= since, jobs.c.created_at >= floor
        ),
        select(_begun(connection, mails.c.received_at)).where(mails.c.received_at >= max(since, floor)),
    )
    return sorted(number * SLOT_S for number in connection.execute(slots).scalars())


def _begun(connection: Connection, column: ColumnElement[float]) -> ColumnElement[int]:
    """The number of the slot since the epoch. SQLite cuts where PostgreSQL rounds."""
    number = column / SLOT_S
    return cast(func.floor(number) if connection.dialect.name == "postgresql" else number, BigInteger)


# ── counting ─────────────────────────────────────────────────────────────────────────────────


def count(connection: Connection, start: int, end: int) -> list[Row]:
    """Everything that came between these two times."""
    within = (jobs.c.created_at >= start, jobs.c.created_at < end)
    sms: dict[tuple[str, str], Names] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for row in connection.execute(_SMS.where(*within)):
        _add(sms[row.account, row.provider], row)
    came: dict[str, Names] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    clients: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in connection.execute(_MAILS.where(mails.c.received_at >= start, mails.c.received_at < end)):
        account = row.account or ""
        came[account][tally.MAILS]["refused" if row.reason else "accepted"] += row.n
        clients[account][row.peer or row.door] += row.n
        if row.reason:
            came[account][tally.REFUSED][row.reason] += row.n
    return [
        *(Row(start, "sms", *who, _plain(names)) for who, names in sms.items()),
        *(Row(start, "mail", account, "", _plain(names)) for account, names in came.items()),
        *(
            Row(start, "client", account, "", Tally({tally.CLIENTS: dict(top(names, CLIENTS_KEPT))}))
            for account, names in clients.items()
        ),
    ]


def _plain(names: Mapping[str, Mapping[str, int]]) -> Tally:
    return Tally({kind: dict(counts) for kind, counts in names.items()})


def _add(names: Names, row: Any) -> None:
    state = row.state if row.provider else tally.DROPPED
    names[tally.STATES][state] += row.n
    if reason := _reason(row):
        names[tally.REASONS if row.provider else tally.DROPPED_FOR][reason] += row.n
    if row.provider and state != State.CANCELLED.value:
        names[tally.SEGMENTS][row.alphabet or ""] += row.segments
        names[tally.TEXTS][row.alphabet or ""] += row.n
    if row.to_submit is not None:
        names[tally.TO_SUBMIT][str(row.to_submit)] += row.n
    if row.to_deliver is not None:
        names[tally.TO_DELIVER][str(row.to_deliver)] += row.n
    if row.cost and (found := money(row.cost)) is not None:
        names[tally.COST][found[1]] += found[0] * row.n


def _reason(row: Any) -> str:
    """``provider_refused|8|words``, ``undelivered|UNDELIV``, or the key of a reason."""
    if row.reason and row.code is not None:
        return f"{row.reason}|{row.code}|{_no_numbers(row.words or '')}"
    if row.reason:
        return str(row.reason)
    return f"{row.state}|{_no_numbers(row.raw.removeprefix(_SAYS))}" if row.raw else ""


def _no_numbers(words: str) -> str:
    """Of nobody's phone: what the provider says may name it."""
    return re.sub(r"\d{5,}", "…", words)


_SAYS = "the provider says: "


def _class(seconds: ColumnElement[float]) -> ColumnElement[int]:
    rows = [(seconds <= bound, index) for index, bound in enumerate(BOUNDS_S)]
    return case((seconds.is_(None), None), *rows, else_=len(BOUNDS_S))


# What was taken before the time of that was written down was taken when it was last sent.
_SUBMITTED_AT = func.coalesce(jobs.c.submitted_at, case((jobs.c.state.in_(_TAKEN), jobs.c.sent_at)))
_FROM = case((jobs.c.not_before > jobs.c.created_at, jobs.c.not_before), else_=jobs.c.created_at)
_KEYS = (
    jobs.c.account,
    jobs.c.provider,
    jobs.c.state,
    jobs.c.reason,
    jobs.c.alphabet,
    jobs.c.cost,
    jobs.c.reason_values["code"].as_string().label("code"),
    func.substr(jobs.c.reason_values["text"].as_string(), 1, 80).label("words"),
    case(
        (
            and_(jobs.c.state.in_((State.UNDELIVERED.value, State.EXPIRED.value)), jobs.c.reason.is_(None)),
            func.substr(jobs.c.why, 1, 60),
        )
    ).label("raw"),
    _class(_SUBMITTED_AT - _FROM).label("to_submit"),
    _class(case((jobs.c.state == State.DELIVERED.value, jobs.c.updated_at - _SUBMITTED_AT))).label("to_deliver"),
)
_N = func.count().label("n")
_SMS = select(*_KEYS, _N, func.sum(jobs.c.segments).label("segments")).group_by(*(key.name for key in _KEYS))
_MAILS = select(mails.c.account, mails.c.reason, mails.c.peer, mails.c.door, _N).group_by(
    mails.c.account, mails.c.reason, mails.c.peer, mails.c.door
)


# ── writing down, and reading ────────────────────────────────────────────────────────────────


def write(connection: Connection, span: int, start: int, rows: Iterable[Row]) -> None:
    """In the place of what was there of this time."""
    connection.execute(delete(tallies).where(tallies.c.span == span, tallies.c.at == start))
    if values := [
        {
            "span": span,
            "at": start,
            "facet": row.facet,
            "account": row.account,
            "provider": row.provider,
            "counts": {kind: dict(names) for kind, names in row.tally.counts.items()},
        }
        for row in rows
    ]:
        connection.execute(insert(tallies), values)


def lock(connection: Connection) -> None:
    """Until the commit nobody else writes tallies."""
    connection.execute(insert_missing(connection, tallied), {"id": 1, "upto": 0.0, "turn_at": 0.0})
    connection.execute(select(tallied.c.id).with_for_update())


def add_up(connection: Connection, span: int, starts: Collection[int]) -> None:
    """Hours from their slots, days from their hours, months from their days: those that begin then."""
    part = {HOUR_S: SLOT_S, DAY_S: HOUR_S, MONTH_S: DAY_S}[span]
    for start in sorted(starts):
        end = month_after(start) if span == MONTH_S else start + span
        write(connection, span, start, summed(read(connection, part, start, end)))


def summed(rows: Iterable[Row]) -> list[Row]:
    """Over time: one for each facet, account and provider."""
    found: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row.facet, row.account, row.provider].append(row)
    return [Row(same[0].at, *who, total(row.tally for row in same)) for who, same in found.items()]


def read(
    connection: Connection, span: int, start: float, end: float, accounts: Collection[str] | None = None
) -> list[Row]:
    """Of the spans that begin in this time, in their order; of these accounts only, or of all (None)."""
    query = select(tallies).where(tallies.c.span == span, tallies.c.at >= start, tallies.c.at < end)
    if accounts is not None:
        query = query.where(tallies.c.account.in_(list(accounts)))
    return [
        Row(row.at, row.facet, row.account, row.provider, Tally(row.counts))
        for row in connection.execute(query.order_by(tallies.c.at))
    ]


def any_at_all(connection: Connection) -> bool:
    """Whether something was ever counted."""
    return connection.execute(select(tallies.c.at).limit(1)).first() is not None


def finish(connection: Connection, now: float) -> None:
    """All that had changed until then is counted."""
    connection.execute(update(tallied).values(upto=now))


def forget(connection: Connection, now: float, records_s: float, figures_s: float) -> None:
    """Slots and hours are kept as long as something of them may be counted anew; whose client it was, as long as the
    mails themselves; days for the reports."""
    ages = (
        (tallies.c.span == SLOT_S, SLOTS_KEPT_S + HOUR_S),
        (tallies.c.span == HOUR_S, records_s + 2 * DAY_S),
        (tallies.c.facet == "client", records_s + DAY_S),
        (tallies.c.span == DAY_S, figures_s),
        (tallies.c.span == MONTH_S, figures_s + MONTH_S),
    )
    for mine, age_s in ages:
        connection.execute(delete(tallies).where(mine, tallies.c.at < now - age_s))
