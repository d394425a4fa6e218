"""The tables. Times are seconds since the Unix epoch; numbers are E.164 digits; no column holds a secret, only digests
of some; but for those of webhooks: they sign, and are sealed where the store is.

A change here needs a migration beside it (``migrations/versions``); a test compares the two.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
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
    false,
    text,
)

from gateway.spool.sealing import SealedBytes, SealedJSON, SealedText

metadata = MetaData()

# SQLite uses a partial index only where the query repeats its condition literally, without bound values.
# (``due_at IS NOT NULL`` needs no repeating: it follows from ``due_at <= ?``; ``sent_at`` likewise.)
OPEN = "state IN ('queued', 'submitting', 'held', 'uncertain')"
PENDING = "state = 'pending'"
WITH_TEXT = "text IS NOT NULL"
WITH_COPY = "copy IS NOT NULL"
REFUSED = "reason IS NOT NULL"
ASKABLE = "poll_at IS NOT NULL"
TAKEN = "state = 'pending' AND owner IS NOT NULL"
SEARCHED = ("account", "destination", "originator", "provider", "state")
OPEN_REPORT = "state = 'pending' AND message IS NULL"

_OptionalJSON = JSON(none_as_null=True)
_Serial = BigInteger().with_variant(Integer, "sqlite")


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


# What was claimed stays in ``jobs_due`` until the next VACUUM, and each look for what is due steps over it: a
# millisecond for 100,000 jobs. By default that is when a fifth of the table is dead: in a store of a year, each month.
_VACUUM_AS_A_QUEUE = {"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 50_000}

mails = Table(
    "mails",
    metadata,
    Column("id", String, primary_key=True),  # the queue id of the SMTP answer
    Column("received_at", Float, nullable=False),
    Column("door", String, nullable=False),
    Column("listener", String, nullable=False),
    Column("peer", String, nullable=False),
    Column("helo", String, nullable=False),
    Column("tls", Boolean, nullable=False),
    Column("identity", String),
    Column("reverse_path", String, nullable=False),
    Column("recipients", JSON, nullable=False),
    Column("message_id", String, nullable=False),
    Column("dialect", String, nullable=False),
    Column("account", String),
    Column("originator", String),
    Column("verified_by", String, nullable=False),
    Column("reason", String),  # key of verdicts.REASONS when the whole mail was refused
    Column("reason_values", _OptionalJSON),
    Column("reply_to", String),  # NULL: no mail may be sent to this sender
    Column("language", String, nullable=False),
    Column("dedup_key", LargeBinary, unique=True),
    Column("copy", SealedText),  # header and text with the credential masked
    Column("dsn", _OptionalJSON),  # what the client wants to hear by RFC 3461
    Index("mails_received", "received_at"),
    Index("mails_sender", text("lower(reverse_path)"), "received_at"),
    Index("mails_dialect", "dialect", "received_at"),
    # With what rejections are narrowed down by: few that fit are found without a look at all the mails.
    Index("mails_refused", "received_at", "id", "account", "listener", "peer", **_where(REFUSED)),
    Index("mails_reason", "reason", "received_at", **_where(REFUSED)),
    Index("mails_copy", "received_at", **_where(WITH_COPY)),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("mail_id", String, nullable=False),
    Column("account", String, nullable=False),
    Column("originator", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("recipient", String, nullable=False),
    Column("text", SealedText),
    Column("segments", Integer, nullable=False),
    Column("route", JSON, nullable=False),
    Column("provider", String, nullable=False),
    Column("state", String, nullable=False),
    Column("why", Text, nullable=False, server_default=""),  # the state's reason, in words for an operator
    Column("reason", String),
    Column("reason_values", _OptionalJSON),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("due_at", Float),  # NULL: nothing is to be done by itself
    Column("updated_at", Float, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),  # failures in a row at this provider
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("sent_at", Float),  # the last time that bytes may have left, wall clock
    Column("window_boot", String),  # boot id and boot clock of the first byte of an unanswered call
    Column("window_start", Float),
    Column("owner", String),  # the process that called last: key of processes
    Column("resend", Boolean, nullable=False, server_default=false()),  # the account prefers twice to never
    Column("provider_id", String),
    Column("told", Boolean, nullable=False, server_default=false()),  # nothing that the sender must still hear
    Column("channel", String, nullable=False, server_default="sms"),
    Column("extras", SealedJSON),  # detail, comment, send_at; erased with the text
    Column("tell", String, nullable=False, server_default=""),  # who hears of more than failures: words of model.Tell
    Column("not_before", Float),  # scheduled; NULL: goes out as soon as it can
    Column("generation", Integer, nullable=False, server_default="0"),  # sent anew by an operator so many times
    Column("poll_at", Float),  # when to ask the provider what became of it
    Column("cost", String),  # as the provider wrote it
    Column("result", _OptionalJSON),  # what the last receipt said besides the state
    Column("storm", LargeBinary),  # gathered into this storm, as long as no SMS has told of it
    Column("alphabet", String),  # GSM-7 or UCS-2, of the text as it goes out; NULL: not noted yet, or no text
    Column("submitted_at", Float),  # when the provider said that it has it
    Index("jobs_mail", "mail_id"),
    Index("jobs_poll", "provider", "poll_at", **_where(ASKABLE)),
    Index("jobs_created", "created_at"),
    # For the query language (``search.py``), the newest first. Of expressions, so that no planner takes one of them for
    # what a busy store asks all the time: its conditions have the bare columns.
    *(Index(f"jobs_by_{name}", text(f"lower({name})"), "created_at") for name in SEARCHED),
    Index("jobs_reason", "reason", "created_at", **_where(REFUSED)),
    Index("jobs_text", "created_at", **_where(WITH_TEXT)),
    # By time, for an alarm that has come ten thousand times has as many equals, and only the last minute's matter.
    Index("jobs_fingerprint", "fingerprint", "sent_at", **_where("sent_at IS NOT NULL")),
    Index("jobs_provider_id", "provider_id", **_where("provider_id IS NOT NULL")),
    Index("jobs_due", "provider", "state", "due_at", **_where("due_at IS NOT NULL")),
    Index("jobs_open", "state", "expires_at", **_where(OPEN)),
    Index("jobs_updated", "updated_at", "created_at"),  # what has changed since it was counted
    Index("jobs_storm", "storm", "created_at", **_where("storm IS NOT NULL")),
    postgresql_with=_VACUUM_AS_A_QUEUE,
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("provider", String, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("outcome", String),
    Column("detail", Text),
)

trail = Table(
    "trail",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("mail_id", String, nullable=False),
    Column("job_id", String),
    Column("at", Float, nullable=False),
    Column("notes", JSON, nullable=False),  # [[room, what, {…}], …]
    Index("trail_mail", "mail_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("mail_id", String, nullable=False),
    Column("recipient", String, nullable=False),
    Column("state", String, nullable=False),  # pending, sent, dropped, suppressed
    Column("created_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("owner", String),  # the process that is sending it
    Column("sent_at", Float),
    Column("message", SealedBytes),  # rendered at the first try, so that every try sends the same
    Column("error", Text, nullable=False, server_default=""),
    Column("kind", String, nullable=False, server_default="report"),  # report, confirmation, incoming
    Index("outbox_due", "due_at", **_where(PENDING)),
    Index("outbox_open", "mail_id", unique=True, **_where(OPEN_REPORT)),
    Index("outbox_taken", "owner", **_where(TAKEN)),
    Index("outbox_recipient", "recipient", "sent_at"),
    Index("outbox_mail", "mail_id"),
    postgresql_with=_VACUUM_AS_A_QUEUE,
)

parts = Table(
    "parts",
    metadata,
    Column("provider", String, primary_key=True),
    Column("provider_id", String, primary_key=True),
    Column("job_id", String, nullable=False),
    Column("state", String, nullable=False),
    Index("parts_job", "job_id"),
)
"""Of long SMS that the provider counts, and reports, part by part."""

receipts = Table(
    "receipts",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("provider", String, nullable=False),
    Column("provider_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("raw", String, nullable=False),
    Column("details", JSON, nullable=False),
    Column("received_at", Float, nullable=False),
    Index("receipts_id", "provider_id"),
    Index("receipts_received", "received_at"),
)
"""That came before the answer which says whose they are."""

incoming = Table(
    "incoming",
    metadata,
    Column("id", String, primary_key=True),
    Column("provider", String, nullable=False),
    Column("provider_id", String, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("sender", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("account", String),  # NULL: nobody's number
    Column("text", SealedText),
    Index("incoming_provider_id", "provider", "provider_id", unique=True),
    Index("incoming_received", "received_at"),
)

hooks = Table(
    "hooks",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account", String, nullable=False),
    Column("event", SealedJSON, nullable=False),  # what is told
    Column("created_at", Float, nullable=False),
    Column("due_at", Float),  # NULL: done, or given up
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", Text, nullable=False, server_default=""),
    Index("hooks_due", "due_at", **_where("due_at IS NOT NULL")),
    Index("hooks_created", "created_at"),
)

usage = Table(
    "usage",
    metadata,
    Column("account", String, primary_key=True),
    Column("period", String, primary_key=True),  # 2026-11-20T15, 2026-11-20, 2026-11-20 spend …, UTC
    Column("jobs", _Serial, nullable=False),  # or parts of SMS, or millionths of money
)
"""What has been used up of caps. The account without a name is all of them together."""

number_usage = Table(
    "number_usage",
    metadata,
    Column("key", LargeBinary, primary_key=True),  # digest of a number, or of all but its last four digits
    Column("hour", Integer, nullable=False),  # since the epoch, in which ``in_hour`` counts; ``day`` likewise
    Column("in_hour", Integer, nullable=False),
    Column("day", Integer, nullable=False),
    Column("in_day", Integer, nullable=False),
    Index("number_usage_day", "day"),
)
"""How many SMS a number has got, where that is capped."""

holds = Table(
    "holds",
    metadata,
    Column("scope", String, primary_key=True),  # all, account, provider
    Column("name", String, primary_key=True),
    Column("since", Float, nullable=False),
    Column("why", Text, nullable=False),
    Column("refuses", Boolean, nullable=False),
)
"""What sends nothing until an operator resumes it."""

storms = Table(
    "storms",
    metadata,
    Column("key", LargeBinary, primary_key=True),  # policy.storms.key
    Column("account", String, nullable=False),
    Column("sent", Integer, nullable=False),  # alike SMS that went out as they are
    Column("gathers", Boolean, nullable=False),  # there is a storm
    Column("since", Float, nullable=False),  # of this count, or of what is gathered
    Column("due_at", Float, nullable=False),  # the count is over, or the gathered ones are told of
    Index("storms_due", "due_at"),
    postgresql_with=_VACUUM_AS_A_QUEUE,
)
"""What is counted against alarm storms; a row is gone as soon as its time is over."""

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", String, primary_key=True),
    Column("at", Float, primary_key=True, autoincrement=False),  # when it was to go out: once over all processes
    Column("account", String, nullable=False),
    Column("mail_id", String),
    Column("state", String, nullable=False),  # waiting, ok, failed
    Column("why", String, nullable=False, server_default=""),
    Column("deadline", Float, nullable=False),  # of its receipt
    Column("finished_at", Float),
    Index("heartbeats_waiting", "state", **_where("state = 'waiting'")),
)

providers = Table(
    "providers",
    metadata,
    Column("name", String, primary_key=True),
    Column("next_free_at", Float, nullable=False, server_default="0"),  # when the rate allows the next call
    Column("paused_until", Float),
    Column("paused_why", Text, nullable=False, server_default=""),
)

processes = Table(
    "processes",
    metadata,
    Column("id", String, primary_key=True),
    Column("place", String, nullable=False),  # boot id and PID namespace: where a PID means something
    Column("pid", Integer, nullable=False),
    Column("started", BigInteger, nullable=False),  # in the kernel's ticks: a PID that is used again differs
    Column("beat", BigInteger, nullable=False),  # counted up while it lives
    Column("host", String, nullable=False),
    Column("configuration", String, nullable=False),  # which state of the files it runs
    Column("at", Float, nullable=False),  # of the last beat, for people
)

quirks = Table(
    "quirks",
    metadata,
    Column("client", String, primary_key=True),
    Column("listener", String, primary_key=True),
    Column("quirk", String, primary_key=True),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("count", BigInteger, nullable=False),
)

tallies = Table(
    "tallies",
    metadata,
    Column("span", Integer, primary_key=True, autoincrement=False),  # seconds: 300, 3600, 86400
    Column("at", BigInteger, primary_key=True, autoincrement=False),  # its beginning
    Column("facet", String, primary_key=True),  # sms, mail, client
    Column("account", String, primary_key=True),  # empty: of nobody that is known
    Column("provider", String, primary_key=True),  # empty: of none
    Column("counts", JSON, nullable=False),  # policy.tally.Counts
)
"""What was counted, by the time at which the mail or SMS came. Nothing in it is a number, or what somebody wrote."""

tallied = Table(
    "tallied",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row: 1
    Column("upto", Float, nullable=False),  # what had changed until then is in ``tallies``
    Column("turn_at", Float, nullable=False),  # when a process last took it upon itself
)

levels = Table(
    "levels",
    metadata,
    Column("at", BigInteger, primary_key=True, autoincrement=False),  # a full minute
    Column("state", String, primary_key=True),
    Column("depth", Integer, nullable=False),
    Column("oldest_at", Float),
)
"""How much waited, and since when, minute by minute."""

balances = Table(
    "balances",
    metadata,
    Column("provider", String, primary_key=True),
    Column("at", Float, primary_key=True, autoincrement=False),
    Column("amount", Float),  # NULL: it is being asked, or did not answer
    Column("currency", String, nullable=False, server_default=""),
    Column("why", Text, nullable=False, server_default=""),  # there is no amount
)

rejections = Table(
    "rejections",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("key", LargeBinary, nullable=False, unique=True),  # equal for what is counted together
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("listener", String, nullable=False),
    Column("peer", String, nullable=False),
    Column("trusted", Boolean, nullable=False),
    Column("helo", String, nullable=False),
    Column("tls", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Column("values", JSON, nullable=False),
    Column("reply", String, nullable=False),
    Column("sender", String, nullable=False),
    Column("recipients", JSON, nullable=False),  # masked
    Column("account", String),
    Column("dialogue", JSON, nullable=False),  # of the first one, masked
    Index("rejections_last", "last_at", "id"),
)
"""What was turned away at the doors before a mail was stored."""

epoch = Table(
    "epoch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row: 1
    Column("store", String, nullable=False),  # the name that it got when it was made
    Column("number", BigInteger, nullable=False),  # counted up while SMS go out; a copy lies outside the database
)

bans = Table(
    "bans",
    metadata,
    Column("subject", String, primary_key=True),  # as ``policy.guessing`` names it
    Column("recent", Integer, nullable=False),
    Column("recent_since", Float, nullable=False),
    Column("today", Integer, nullable=False),
    Column("today_since", Float, nullable=False),
    Column("until", Float, nullable=False),
    Column("bans", Integer, nullable=False),
    Index("bans_until", "until"),
)
"""For whom wrong credentials are counted, and who is shut out."""
sealing = Table(
    "sealing",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row: 1; none: the store was never sealed
    Column("word", SealedText, nullable=False),  # can be read by whoever has the key
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("at", Float, nullable=False),
    Column("who", String, nullable=False),
    Column("what", String, nullable=False),
    Column("subject", String, nullable=False),  # a queue id, or a masked number
    Column("via", String, nullable=False, server_default="cli"),  # or console, api
    Index("audit_at", "at", "id"),
    Index("audit_who", "who", "at", "id"),
    Index("audit_what", "what", "at", "id"),
)
"""Who has looked at what people wrote, who has taken or erased it, and what else people did."""

users = Table(
    "users",
    metadata,
    Column("login", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("texts", Boolean, nullable=False),
    Column("accounts", _OptionalJSON),  # null: all
    Column("language", String),
    Column("disabled", Boolean, nullable=False),
    Column("password_hash", String),  # argon2
    Column("subject", String, unique=True),  # at the OpenID provider
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float),
)
"""Who may come into the console."""

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String, primary_key=True),  # SHA-256 of what is in the cookie
    Column("id", String, nullable=False, unique=True),
    Column("login", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("peer", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("how", String, nullable=False),  # password, link, oidc, proxy
    Index("sessions_login", "login"),
    Index("sessions_expires", "expires_at"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", String, primary_key=True),  # SHA-256
    Column("id", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("login", String),
    Column("scopes", JSON, nullable=False),
    Column("accounts", _OptionalJSON),  # null: all
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("used_at", Float),
    Index("tokens_login", "login"),
)
"""What programs show at the API."""

links = Table(
    "links",
    metadata,
    Column("login", String, primary_key=True),  # a new one voids the last; empty: of the first admin
    Column("digest", String, nullable=False, unique=True),  # SHA-256
    Column("expires_at", Float, nullable=False),
    Column("enters", Boolean, nullable=False),  # at once, without a password
)
"""One-time links."""

accounts = Table(
    "accounts",
    metadata,
    Column("login", String, primary_key=True),
    Column("settings", SealedJSON, nullable=False),  # as in accounts.yaml, without credentials, lists and the switch
    Column("password_hash", String),  # argon2
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("revision", BigInteger, nullable=False),  # of the roster, when it was changed last
    Index("accounts_revision", "revision"),
)
"""Accounts besides those of accounts.yaml."""

account_keys = Table(
    "account_keys",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account", String, nullable=False),
    Column("name", String, nullable=False),  # what people call it
    Column("prefix", String, nullable=False),  # its first characters, to tell it from others
    Column("digest", LargeBinary, nullable=False),  # policy.accounts.key_digest
    Column("active", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("account_keys_account", "account"),
    Index("account_keys_digest", "digest", unique=True),
    sqlite_autoincrement=True,
)

number_lists = Table(
    "number_lists",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account", String, nullable=False),  # empty: of all accounts
    Column("name", String, nullable=False),  # empty: the stop-list
    Column("count", Integer, nullable=False),
    Column("changed_at", Float, nullable=False),
    Index("number_lists_name", "account", "name", unique=True),
    sqlite_autoincrement=True,  # processes know lists by their ids: that of one that is gone must not be another's
)

list_numbers = Table(
    "list_numbers",
    metadata,
    Column("list_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", String, primary_key=True),
    Column("added_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

roster = Table(
    "roster",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row: 1
    Column("revision", BigInteger, nullable=False),  # counted up with each change of accounts, keys, or which lists are
)
