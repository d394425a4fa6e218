"""Few refused mails among many are found by the index alone."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_REFUSED = sa.text("reason IS NOT NULL")


def upgrade() -> None:
    op.drop_index("mails_refused", "mails")
    columns = ["received_at", "id", "account", "listener", "peer"]
    op.create_index("mails_refused", "mails", columns, sqlite_where=_REFUSED, postgresql_where=_REFUSED)
