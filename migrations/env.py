"""Alembic's entry: runs on the connection that `patrol.database.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from patrol import tables


def run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=tables.Base.metadata, transactional_ddl=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


run()
