"""Alembic migrations, forward and back, and how they are run (`models.migrations.run`)."""
