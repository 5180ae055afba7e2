"""How the tables came to be: Alembic scripts, run by `intellirouter.store.migrate`."""
