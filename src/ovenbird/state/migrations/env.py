"""How Alembic meets our tables: on the connection that it is handed, in one transaction."""

from __future__ import annotations

from alembic import context

from ovenbird.state.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
