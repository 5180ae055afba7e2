"""The history of the tables: Alembic scripts, which `intellirouter.store.migrate` runs."""
