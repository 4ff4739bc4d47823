"""Alembic migrations, packaged. `adapter.store.migrate` runs them."""
