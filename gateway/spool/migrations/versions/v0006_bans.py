"""Wrong credentials are counted, and who guesses is shut out, in all processes at one time."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "bans",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("recent", sa.Integer(), nullable=False),
        sa.Column("recent_since", sa.Float(), nullable=False),
        sa.Column("today", sa.Integer(), nullable=False),
        sa.Column("today_since", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("bans", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_index("bans_until", "bans", ["until"], unique=False)
