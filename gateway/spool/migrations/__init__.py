"""Schema versions, by Alembic. ``upgrade`` runs at every start and costs one query when nothing is to be done."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, select, table
from sqlalchemy import column as sql_column

HEAD = "0013"
"""The newest revision in ``versions``; a test compares."""


class SchemaTooNew(Exception):
    """The store was written by a newer version of the gateway."""


def upgrade(connection: Connection) -> None:
    """Bring the schema to ``HEAD``. Raises ``SchemaTooNew`` for a revision that this version does not know."""
    revision = _revision(connection)
    if revision == HEAD:
        return
    if connection.dialect.name == "postgresql":
        # One node at a time, and however long it takes. A node that waited finds the work done.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(2525)")
        revision = _revision(connection)
        if revision == HEAD:
            return
    if revision is not None and revision > HEAD:
        raise SchemaTooNew(revision)
    from alembic import command  # noqa: PLC0415  (a tenth of a second that most starts need not pay)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    versions = table("alembic_version", sql_column("version_num"))
    return connection.execute(select(versions.c.version_num)).scalar_one_or_none()
