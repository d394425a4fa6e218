"""Messages by a query: the SMS, and the mails that were refused as a whole, as one list, the newest first.

A page costs some milliseconds in a store of any size. One part of the query leads: its index gives the newest rows
that fit it, and the other parts are tried on these only. Where too few fit, a page ends after ``SCAN`` of them, perhaps
without a row, and says where to go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    String,
    and_,
    cast,
    false,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
)

from gateway.lifecycle import State
from gateway.policy.search import REFUSED, Key, Query, Term
from gateway.spool.outbox import refusal_of
from gateway.spool.schema import jobs, mails
from gateway.verdicts import MSG, REASONS

SCAN = 5_000
"""Index entries behind one page: some tens of milliseconds. All ways to rows of a kind share them."""
PROBE = 1_000
"""So many entries of an index are counted to find the shortest."""

Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Message:
    """One row of the list: an SMS, or a mail that was refused and has none."""

    id: str
    mail_id: str
    at: float
    """When it came in."""
    to: str
    """E.164 digits, or as typed where that is no number; empty for a mail."""
    sender: str
    """The originator; of a refused mail whose is not known, the address that it came from."""
    account: str
    status: str
    """A state of the lifecycle, or ``refused``: a mail."""
    verdict: str
    reason: str
    """Key of ``verdicts.REASONS``; empty: nothing is wrong."""
    values: Mapping[str, str | int]
    """What the reason is about."""
    why: str
    segments: int
    provider: str
    provider_id: str
    dialect: str
    channel: str
    updated_at: float
    due_at: float | None
    expires_at: float | None
    attempt: int
    gathered: bool
    """By an alarm storm, of which one SMS will tell."""


@dataclass(frozen=True, slots=True)
class Place:
    """Between two rows of the list: below it are those with an earlier time, or the same and a lower id, if there is
    one."""

    at: float
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and where to go on; None: there are no more."""

    rows: tuple[Message, ...]
    next: Place | None


def page(connection: Connection, query: Query, below: Place | None, limit: int) -> Page:
    """Up to ``limit`` rows below that place. May be empty and not the last one."""
    if connection.dialect.name == "postgresql":
        # What is rare and what is not is in the values: with a plan for all of them it reads the newest million rows.
        connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")
    stretch = _Stretch(query.after, query.before, below)
    plans = [plan for kind in (_SMS, _MAIL) if (plan := _plan(connection, kind, query, stretch))]
    found: dict[str, Message] = {}
    seen_to: list[float] = []
    for plan in plans:
        for way in plan.ways:
            lowest = _lowest(connection, way, stretch, SCAN // len(plan.ways)) if plan.rest else None
            if lowest is not None:
                seen_to.append(lowest)
            for row in connection.execute(_select(way, plan.rest, stretch, lowest, limit + 1)):
                found[row.id] = _message(row)
    seen_all_to = max(seen_to, default=None)  # below that, another way may have rows that were not looked at
    rows = [row for row in found.values() if seen_all_to is None or row.at >= seen_all_to]
    rows.sort(key=lambda row: (row.at, row.id), reverse=True)
    if len(rows) > limit:
        last = rows[limit - 1]
        return Page(tuple(rows[:limit]), Place(last.at, last.id))
    return Page(tuple(rows), None if seen_all_to is None else Place(seen_all_to, ""))


# ── two kinds of rows ────────────────────────────────────────────────────────────────────────


class _SMS:
    """Rows of ``jobs``."""

    id: ColumnElement[str] = jobs.c.id
    at: ColumnElement[float] = jobs.c.created_at
    always: tuple[Condition, ...] = ()
    tables: FromClause = jobs.outerjoin(mails, mails.c.id == jobs.c.mail_id)
    columns = (
        jobs.c.id,
        jobs.c.mail_id,
        jobs.c.created_at.label("at"),
        jobs.c.destination.label("to"),
        jobs.c.originator.label("sender"),
        *(jobs.c.account, jobs.c.state, jobs.c.reason, jobs.c.reason_values, jobs.c.why, jobs.c.segments),
        *(jobs.c.provider, jobs.c.provider_id, jobs.c.channel, jobs.c.updated_at, jobs.c.due_at, jobs.c.expires_at),
        *(jobs.c.attempt, jobs.c.storm.is_not(None).label("in_storm"), mails.c.dialect),
    )

    indexed: Mapping[Key, ColumnElement[Any]] = {
        Key.TO: jobs.c.destination,
        Key.ACCOUNT: jobs.c.account,
        Key.STATUS: jobs.c.state,
        Key.PROVIDER: jobs.c.provider,
        Key.FROM: jobs.c.originator,
    }
    """In small letters: see ``schema``."""

    @staticmethod
    def fits(key: Key, value: str) -> Condition:
        """Whether a row is so."""
        match key:
            case Key.FROM if "@" in value:
                return _is(mails.c.reverse_path, value)
            case Key.STATUS if value == REFUSED:
                return _is(jobs.c.provider, "")
            case Key.VERDICT:
                return _has_verdict(jobs.c, value)
            case Key.DIALECT:
                return mails.c.dialect == value
            case Key.ID:
                return or_(jobs.c.id == value, jobs.c.mail_id == value, jobs.c.provider_id == value)
            case Key.ANY:
                return or_(_SMS.fits(Key.ID, value), _SMS.fits(Key.TO, value))
            case _:
                return _is(_SMS.indexed[key], value)

    @staticmethod
    def ways(key: Key, value: str) -> list[_Way] | None:
        """To all rows that are so; together they find each. None: there is no index for that."""
        match key:
            case Key.DIALECT:
                return [_Way(_SMS, _SMS.fits(key, value), through_mails=True)]
            case Key.FROM if "@" in value:
                return [_Way(_SMS, _SMS.fits(key, value), through_mails=True)]
            case Key.VERDICT:
                return [_Way(_SMS, jobs.c.reason == reason) for reason in _reasons(value)]
            case Key.ID | Key.ANY:
                ids = [jobs.c.id == value, jobs.c.mail_id == value, jobs.c.provider_id == value]
                return [_Way(_SMS, one) for one in (*ids, *([_SMS.fits(Key.TO, value)] if key is Key.ANY else []))]
            case _:
                return [_Way(_SMS, _SMS.fits(key, value))]


class _MAIL:
    """Mails that were refused as a whole."""

    id: ColumnElement[str] = mails.c.id
    at: ColumnElement[float] = mails.c.received_at
    always: tuple[Condition, ...] = (mails.c.reason.is_not(None),)
    tables: FromClause = mails
    columns = (
        mails.c.id,
        mails.c.id.label("mail_id"),
        mails.c.received_at.label("at"),
        func.coalesce(mails.c.originator, mails.c.reverse_path).label("sender"),
        *(mails.c.account, mails.c.reason, mails.c.reason_values, mails.c.dialect),
        literal_column(f"'{REFUSED}'").label("state"),
        *(literal_column("''").label(name) for name in ("to", "why", "provider", "provider_id", "channel")),
        mails.c.received_at.label("updated_at"),
        *(null().label(name) for name in ("due_at", "expires_at")),
        *(literal_column("0").label(name) for name in ("segments", "attempt", "in_storm")),
    )

    @staticmethod
    def fits(key: Key, value: str) -> Condition:
        """Whether a row is so."""
        match key:
            case Key.FROM if "@" in value:
                return _is(mails.c.reverse_path, value)
            case Key.FROM | Key.ACCOUNT:
                return _is(mails.c.originator if key is Key.FROM else mails.c.account, value)
            case Key.VERDICT:
                return _has_verdict(mails.c, value)
            case Key.DIALECT:
                return mails.c.dialect == value
            case Key.ID | Key.ANY:
                return mails.c.id == value
            case _:
                return true() if key is Key.STATUS and value == REFUSED else false()

    @staticmethod
    def ways(key: Key, value: str) -> list[_Way] | None:
        """As for SMS."""
        match key:
            case Key.VERDICT:
                return [_Way(_MAIL, mails.c.reason == reason) for reason in _reasons(value)]
            case Key.ID | Key.ANY | Key.DIALECT:
                return [_Way(_MAIL, _MAIL.fits(key, value))]
            case Key.FROM if "@" in value:
                return [_Way(_MAIL, _MAIL.fits(key, value))]
            case Key.TO | Key.PROVIDER:
                return []
            case Key.STATUS if value != REFUSED:
                return []
            case _:
                return None


_Kind = type[_SMS] | type[_MAIL]


def _is(column: ColumnElement[Any], value: str) -> Condition:
    return func.lower(column) == func.lower(value)


def _reasons(verdict: str) -> list[str]:
    """Keys of the reasons that a verdict, or the key of one, stands for."""
    if verdict in REASONS:
        return [verdict]
    code = verdict.partition(":")[0]
    return [reason.key for reason in REASONS.values() if reason.verdict.code == code]


def _has_verdict(columns: Any, verdict: str) -> Condition:
    is_it: Condition = columns.reason.in_(_reasons(verdict))
    if provider_code := verdict.partition(":")[2]:  # a number or a word
        return and_(is_it, cast(columns.reason_values["code"].as_string(), String) == provider_code)
    return is_it


# ── ways to the rows ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """Rows of a kind for which ``lead`` holds, by an index that has the newest first."""

    kind: _Kind
    lead: Condition | None = None
    """None: all of them, by their time."""
    through_mails: bool = False
    """The index is one of the mails that the SMS came in."""

    @property
    def at(self) -> ColumnElement[float]:
        """Of the index. An SMS has the time of its mail."""
        return mails.c.received_at if self.through_mails else self.kind.at

    def entries(self, stretch: _Stretch) -> list[Condition]:
        """Conditions that the index alone can answer."""
        lead = [] if self.lead is None else [self.lead]
        return [*lead, *self.kind.always, *stretch.bounds(self.at)]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Of time, and of the list."""

    after: float | None
    before: float | None
    below: Place | None

    def bounds(self, at: ColumnElement[float]) -> list[Condition]:
        """For an index that ends with the time."""
        bounds = [] if self.after is None else [at >= self.after]
        bounds += [] if self.before is None else [at < self.before]
        if self.below is None:
            return bounds
        # Without an id, all of that moment has been looked at: there may be more than a page can look at again.
        return [*bounds, at <= self.below.at if self.below.id else at < self.below.at]

    def rest(self, kind: _Kind) -> list[Condition]:
        """What of the place the index does not know."""
        if self.below is None or not self.below.id:
            return []
        return [or_(kind.at < self.below.at, kind.id < self.below.id)]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where to look for rows of a kind, and what to try on them."""

    ways: Sequence[_Way]
    rest: Sequence[Condition]


def _plan(connection: Connection, kind: _Kind, query: Query, stretch: _Stretch) -> _Plan | None:
    """By the part of the query that the fewest rows fit. None: no row can."""
    choices: list[tuple[Term, list[_Way]]] = []
    for term in query.terms:
        found = [kind.ways(term.key, value) for value in term.values]
        if term.denied or None in found:
            continue
        ways = [way for some in found if some is not None for way in some]
        if not ways:
            return None
        choices.append((term, ways))
    if not choices:
        return _Plan([_Way(kind)], [_tried(kind, term) for term in query.terms])
    counts = _counts(connection, [way for _, ways in choices for way in ways], stretch)
    choices.sort(key=lambda choice: (sum(counts[way] for way in choice[1]), _LEADS.index(choice[0].key)))
    lead, ways = choices[0]
    rest = [_tried(kind, term) for term in query.terms if term is not lead or not _is_exact(term)]
    return _Plan([way for way in ways if counts[way]], rest)


_LEADS = (Key.ANY, Key.ID, Key.TO, Key.VERDICT, Key.FROM, Key.STATUS, Key.PROVIDER, Key.ACCOUNT, Key.DIALECT)
"""Which is likely to be the shortest, where all are long."""


def _is_exact(term: Term) -> bool:
    """The ways find nothing that does not fit. Of a provider's code they know only that it is one."""
    return term.key is not Key.VERDICT or not any(value.startswith(f"{MSG.code}:") for value in term.values)


def _tried(kind: _Kind, term: Term) -> Condition:
    """In a function, so that no planner thinks of another index: only of the lead it is known that it is short."""
    fits = func.coalesce(or_(*(kind.fits(term.key, value) for value in term.values)), false())
    return not_(fits) if term.denied else fits


def _counts(connection: Connection, ways: Sequence[_Way], stretch: _Stretch) -> Mapping[_Way, int]:
    """Entries, at most ``PROBE`` a way, in one question."""
    if len(ways) == 1:
        return {ways[0]: 1}
    some = [select(way.at).where(*way.entries(stretch)).limit(_plain(PROBE)).subquery() for way in ways]
    found = connection.execute(select(*(select(func.count()).select_from(one).scalar_subquery() for one in some))).one()
    return dict(zip(ways, found, strict=True))


def _lowest(connection: Connection, way: _Way, stretch: _Stretch, budget: int) -> float | None:
    """The time of the entry at which the budget is spent; None: it is enough for all."""
    entries = select(way.at).where(*way.entries(stretch)).order_by(way.at.desc())
    return connection.execute(entries.offset(_plain(budget)).limit(_plain(1))).scalar_one_or_none()


def _plain(number: int) -> ColumnElement[int]:
    """Not as a bound value, for which PostgreSQL may take a tenth of the table."""
    return literal_column(str(number))


def _select(
    way: _Way, rest: Sequence[Condition], stretch: _Stretch, lowest: float | None, limit: int
) -> Select[tuple[Any, ...]]:
    kind = way.kind
    tables = jobs.join(mails, mails.c.id == jobs.c.mail_id) if way.through_mails else kind.tables
    where = [*way.entries(stretch), *stretch.rest(kind), *rest]
    where += [] if lowest is None else [way.at >= lowest]
    query: Select[tuple[Any, ...]] = select(*kind.columns).select_from(tables).where(*where)
    return query.order_by(way.at.desc(), kind.id.desc()).limit(_plain(limit))


def _message(row: Row[Any]) -> Message:
    refusal = refusal_of(row.reason, row.reason_values)
    return Message(
        id=row.id,
        mail_id=row.mail_id,
        at=row.at,
        to=row.to,
        sender=row.sender,
        account=row.account or "",
        status=row.state,
        verdict=refusal.code if refusal else "",
        reason=row.reason or "",
        values=row.reason_values or {},
        why=row.why,
        segments=row.segments,
        provider=row.provider,
        provider_id=row.provider_id or "",
        dialect=row.dialect or "",
        channel=row.channel,
        updated_at=row.updated_at,
        due_at=row.due_at,
        expires_at=row.expires_at,
        attempt=row.attempt,
        gathered=bool(row.in_storm) and row.state == State.HELD.value,
    )
