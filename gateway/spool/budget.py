"""Caps (step 11 of the admission): what a batch of mails uses up of them, reserved in the transaction that stores it.

Decided here because only the writer sees every job before it: no two processes can pass a cap together. What is
reserved stays used until its hour or day is over, also when the SMS is not sent in the end: too strict, never too lax.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, case, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model import Accepted, Burst, Cap, Job, NumberCaps
from gateway.policy.caps import periods
from gateway.sms.numbers import mask
from gateway.spool import holds
from gateway.spool.engine import insert_missing
from gateway.spool.holds import Hold, Scope
from gateway.spool.prepared import Many, Query
from gateway.spool.schema import number_usage, usage
from gateway.verdicts import QUOTA_DAY, QUOTA_HOUR, QUOTA_NUMBER, QUOTA_RANGE, QUOTA_SEGMENTS, Reason, Refusal

if TYPE_CHECKING:
    from gateway.spool.put import StoredMail

SOFT = 0.8
"""Of a cap: then somebody should look."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something for the log, once the transaction has been committed."""

    event: str
    values: Mapping[str, str | int]


class Budget:
    """What the mails of a batch may still use up. ``spend`` for each that is to be stored, then ``record``."""

    def __init__(self, connection: Connection, items: Sequence[StoredMail]) -> None:
        self._connection = connection
        batch = [item.accepted for item in items if item.accepted is not None and item.accepted.jobs]
        at = max((item.envelope.received_at for item in items), default=0.0)
        self._caps = {id(accepted): _caps(accepted) for accepted in batch}
        bursts = {accepted.account: accepted.burst for accepted in batch if accepted.burst is not None}
        keys = {cap.key for caps in self._caps.values() for cap in caps} | {burst.key for burst in bursts.values()}
        self._used = self._locked(keys)
        self._before = dict(self._used)
        self._numbers = _Numbers(connection, batch, at)
        self._on_hold = dict.fromkeys(holds.accounts(connection) & bursts.keys(), holds.KEPT) if bursts else {}
        self._bursting: dict[str, Burst] = {}
        self._held: dict[int, str] = {}
        self._alerts: list[Alert] = []

    def _locked(self, keys: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """What has been used, until the commit by nobody else. Sorted, or two batches would wait for each other."""
        if not keys:
            return {}
        wanted = {"accounts": list({account for account, _ in keys}), "periods": list({period for _, period in keys})}
        found = {(row.account, row.period): row.jobs for row in _LOCKED(self._connection, wanted)}
        if missing := sorted(keys - found.keys()):
            rows = [{"account": account, "period": period, "jobs": 0} for account, period in missing]
            self._connection.execute(insert_missing(self._connection, usage), rows)
            found = {(row.account, row.period): row.jobs for row in _LOCKED(self._connection, wanted)}
        return found

    def spend(self, accepted: Accepted | None, spared: Sequence[Job] = ()) -> Refusal | None:
        """Use it up, or say which cap it would pass; then nothing of it is used. What an alarm storm gathers
        (``spared``) uses up nothing: the SMS that tells of it does. Of a mail that is gathered in part, the caps of
        the gateway and of money count all."""
        if accepted is None or len(spared) == len(accepted.jobs):
            return None
        whole, caps = id(accepted), self._caps[id(accepted)]
        if spared:
            accepted = replace(accepted, jobs=tuple(job for job in accepted.jobs if job not in spared))
            caps = _caps(accepted)
        for cap in caps:
            used = self._used[cap.key]
            if cap.limit is not None and used + cap.wanted > cap.limit:
                return Refusal(cap.reason, {"limit": _shown(cap.limit, cap), "used": _shown(used, cap)})
        if (refusal := self._numbers.spend(accepted)) is not None:
            return refusal
        for cap in caps:
            self._count(cap, accepted.account)
        if accepted.burst is not None:
            self._watch(accepted, accepted.burst, whole)
        return None

    def _count(self, cap: Cap, account: str) -> None:
        used = self._used[cap.key]
        self._used[cap.key] = after = used + cap.wanted
        if cap.limit is not None and used < SOFT * cap.limit <= after:
            who = account if cap.key[0] else "all"
            values: dict[str, str | int] = {
                "account": who,
                "cap": cap.reason.key,
                "used": _shown(after, cap),
                "limit": _shown(cap.limit, cap),
            }
            self._alerts.append(Alert("cap.nearly_used", values))

    def _watch(self, accepted: Accepted, burst: Burst, mail: int) -> None:
        self._used[burst.key] += len(accepted.jobs)
        if self._used[burst.key] > burst.above and accepted.account not in self._on_hold:
            why = f"{holds.KEPT}: more than {burst.above} SMS in {burst.minutes} minutes"
            self._on_hold[accepted.account] = why
            self._bursting[accepted.account] = burst
            told: dict[str, str | int] = {"account": accepted.account, "above": burst.above, "minutes": burst.minutes}
            self._alerts.append(Alert("account.held", told))
        if why := self._on_hold.get(accepted.account, ""):
            self._held[mail] = why

    def held(self, accepted: Accepted | None) -> str:
        """Why the jobs of this mail do not go out; empty: they do."""
        return self._held.get(id(accepted), "")

    def alerts(self) -> tuple[Alert, ...]:
        """Since the last call."""
        found, self._alerts = tuple(self._alerts), []
        return found

    def record(self, now: float) -> None:
        """Write down what was used."""
        changed = [
            {"who": account, "when": period, "new": count}
            for (account, period), count in self._used.items()
            if count != self._before[account, period]
        ]
        if changed:
            _COUNT(self._connection, changed)
        self._numbers.record()
        for account in self._bursting:
            holds.begin(self._connection, Hold(Scope.ACCOUNT, account, now, self._on_hold[account]))


_LOCKED = Query(
    select(usage)
    .where(
        usage.c.account.in_(bindparam("accounts", expanding=True)),
        usage.c.period.in_(bindparam("periods", expanding=True)),
    )
    .order_by(usage.c.account, usage.c.period)
    .with_for_update()
)
_COUNT = Many(
    update(usage)
    .where(usage.c.account == bindparam("who"), usage.c.period == bindparam("when"))
    .values(jobs=bindparam("new"))
)


def used(connection: Connection, accounts: Collection[str], periods: Collection[str]) -> dict[tuple[str, str], int]:
    """What they have used up in these periods, by account and period; money in millionths."""
    mine = (usage.c.account.in_(accounts), usage.c.period.in_(periods))
    return {(row.account, row.period): row.jobs for row in connection.execute(select(usage).where(*mine))}


def _shown(amount: int, cap: Cap) -> str | int:
    return amount if cap.unit == 1 else f"{amount / cap.unit:.2f}"


def _caps(accepted: Accepted) -> tuple[Cap, ...]:
    """In the clock hour and the day (UTC) in which the mail came."""
    hour, day = periods(accepted.jobs[0].created_at)
    count = len(accepted.jobs)
    found = [
        Cap((accepted.account, hour), count, accepted.per_hour, QUOTA_HOUR),
        Cap((accepted.account, day), count, accepted.per_day, QUOTA_DAY),
    ]
    if (limit := accepted.segments_per_day) is not None:
        segments = sum(job.segments for job in accepted.jobs)
        found.append(Cap((accepted.account, f"{day} segments"), segments, limit, QUOTA_SEGMENTS))
    return (*found, *accepted.caps)


# ── single numbers ───────────────────────────────────────────────────────────────────────────


class _Numbers:
    """How many SMS a number, and a range of numbers, has got in the hour and the day.

    All of a batch is counted up at once, which locks it, and read where that leads; what is not spent is given back.
    """

    def __init__(self, connection: Connection, batch: Iterable[Accepted], at: float) -> None:
        self._connection = connection
        self._unspent: Counter[bytes] = Counter()
        for accepted in batch:
            self._unspent.update(key for key, *_ in _counted(accepted))
        self._used: dict[bytes, tuple[int, int]] = {}
        if self._unspent:
            usual = {"hour": int(at // 3600), "day": int(at // 86400)}
            rows = [{"key": key, "in_hour": n, "in_day": n, **usual} for key, n in sorted(self._unspent.items())]
            _COUNT_UP[connection.dialect.name](connection, rows)
            for row in _COUNTED(connection, {"keys": list(self._unspent)}):
                wanted = self._unspent[row.key]
                self._used[row.key] = (row.in_hour - wanted, row.in_day - wanted)

    def spend(self, accepted: Accepted) -> Refusal | None:
        if not self._used:
            return None
        wanted = list(_counted(accepted))
        taken: Counter[bytes] = Counter()
        for key, number, reason, per_hour, per_day in wanted:
            in_hour, in_day = (used + taken[key] for used in self._used[key])
            for used, limit in ((in_hour, per_hour), (in_day, per_day)):
                if limit is not None and used >= limit:
                    return Refusal(reason, {"number": mask(number), "limit": limit})
            taken[key] += 1
        for key, count in taken.items():
            in_hour, in_day = self._used[key]
            self._used[key] = in_hour + count, in_day + count
        self._unspent -= taken
        return None

    def record(self) -> None:
        if self._unspent:
            back = [{"which": key, "back": count} for key, count in sorted(self._unspent.items())]
            _GIVE_BACK(self._connection, back)


def _counted(accepted: Accepted) -> Iterator[tuple[bytes, str, Reason, int | None, int | None]]:
    """Each number that is capped, and each range. Only a digest of it is kept, for two days."""
    caps = accepted.number_caps or NumberCaps()
    for job in accepted.jobs:
        if caps.per_hour is not None or caps.per_day is not None:
            yield _digest(job.destination), job.destination, QUOTA_NUMBER, caps.per_hour, caps.per_day
        if caps.range_per_hour is not None:
            yield _digest(job.destination[:-4] + "*"), job.destination, QUOTA_RANGE, caps.range_per_hour, None


def _digest(number: str) -> bytes:
    return hashlib.blake2b(number.encode(), digest_size=16).digest()


def _count_up(engine: Any) -> Any:
    statement = engine.insert(number_usage)
    new = statement.excluded

    def added(count: str, period: str) -> Any:
        mine = number_usage.c
        return case((mine[period] == new[period], mine[count]), else_=0) + new[count]

    changes = {"hour": new.hour, "day": new.day, "in_hour": added("in_hour", "hour"), "in_day": added("in_day", "day")}
    return statement.on_conflict_do_update(index_elements=[number_usage.c.key], set_=changes)


_COUNT_UP = {"postgresql": Many(_count_up(postgresql)), "sqlite": Many(_count_up(sqlite))}
_COUNTED = Query(select(number_usage).where(number_usage.c.key.in_(bindparam("keys", expanding=True))))
_GIVE_BACK = Many(
    update(number_usage)
    .where(number_usage.c.key == bindparam("which"))
    .values(in_hour=number_usage.c.in_hour - bindparam("back"), in_day=number_usage.c.in_day - bindparam("back"))
)
