"""Schema versions of the store, run by alembic."""
