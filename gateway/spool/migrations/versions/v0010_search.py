"""Indexes for the query language: one for each key, the newest first."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_REFUSED = sa.text("reason IS NOT NULL")


def upgrade() -> None:
    for column in ("account", "destination", "originator", "provider", "state"):
        op.create_index(f"jobs_by_{column}", "jobs", [sa.text(f"lower({column})"), "created_at"])
    _create("jobs_reason", "jobs", "reason", "created_at")
    _create("mails_refused", "mails", "received_at")
    _create("mails_reason", "mails", "reason", "received_at")
    op.create_index("mails_sender", "mails", [sa.text("lower(reverse_path)"), "received_at"])
    op.create_index("mails_dialect", "mails", ["dialect", "received_at"])


def _create(name: str, table: str, *columns: str) -> None:
    op.create_index(name, table, list(columns), sqlite_where=_REFUSED, postgresql_where=_REFUSED)
