"""Alembic's entry: it migrates over the connection that `core.store.upgrade` hands in."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], **context.config.attributes["options"])
with context.begin_transaction():
    context.run_migrations()
