"""The migrations and the models say the same, forward and back."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from models.migrations import run
from models.migrations.comparison import COMPARISON
from models.tables import Base


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts=COMPARISON)
    return list(compare_metadata(context, Base.metadata))


def described(connection: Connection) -> dict[str, object]:
    """Everything of the schema that can be compared as values."""
    inspector = inspect(connection)
    return {
        table: (
            [
                (column["name"], str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(table)
            ],
            inspector.get_pk_constraint(table),
            sorted(inspector.get_foreign_keys(table), key=str),
            sorted(inspector.get_unique_constraints(table), key=str),
            sorted(inspector.get_check_constraints(table), key=str),
            sorted(inspector.get_indexes(table), key=str),
        )
        for table in inspector.get_table_names()
    }


async def test_the_migrated_database_equals_the_models(database_url: str) -> None:
    engine: AsyncEngine = create_async_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(run.current_revision) == run.newest_revision()
    await engine.dispose()


async def test_migrating_back_to_nothing_and_forward_again_gives_the_same_database(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        before = await connection.run_sync(described)
    async with engine.begin() as connection:
        await connection.run_sync(run.downgrade, "base")
    async with engine.begin() as connection:
        assert list(await connection.run_sync(described)) == ["alembic_version"]
        assert await connection.run_sync(run.current_revision) is None
    async with engine.begin() as connection:
        await connection.run_sync(run.upgrade)
    async with engine.begin() as connection:
        assert await connection.run_sync(described) == before
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_migrating_a_migrated_database_changes_nothing(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        before = await connection.run_sync(described)
    await run.migrate(database_url)
    async with engine.begin() as connection:
        assert await connection.run_sync(described) == before
    await engine.dispose()
