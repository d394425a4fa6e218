"""Alarm storms and heartbeats."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


VACUUM_AS_A_QUEUE = {"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 50_000}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("storm", sa.LargeBinary(), nullable=True))
    op.create_index("jobs_storm", "jobs", ["storm", "created_at"], unique=False, **_where("storm IS NOT NULL"))
    op.create_table(
        "storms",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("gathers", sa.Boolean(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        postgresql_with=VACUUM_AS_A_QUEUE,
    )
    op.create_index("storms_due", "storms", ["due_at"], unique=False)
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("mail_id", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.Column("deadline", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("name", "at"),
    )
    op.create_index("heartbeats_waiting", "heartbeats", ["state"], unique=False, **_where("state = 'waiting'"))
