"""What alembic runs for every command: on the connection it is given, in its transaction."""

from __future__ import annotations

from alembic import context

from meshnode.gateway.archive.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite cannot alter most things in place: alembic copies the table instead.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
