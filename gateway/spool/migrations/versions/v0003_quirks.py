"""What clients do that is no SMTP, and was forgiven."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "quirks",
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("listener", sa.String(), nullable=False),
        sa.Column("quirk", sa.String(), nullable=False),
        sa.Column("first_at", sa.Float(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "listener", "quirk"),
    )
