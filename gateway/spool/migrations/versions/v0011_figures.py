"""What is counted for the overview and the reports, and providers' balances."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("alphabet", sa.String()))
    op.add_column("jobs", sa.Column("submitted_at", sa.Float()))
    op.create_index("jobs_updated", "jobs", ["updated_at", "created_at"])
    op.create_table(
        "tallies",
        sa.Column("span", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("facet", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("span", "at", "facet", "account", "provider"),
    )
    op.create_table(
        "tallied",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("upto", sa.Float(), nullable=False),
        sa.Column("turn_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "levels",
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("oldest_at", sa.Float()),
        sa.PrimaryKeyConstraint("at", "state"),
    )
    op.create_table(
        "balances",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), autoincrement=False, nullable=False),
        sa.Column("amount", sa.Float()),
        sa.Column("currency", sa.String(), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("provider", "at"),
    )
