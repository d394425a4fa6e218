"""Alembic's entry: runs inside the connection and transaction that ``migrations.upgrade`` was given."""

from alembic import context

from gateway.spool.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
