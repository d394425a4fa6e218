"""The tables. Times are seconds since the Unix epoch; numbers are E.164 digits; no column holds a secret.

A change here needs a migration beside it (``migrations/versions``); a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

# SQLite uses a partial index only where the query repeats its condition literally, without bound values.
# (``due_at IS NOT NULL`` needs no repeating: it follows from ``due_at <= ?``.)
OPEN = "state IN ('queued', 'submitting', 'held', 'uncertain')"
PENDING = "state = 'pending'"

_OptionalJSON = JSON(none_as_null=True)

mails = Table(
    "mails",
    metadata,
    Column("id", String(24), primary_key=True),  # the queue id of the SMTP answer
    Column("received_at", Float, nullable=False),
    Column("door", String(8), nullable=False),
    Column("listener", String(64), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("helo", String(255), nullable=False),
    Column("tls", Boolean, nullable=False),
    Column("identity", String(255)),
    Column("reverse_path", String(320), nullable=False),
    Column("recipients", JSON, nullable=False),
    Column("message_id", String(255), nullable=False),
    Column("dialect", String(32), nullable=False),
    Column("account", String(255)),
    Column("originator", String(32)),
    Column("verified_by", String(32), nullable=False),
    Column("reason", String(64)),  # key of verdicts.REASONS when the whole mail was refused
    Column("reason_values", _OptionalJSON),
    Column("reply_to", String(320)),  # NULL: no mail may be sent to this sender
    Column("language", String(8), nullable=False),
    Column("dedup_key", LargeBinary(32), unique=True),
    Column("copy", Text),  # header and text with the credential masked
    Index("mails_received", "received_at"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("mail_id", String(24), nullable=False),
    Column("account", String(255), nullable=False),
    Column("originator", String(32), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("text", Text),
    Column("segments", Integer, nullable=False),
    Column("route", JSON, nullable=False),
    Column("provider", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("why", Text, nullable=False, server_default=""),  # the state's reason, in words for an operator
    Column("reason", String(64)),
    Column("reason_values", _OptionalJSON),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("due_at", Float),  # NULL: nothing is to be done by itself
    Column("updated_at", Float, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),  # failures in a row at this provider
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("fingerprint", LargeBinary(16), nullable=False),
    Column("sent_at", Float),  # the last time that bytes may have left, wall clock
    Column("window_boot", String(40)),  # boot id and boot clock of the first byte of an unanswered call
    Column("window_start", Float),
    Column("provider_id", String(64)),
    Column("told", Boolean, nullable=False, server_default=text("0")),
    Index("jobs_mail", "mail_id"),
    Index("jobs_created", "created_at"),
    Index("jobs_fingerprint", "fingerprint"),
    Index("jobs_provider_id", "provider_id", sqlite_where=text("provider_id IS NOT NULL")),
    Index("jobs_due", "provider", "state", "due_at", sqlite_where=text("due_at IS NOT NULL")),
    Index("jobs_open", "state", "expires_at", sqlite_where=text(OPEN)),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("outcome", String(16)),
    Column("detail", Text),
)

trail = Table(
    "trail",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mail_id", String(24), nullable=False),
    Column("job_id", String(32)),
    Column("at", Float, nullable=False),
    Column("notes", JSON, nullable=False),  # [[room, what, {…}], …]
    Index("trail_mail", "mail_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mail_id", String(24), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("state", String(12), nullable=False),  # pending, sent, dropped, suppressed
    Column("created_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("sent_at", Float),
    Column("message", LargeBinary),  # rendered at the first try, so that every try sends the same
    Column("error", Text, nullable=False, server_default=""),
    Index("outbox_due", "due_at", sqlite_where=text(PENDING)),
    Index("outbox_recipient", "recipient", "sent_at"),
    Index("outbox_mail", "mail_id"),
)

usage = Table(
    "usage",
    metadata,
    Column("account", String(255), primary_key=True),
    Column("period", String(16), primary_key=True),  # 2026-11-20T15 or 2026-11-20, UTC
    Column("jobs", Integer, nullable=False),
)

providers = Table(
    "providers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("next_free_at", Float, nullable=False, server_default="0"),  # when the rate allows the next call
    Column("paused_until", Float),
    Column("paused_why", Text, nullable=False, server_default=""),
)
