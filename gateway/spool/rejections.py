"""What was turned away at the doors before a mail was stored: alike ones of a day are one row, counted up.

Beside it, mails that were taken and answered with a refusal: rows of ``mails`` with a reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, text
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model import Note
from gateway.spool.schema import REFUSED, mails, rejections, trail
from gateway.spool.trail import trail_row
from gateway.verdicts import REASONS, Refusal

MAX_ROWS = 10_000
"""Beyond, those that were seen longest ago are forgotten."""
AT_ONCE = 1000
NO_MAIL = ""
"""Where the trail has a mail's id: there was none."""
ROOM = "rejected"
DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Row:
    """What was turned away. Numbers and others' addresses are masked; a password is nowhere."""

    first_at: float
    last_at: float
    count: int
    listener: str
    peer: str
    """IP address or network; empty: a Unix socket or a pipe; ``*``: many, in a flood."""
    trusted: bool
    helo: str
    tls: bool
    reason: str
    """Key of ``verdicts.REASONS``, or one of ``service.rejections.Door``."""
    values: dict[str, str | int]
    reply: str
    """What the client was told."""
    sender: str
    recipients: tuple[str, ...]
    account: str | None
    dialogue: tuple[str, ...]
    """The last lines of the first one: ``C: …``, ``S: …``."""
    id: int | None = None

    @property
    def verdict(self) -> str:
        """Empty where the doors' reasons have none."""
        known = REASONS.get(self.reason)
        return Refusal(known, self.values).code if known else ""

    @property
    def key(self) -> bytes:
        """Equal for what is counted together."""
        alike = (self.listener, self.peer, self.reason, self.sender, self.account or "", str(self.last_at // DAY_S))
        return hashlib.blake2b("\0".join(alike).encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class RefusedMail:
    """A mail that was answered with a refusal."""

    id: str
    at: float
    listener: str
    peer: str
    helo: str
    tls: bool
    reason: str
    values: dict[str, str | int]
    sender: str
    recipients: tuple[str, ...]
    account: str | None


def add(connection: Connection, seen: Sequence[Row], told: Sequence[Row] = ()) -> None:
    """Count them on top of what is known. Several processes do this at one time: all in the same order. Of ``told``
    those hear who follow the events."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(rejections)
    new = statement.excluded
    upsert = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={"last_at": new.last_at, "count": rejections.c["count"] + new["count"], "reply": new.reply},
    )
    rows = {row.key: row for row in seen}
    connection.execute(upsert, [_stored(rows[key]) for key in sorted(rows)])
    if told:
        connection.execute(insert(trail), [_event(row) for row in told])


def _event(row: Row) -> dict[str, Any]:
    values = {"listener": row.listener, "peer": row.peer, "verdict": row.verdict, "why": row.reply or row.reason}
    return trail_row(NO_MAIL, None, row.last_at, (Note(ROOM, "turned away", _given(values, row.account)),))


def _given(values: dict[str, str], account: str | None) -> dict[str, str]:
    return {key: value for key, value in (values | {"account": account or ""}).items() if value}


def _stored(row: Row) -> dict[str, Any]:
    stored = asdict(row) | {"key": row.key, "recipients": list(row.recipients), "dialogue": list(row.dialogue)}
    del stored["id"]
    return {name: value.replace("\0", "?") if isinstance(value, str) else value for name, value in stored.items()}


@dataclass(frozen=True, slots=True)
class Which:
    """Which ones are looked for. Empty: any."""

    accounts: tuple[str, ...] | None = None
    """A tenant's."""
    reason: str = ""
    listener: str = ""
    peer: str = ""
    """Its beginning."""

    def conditions(self, table: Any) -> list[Any]:
        """Of a query on ``rejections`` or ``mails``."""
        found = [] if self.accounts is None else [table.c.account.in_(self.accounts)]
        for column, value in ((table.c.reason, self.reason), (table.c.listener, self.listener)):
            if value:
                found.append(column == value)
        return [*found, table.c.peer.startswith(self.peer, autoescape=True)] if self.peer else found


def listed(connection: Connection, which: Which, before: tuple[float, int] | None, limit: int) -> list[Row]:
    """The newest, behind a row's ``(last_at, id)``."""
    query = select(rejections).where(*which.conditions(rejections))
    query = query.order_by(rejections.c.last_at.desc(), rejections.c.id.desc()).limit(limit)
    if before is not None:
        at, number = before
        query = query.where(or_(rejections.c.last_at < at, and_(rejections.c.last_at == at, rejections.c.id < number)))
    return [_row(row) for row in connection.execute(query).mappings()]


def one(connection: Connection, number: int) -> Row | None:
    """By its id."""
    row = connection.execute(select(rejections).where(rejections.c.id == number)).mappings().one_or_none()
    return None if row is None else _row(row)


def _row(row: Any) -> Row:
    shown = {key: value for key, value in row.items() if key != "key"}
    return Row(**shown | {"recipients": tuple(row["recipients"]), "dialogue": tuple(row["dialogue"])})


def mails_refused(
    connection: Connection, which: Which, before: tuple[float, str] | None, limit: int
) -> list[RefusedMail]:
    """The newest, behind a mail's ``(received_at, id)``."""
    newest = (mails.c.received_at.desc(), mails.c.id.desc())
    query = select(mails.c.id).where(text(REFUSED), *which.conditions(mails)).order_by(*newest).limit(limit)
    if before is not None:
        at, mail_id = before
        query = query.where(or_(mails.c.received_at < at, and_(mails.c.received_at == at, mails.c.id < mail_id)))
    ids = list(connection.execute(query).scalars())  # out of the index alone
    return [
        RefusedMail(
            id=row.id,
            at=row.received_at,
            listener=row.listener,
            peer=row.peer,
            helo=row.helo,
            tls=row.tls,
            reason=row.reason,
            values=row.reason_values or {},
            sender=row.reverse_path,
            recipients=tuple(row.recipients),
            account=row.account,
        )
        for row in connection.execute(select(mails).where(mails.c.id.in_(ids)).order_by(*newest))
    ]


def forget_events(connection: Connection, before: float) -> int:
    """What was told to those who follow: after a day nobody asks for it. At most ``AT_ONCE``."""
    old = select(trail.c.id).where(trail.c.mail_id == NO_MAIL, trail.c.at < before).limit(AT_ONCE)
    return connection.execute(delete(trail).where(trail.c.id.in_(old))).rowcount


def forget(connection: Connection, before: float) -> int:
    """What was last seen before then, and what is too much."""
    gone = connection.execute(delete(rejections).where(rejections.c.last_at < before)).rowcount
    surplus = connection.execute(select(func.count()).select_from(rejections)).scalar_one() - MAX_ROWS
    if surplus > 0:
        oldest = select(rejections.c.id).order_by(rejections.c.last_at, rejections.c.id).limit(surplus)
        gone += connection.execute(delete(rejections).where(rejections.c.id.in_(oldest))).rowcount
    return gone
