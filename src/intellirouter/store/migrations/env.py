"""Alembic's entry: runs the scripts on the connection it was handed, in one transaction."""

from alembic import context

from intellirouter.store.tables import metadata

_connection = context.config.attributes["connection"]
with _connection.begin():
    context.configure(connection=_connection, target_metadata=metadata, transactional_ddl=True)
    context.run_migrations()
