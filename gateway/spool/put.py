"""A mail becomes durable: the transaction before the 250."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from gateway.lifecycle import State
from gateway.model import Accepted, Channel, Dropped, Envelope, Job, Note
from gateway.sms.segments import alphabet
from gateway.spool.budget import Alert, Budget
from gateway.spool.engine import announce
from gateway.spool.prepared import Many, Query
from gateway.spool.schema import jobs, mails, outbox, trail
from gateway.spool.storms import GATHERED, Counts
from gateway.spool.trail import trail_row
from gateway.verdicts import Refusal

REPORT_DELAY_S = 3.0
"""A report on single destinations waits a moment, so that one mail tells of all of them."""
REPLY_VALIDITY_S = 24 * 3600.0
_AT_ONCE = 5_000
"""Jobs in one statement: those of a long list would take PostgreSQL longer than a statement may."""


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
    alerts: tuple[Alert, ...] = ()


def put(connection: Connection, items: Sequence[StoredMail]) -> list[Put]:
    """Store a batch of mails with their jobs, trails, usage and replies."""
    seen = _known(connection, items)
    storms = _Storms(connection, items)
    budget = Budget(connection, [item for item in items if item.dedup_key not in seen])
    results: list[Put] = []
    stored: list[StoredMail] = []
    again: list[dict[str, Any]] = []
    for item in items:
        first = seen.get(item.dedup_key) if item.dedup_key else None
        if first is not None:
            results.append(Put(first, duplicate=True))
            note = Note("door", "DUPLICATE: came again, not sent twice", {"peer": item.envelope.peer})
            again.append(trail_row(first, None, item.envelope.received_at, (note,)))
        elif (refusal := budget.spend(item.accepted, storms.spared(item))) is not None:
            results.append(Put(item.envelope.queue_id, refusal=refusal))
        else:
            item = storms.counted(item)  # noqa: PLW2901
            if item.dedup_key:
                seen[item.dedup_key] = item.envelope.queue_id
            results.append(Put(item.envelope.queue_id, alerts=budget.alerts()))
            stored.append(item)
    budget.record(items[0].envelope.received_at)
    if again:
        _TRAIL(connection, again)
    if stored:
        _MAILS(connection, [_mail_row(item) for item in stored])
        if rows := [row for item in stored for row in _job_rows(item, budget.held(item.accepted), storms.gathered)]:
            for start in range(0, len(rows), _AT_ONCE):
                _JOBS(connection, rows[start : start + _AT_ONCE])
        story = [trail_row(i.envelope.queue_id, None, i.envelope.received_at, _notes(i, budget)) for i in stored]
        _TRAIL(connection, story)
        if rows := [row for item in stored for row in _outbox_rows(item)]:
            connection.execute(insert(outbox), rows)
        storms.record()
        for provider in {job.route[0] for item in stored if item.accepted for job in item.accepted.jobs}:
            announce(connection, provider)
    return results


_MAILS, _JOBS, _TRAIL = Many(insert(mails)), Many(insert(jobs)), Many(insert(trail))
_KNOWN = Query(
    select(mails.c.dedup_key, mails.c.id, mails.c.received_at).where(
        mails.c.dedup_key.in_(bindparam("keys", expanding=True))
    )
)
_GIVE_UP = update(mails).where(mails.c.id.in_(bindparam("ids", expanding=True))).values(dedup_key=None)


def confirm(connection: Connection, queue_ids: Sequence[str]) -> list[None]:
    """The clients have read their 250: whatever equal comes from now on is meant."""
    connection.execute(_GIVE_UP, {"ids": queue_ids})
    return [None] * len(queue_ids)


def _known(connection: Connection, items: Sequence[StoredMail]) -> dict[bytes, str]:
    """Which of these mails have come before, and as what. Keys that are too old are given up."""
    since = {item.dedup_key: item.envelope.received_at - item.repeat_window_s for item in items if item.dedup_key}
    if not since:
        return {}
    found = _KNOWN(connection, {"keys": list(since)})
    if old := [row.id for row in found if row.received_at <= since[row.dedup_key]]:
        connection.execute(_GIVE_UP, {"ids": old})
    return {row.dedup_key: row.id for row in found if row.received_at > since[row.dedup_key]}


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
    extras = {"detail": job.detail, "comment": job.comment, "send_at": job.send_at, "quiet": job.quiet}
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


def _notes(item: StoredMail, budget: Budget) -> tuple[Note, ...]:
    why = budget.held(item.accepted)
    return (*item.notes, Note("policy", "held", {"why": why})) if why else item.notes


def _job_rows(item: StoredMail, held: str, gathered: Mapping[str, float]) -> list[dict[str, Any]]:
    """``held``: why nothing goes out before somebody has looked; empty: it does."""
    if item.accepted is None:
        return []
    rows = [_queued_row(job) for job in item.accepted.jobs]
    if held:
        rows = [{**row, "state": State.HELD.value, "due_at": None, "why": held} for row in rows]
    for row, job in zip(rows, item.accepted.jobs, strict=True):
        if (longer_s := gathered.get(job.id)) is not None:
            waiting = {"state": State.HELD.value, "due_at": None, "why": GATHERED, "storm": job.storm}
            row.update(waiting, expires_at=job.expires_at + longer_s)
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
        "alphabet": alphabet(job.text).value,
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
        "alphabet": None,
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
