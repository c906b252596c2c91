"""Runs migrations on a connection that the caller gives (see `models.migrations.run`)."""

from alembic import context

from models.migrations.comparison import COMPARISON
from models.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    **COMPARISON,
)
with context.begin_transaction():
    context.run_migrations()
