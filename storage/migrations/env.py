"""Run by Alembic inside the transaction that ``storage.database.upgrade`` opened."""

from alembic import context

from storage.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite cannot alter most things; Alembic copies the table instead
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
