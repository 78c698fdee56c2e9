"""Runs the migrations on the connection that ``Database.migrate`` hands in; Alembic imports this."""

from __future__ import annotations

from alembic import context

from osbuild_core.server.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
