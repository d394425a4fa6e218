"""Caps in money and for single numbers, and the kill switch."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # millionths of money; SQLite's integers are that long anyway
        op.alter_column("usage", "jobs", type_=sa.BigInteger(), existing_nullable=False)
    op.create_table(
        "number_usage",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("in_hour", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("in_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("number_usage_day", "number_usage", ["day"], unique=False)
    op.create_table(
        "holds",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("refuses", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "name"),
    )
