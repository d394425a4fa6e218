"""The first schema."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


VACUUM_AS_A_QUEUE = {"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 50_000}


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "number"),
    )
    op.create_table(
        "epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("mail_id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("originator", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.Column("route", sa.JSON(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("reason_values", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=True),
        sa.Column("window_boot", sa.String(), nullable=True),
        sa.Column("window_start", sa.Float(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("resend", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=True),
        sa.Column("told", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        postgresql_with=VACUUM_AS_A_QUEUE,
    )
    op.create_index("jobs_created", "jobs", ["created_at"], unique=False)
    op.create_index("jobs_text", "jobs", ["created_at"], unique=False, **_where("text IS NOT NULL"))
    op.create_index(
        "jobs_due",
        "jobs",
        ["provider", "state", "due_at"],
        unique=False,
        **_where("due_at IS NOT NULL"),
    )
    op.create_index(
        "jobs_fingerprint",
        "jobs",
        ["fingerprint", "sent_at"],
        unique=False,
        **_where("sent_at IS NOT NULL"),
    )
    op.create_index("jobs_mail", "jobs", ["mail_id"], unique=False)
    op.create_index(
        "jobs_open",
        "jobs",
        ["state", "expires_at"],
        unique=False,
        **_where("state IN ('queued', 'submitting', 'held', 'uncertain')"),
    )
    op.create_index(
        "jobs_provider_id",
        "jobs",
        ["provider_id"],
        unique=False,
        **_where("provider_id IS NOT NULL"),
    )
    op.create_table(
        "mails",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("door", sa.String(), nullable=False),
        sa.Column("listener", sa.String(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("helo", sa.String(), nullable=False),
        sa.Column("tls", sa.Boolean(), nullable=False),
        sa.Column("identity", sa.String(), nullable=True),
        sa.Column("reverse_path", sa.String(), nullable=False),
        sa.Column("recipients", sa.JSON(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("dialect", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("originator", sa.String(), nullable=True),
        sa.Column("verified_by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("reason_values", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("reply_to", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("dedup_key", sa.LargeBinary(), nullable=True),
        sa.Column("copy", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dedup_key"),
    )
    op.create_index("mails_received", "mails", ["received_at"], unique=False)
    op.create_index("mails_copy", "mails", ["received_at"], unique=False, **_where("copy IS NOT NULL"))
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mail_id", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("sent_at", sa.Float(), nullable=True),
        sa.Column("message", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        postgresql_with=VACUUM_AS_A_QUEUE,
    )
    op.create_index(
        "outbox_due",
        "outbox",
        ["due_at"],
        unique=False,
        **_where("state = 'pending'"),
    )
    op.create_index("outbox_mail", "outbox", ["mail_id"], unique=False)
    op.create_index(
        "outbox_open",
        "outbox",
        ["mail_id"],
        unique=True,
        **_where("state = 'pending' AND message IS NULL"),
    )
    op.create_index(
        "outbox_taken", "outbox", ["owner"], unique=False, **_where("state = 'pending' AND owner IS NOT NULL")
    )
    op.create_index("outbox_recipient", "outbox", ["recipient", "sent_at"], unique=False)
    op.create_table(
        "processes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("configuration", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "providers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("next_free_at", sa.Float(), server_default="0", nullable=False),
        sa.Column("paused_until", sa.Float(), nullable=True),
        sa.Column("paused_why", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "trail",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mail_id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("trail_mail", "trail", ["mail_id"], unique=False)
    op.create_table(
        "usage",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", "period"),
    )
