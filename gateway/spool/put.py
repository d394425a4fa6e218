"""A mail becomes durable: the transaction before the 250."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from gateway.lifecycle import State
from gateway.model import Accepted, Channel, Dropped, Envelope, Job, Note
from gateway.spool.engine import announce, insert_missing
from gateway.spool.schema import jobs, mails, outbox, trail, usage
from gateway.spool.storms import GATHERED, Counts
from gateway.spool.trail import trail_row
from gateway.verdicts import QUOTA_DAY, QUOTA_HOUR, QUOTA_SEGMENTS, Reason, Refusal

REPORT_DELAY_S = 3.0
"""A report on single destinations waits a moment, so that one mail tells of all of them."""
REPLY_VALIDITY_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class StoredMail:
    """Everything about a mail that outlives the session. ``copy`` has the credential masked."""

    envelope: Envelope
    dialect: str
    account: str | None
    originator: str | None
    message_id: str
    language: str
    reply_to: str | None
    accepted: Accepted | None
    refusal: Refusal | None
    dedup_key: bytes | None
    """Equal for one mail that comes twice."""
    copy: str | None
    notes: tuple[Note, ...]
    repeat_window_s: float = float("inf")
    """An equal mail before that was another one."""


@dataclass(frozen=True, slots=True)
class Put:
    """What became of a stored mail."""

    queue_id: str
    """Of the first mail, when this one is its repetition."""
    duplicate: bool = False
    refusal: Refusal | None = None
    """A quota is used up: nothing was stored."""


def put(connection: Connection, items: Sequence[StoredMail]) -> list[Put]:
    """Store a batch of mails with their jobs, trails, usage and replies."""
    seen = _known(connection, items)
    storms = _Storms(connection, items)
    budget = _Budget(connection, items)
    results: list[Put] = []
    stored: list[StoredMail] = []
    again: list[dict[str, Any]] = []
    for item in items:
        first = seen.get(item.dedup_key) if item.dedup_key else None
        if first is not None:
            results.append(Put(first, duplicate=True))
            note = Note("door", "DUPLICATE: came again, not sent twice", {"peer": item.envelope.peer})
            again.append(trail_row(first, None, item.envelope.received_at, (note,)))
        elif (refusal := budget.spend(item, storms.spared(item))) is not None:
            results.append(Put(item.envelope.queue_id, refusal=refusal))
        else:
            item = storms.counted(item)  # noqa: PLW2901
            if item.dedup_key:
                seen[item.dedup_key] = item.envelope.queue_id
            results.append(Put(item.envelope.queue_id))
            stored.append(item)
    if again:
        connection.execute(insert(trail), again)
    if stored:
        connection.execute(insert(mails), [_mail_row(item) for item in stored])
        if rows := [row for item in stored for row in _job_rows(item, storms.gathered)]:
            connection.execute(insert(jobs), rows)
        story = [trail_row(i.envelope.queue_id, None, i.envelope.received_at, i.notes) for i in stored]
        connection.execute(insert(trail), story)
        if rows := [row for item in stored for row in _outbox_rows(item)]:
            connection.execute(insert(outbox), rows)
        storms.record()
        budget.record()
        for provider in {job.route[0] for item in stored if item.accepted for job in item.accepted.jobs}:
            announce(connection, provider)
    return results


def confirm(connection: Connection, queue_ids: Sequence[str]) -> list[None]:
    """The clients have read their 250: whatever equal comes from now on is meant."""
    connection.execute(update(mails).where(mails.c.id.in_(queue_ids)).values(dedup_key=None))
    return [None] * len(queue_ids)


def _known(connection: Connection, items: Sequence[StoredMail]) -> dict[bytes, str]:
    """Which of these mails have come before, and as what. Keys that are too old are given up."""
    since = {item.dedup_key: item.envelope.received_at - item.repeat_window_s for item in items if item.dedup_key}
    if not since:
        return {}
    found = connection.execute(
        select(mails.c.dedup_key, mails.c.id, mails.c.received_at).where(mails.c.dedup_key.in_(list(since)))
    ).all()
    if old := [row.id for row in found if row.received_at <= since[row.dedup_key]]:
        connection.execute(update(mails).where(mails.c.id.in_(old)).values(dedup_key=None))
    return {row.dedup_key: row.id for row in found if row.received_at > since[row.dedup_key]}


# ── quotas (step 11) ─────────────────────────────────────────────────────────────────────────


class _Budget:
    """The quotas of the accounts in a batch; decided here because only the writer sees every job before it."""

    def __init__(self, connection: Connection, items: Sequence[StoredMail]) -> None:
        self._connection = connection
        self._quotas = {item.envelope.queue_id: _quotas(item) for item in items}
        self._used = self._locked({quota.key for quotas in self._quotas.values() for quota in quotas})
        self._before = dict(self._used)

    def _locked(self, keys: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """What has been used, until the commit by nobody else. Sorted, or two batches would wait for each other."""
        if not keys:
            return {}
        query = (
            select(usage)
            .where(usage.c.account.in_({a for a, _ in keys}), usage.c.period.in_({p for _, p in keys}))
            .order_by(usage.c.account, usage.c.period)
            .with_for_update()
        )
        found = {(row.account, row.period): row.jobs for row in self._connection.execute(query)}
        if missing := sorted(keys - found.keys()):
            rows = [{"account": account, "period": period, "jobs": 0} for account, period in missing]
            self._connection.execute(insert_missing(self._connection, usage), rows)
            found = {(row.account, row.period): row.jobs for row in self._connection.execute(query)}
        return found

    def spend(self, item: StoredMail, spared: Sequence[Job] = ()) -> Refusal | None:
        quotas = self._quotas[item.envelope.queue_id] if not spared else _quotas(item, spared)
        for quota in quotas:
            used = self._used[quota.key]
            if quota.limit is not None and used + quota.wanted > quota.limit:
                return Refusal(quota.reason, {"limit": quota.limit, "used": used})
        for quota in quotas:
            self._used[quota.key] += quota.wanted
        return None

    def record(self) -> None:
        changed = [
            {"who": account, "when": period, "new": count}
            for (account, period), count in self._used.items()
            if count != self._before[account, period]
        ]
        if changed:
            self._connection.execute(_COUNT, changed)


_COUNT = (
    update(usage)
    .where(usage.c.account == bindparam("who"), usage.c.period == bindparam("when"))
    .values(jobs=bindparam("new"))
)


class _Quota(NamedTuple):
    key: tuple[str, str]
    wanted: int
    limit: int | None
    reason: Reason


def _quotas(item: StoredMail, spared: Sequence[Job] = ()) -> list[_Quota]:
    """What the mail would use up, in the clock hour and the day (UTC) in which it came. What an alarm storm gathers
    (``spared``) uses up nothing: the SMS that tells of it does."""
    accepted = item.accepted
    if accepted is None or not accepted.jobs:
        return []
    at = datetime.fromtimestamp(item.envelope.received_at, UTC)
    hour, day, count = at.strftime("%Y-%m-%dT%H"), at.strftime("%Y-%m-%d"), len(accepted.jobs) - len(spared)
    quotas = [
        _Quota((accepted.account, hour), count, accepted.per_hour, QUOTA_HOUR),
        _Quota((accepted.account, day), count, accepted.per_day, QUOTA_DAY),
    ]
    if (cap := accepted.segments_per_day) is not None:
        segments = sum(job.segments for job in accepted.jobs) - sum(job.segments for job in spared)
        quotas.append(_Quota((accepted.account, f"{day} segments"), segments, cap, QUOTA_SEGMENTS))
    return quotas


# ── alarm storms ─────────────────────────────────────────────────────────────────────────────


class _Storms:
    """Which jobs of a batch are gathered instead of sent."""

    def __init__(self, connection: Connection, items: Sequence[StoredMail]) -> None:
        self.gathered: dict[str, float] = {}
        """Job ids, and how much longer they may wait."""
        self._counts = Counts(
            connection,
            [
                (i.accepted.account, i.envelope.received_at, i.accepted.storm, job)
                for i in items
                if i.accepted and i.accepted.storm
                for job in i.accepted.jobs
                if job.storm
            ],
        )

    def spared(self, item: StoredMail) -> list[Job]:
        accepted, at = item.accepted, item.envelope.received_at
        if accepted is None or (rule := accepted.storm) is None:
            return []
        return [job for job in accepted.jobs if self._counts.gathers(job, at, rule)]

    def counted(self, item: StoredMail) -> StoredMail:
        """With a note in its trail, if something of it is gathered."""
        accepted = item.accepted
        if accepted is None or (rule := accepted.storm) is None:
            return item
        spared = self.spared(item)
        self.gathered |= {job.id: rule.every_s for job in spared}
        for job in accepted.jobs:
            self._counts.count(job, item.envelope.received_at, rule)
        note = Note("storm", "gathered: many alike before it", {"jobs": len(spared)})
        return replace(item, notes=(*item.notes, note)) if spared else item

    def record(self) -> None:
        self._counts.record()


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def fingerprint(*identity: str) -> bytes:
    """Equal for jobs whose requests a provider would take for the same one (seed 002 §1)."""
    return hashlib.blake2b("\0".join(identity).encode(), digest_size=16).digest()


def identity(job: Job) -> tuple[str, ...]:
    """What a provider tells requests apart by."""
    usual = (job.originator, job.destination, job.text)
    return usual if job.channel is Channel.SMS else (*usual, job.channel.value, job.detail)


def _extras(job: Job) -> dict[str, str | float] | None:
    """What most jobs do not have."""
    extras = {"detail": job.detail, "comment": job.comment, "send_at": job.send_at}
    return {key: value for key, value in extras.items() if value} or None


def _mail_row(item: StoredMail) -> Mapping[str, Any]:
    envelope, refusal = item.envelope, item.refusal
    return {
        "id": envelope.queue_id,
        "received_at": envelope.received_at,
        "door": envelope.door.value,
        "listener": envelope.listener,
        "peer": envelope.peer,
        "helo": envelope.helo,
        "tls": envelope.tls,
        "identity": envelope.identity,
        "reverse_path": envelope.reverse_path.replace("\0", "?"),  # PostgreSQL stores no NUL
        "recipients": list(envelope.recipients),
        "message_id": item.message_id,
        "dialect": item.dialect,
        "account": item.account,
        "originator": item.originator,
        "verified_by": item.accepted.verified_by if item.accepted else "",
        "reason": refusal.reason.key if refusal else None,
        "reason_values": dict(refusal.values) if refusal else None,
        "reply_to": item.reply_to,
        "language": item.language,
        "dedup_key": item.dedup_key,
        "copy": item.copy.replace("\0", "?") if item.copy else item.copy,
        "dsn": asdict(envelope.dsn) if envelope.dsn is not None else None,
    }


def _job_rows(item: StoredMail, gathered: Mapping[str, float]) -> list[dict[str, Any]]:
    if item.accepted is None:
        return []
    rows = [_queued_row(job) for job in item.accepted.jobs]
    for row, job in zip(rows, item.accepted.jobs, strict=True):
        if (longer_s := gathered.get(job.id)) is not None:
            held = {"state": State.HELD.value, "due_at": None, "why": GATHERED, "storm": job.storm}
            row.update(held, expires_at=job.expires_at + longer_s)
    for number, drop in enumerate(item.accepted.dropped, start=len(rows) + 1):
        rows.append(_dropped_row(item, drop, f"{item.envelope.queue_id}-{number}"))
    return rows


def _queued_row(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "mail_id": job.mail_id,
        "account": job.account,
        "originator": job.originator,
        "destination": job.destination,
        "recipient": job.recipient,
        "resend": job.resend,
        "text": job.text,
        "segments": job.segments,
        "route": list(job.route),
        "provider": job.route[0],
        "state": State.QUEUED.value,
        "created_at": job.created_at,
        "updated_at": job.created_at,
        "expires_at": job.expires_at,
        "due_at": job.created_at if job.due_at is None else job.due_at,
        "fingerprint": fingerprint(*identity(job)),
        "channel": job.channel.value,
        "extras": _extras(job),
        "not_before": job.due_at,
        "tell": " ".join(sorted(job.tell)),
        "why": "",
        "reason": None,
        "reason_values": None,
        "storm": None,
    }


def _dropped_row(item: StoredMail, drop: Dropped, job_id: str) -> dict[str, Any]:
    """A destination that is not sent to is a job that has failed already: it shows in the queue and the report."""
    at = item.envelope.received_at
    return {
        "id": job_id,
        "mail_id": item.envelope.queue_id,
        "account": item.account,
        "originator": item.originator or "",
        "destination": drop.asked.typed[:64],
        "recipient": drop.asked.recipient,
        "resend": False,
        "text": None,
        "segments": 0,
        "route": [],
        "provider": "",
        "state": State.FAILED.value,
        "created_at": at,
        "updated_at": at,
        "expires_at": at,
        "due_at": None,
        "fingerprint": b"",
        "channel": "sms",
        "extras": None,
        "not_before": None,
        "tell": "",
        "why": "refused before sending",
        "reason": drop.refusal.reason.key,
        "reason_values": dict(drop.refusal.values),
        "storm": None,
    }


def _outbox_rows(item: StoredMail) -> list[dict[str, Any]]:
    dropped = item.accepted is not None and bool(item.accepted.dropped)
    if item.reply_to is None or not (item.refusal or dropped):
        return []
    delay = 0.0 if item.refusal else REPORT_DELAY_S
    return [outbox_row(item.envelope.queue_id, item.reply_to, item.envelope.received_at, delay)]


def outbox_row(mail_id: str, recipient: str, now: float, delay_s: float) -> dict[str, Any]:
    """A reply to be rendered and sent."""
    return {
        "mail_id": mail_id,
        "recipient": recipient,
        "state": "pending",
        "created_at": now,
        "due_at": now + delay_s,
        "expires_at": now + REPLY_VALIDITY_S,
    }
