"""The entry point of Alembic: runs the scripts in one transaction, on the connection that it is given."""

from alembic import context

from intellirouter.store.tables import metadata

_connection = context.config.attributes["connection"]
with _connection.begin():
    context.configure(connection=_connection, target_metadata=metadata, transactional_ddl=True)
    context.run_migrations()
