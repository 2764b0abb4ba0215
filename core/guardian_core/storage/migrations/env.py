"""What Alembic runs: on the connection, and in the transaction, that it was given."""

from alembic import context

from guardian_core.storage.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=context.config.attributes.get("render_as_batch", True),
    render_item=context.config.attributes.get("render_item"),
)

with context.begin_transaction():
    context.run_migrations()
