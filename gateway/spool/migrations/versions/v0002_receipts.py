"""What becomes of an SMS after the provider has it: receipts, incoming SMS, who hears of it."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for column in (
        sa.Column("channel", sa.String(), server_default="sms", nullable=False),
        sa.Column("extras", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("tell", sa.String(), server_default="", nullable=False),
        sa.Column("not_before", sa.Float(), nullable=True),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("poll_at", sa.Float(), nullable=True),
        sa.Column("cost", sa.String(), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
    ):
        op.add_column("jobs", column)
    op.create_index("jobs_poll", "jobs", ["provider", "poll_at"], unique=False, **_where("poll_at IS NOT NULL"))
    # From now on ``told`` also says that there is nothing to tell.
    op.execute("UPDATE jobs SET told = true WHERE state = 'submitted' AND why = ''")
    op.add_column("mails", sa.Column("dsn", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("outbox", sa.Column("kind", sa.String(), server_default="report", nullable=False))
    op.create_table(
        "parts",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "provider_id"),
    )
    op.create_index("parts_job", "parts", ["job_id"], unique=False)
    op.create_table(
        "receipts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("raw", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("receipts_id", "receipts", ["provider_id"], unique=False)
    op.create_index("receipts_received", "receipts", ["received_at"], unique=False)
    op.create_table(
        "incoming",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("incoming_provider_id", "incoming", ["provider", "provider_id"], unique=True)
    op.create_index("incoming_received", "incoming", ["received_at"], unique=False)
    op.create_table(
        "hooks",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("event", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("hooks_due", "hooks", ["due_at"], unique=False, **_where("due_at IS NOT NULL"))
    op.create_index("hooks_created", "hooks", ["created_at"], unique=False)
