"""The migrations and the models say the same, forward and back."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from models.migrations import run
from models.migrations.comparison import COMPARISON
from models.tables import Base
from tests.graphql_client import running_api


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


async def test_a_watch_of_a_low_balance_becomes_the_accounts_and_its_resellers_and_one_of_them_again(
    database_url: str,
) -> None:
    async with running_api(database_url) as api:
        good = await api.reseller("good", of=api.operator, credit="100")
        keytyh = await api.customer("keytyh", of=good, credit="10")
        for by, threshold in ((good, "8"), (keytyh, "5")):
            watch = {"accountId": keytyh.id, "threshold": threshold, "webhookUrl": "https://shop.example/low"}
            await api.done("setLowBalanceNotice", "webhookSecret", watch, by=by)
        deduct = {"accountId": keytyh.id, "amount": "-3", "idempotencyKey": "k-1"}
        await api.done("createCreditTransaction", "duplicate", deduct, by=good)
    operator_id, good_id, keytyh_id = api.operator.account_id, good.account_id, keytyh.account_id
    watches = (
        "SELECT account_id, author_id, threshold_units, told FROM low_balance_watches ORDER BY author_id, account_id"
    )
    to_post = "SELECT author_id FROM low_balance_notices WHERE next_attempt_at IS NOT NULL"
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        rows = await connection.exec_driver_sql(watches)
        assert [*rows] == [(keytyh_id, good_id, 800_000, True), (keytyh_id, keytyh_id, 500_000, False)]
        await connection.run_sync(run.downgrade, "0006")
        rows = await connection.exec_driver_sql("SELECT account_id, threshold_units, told FROM low_balance_watches")
        assert [*rows] == [(keytyh_id, 500_000, False)]
        rows = await connection.exec_driver_sql(
            "SELECT account_id, available_units, next_attempt_at FROM low_balance_notices"
        )
        assert [*rows] == [(keytyh_id, 700_000, None)], "nobody has asked for this any more"
        await connection.exec_driver_sql("UPDATE low_balance_notices SET next_attempt_at = now()")
        await connection.exec_driver_sql(
            "INSERT INTO low_balance_watches VALUES ($1, 300000, true, NULL, NULL)", (good_id,)
        )
    async with engine.begin() as connection:
        await connection.run_sync(run.upgrade)
        rows = await connection.exec_driver_sql(watches)
        assert [*rows] == [
            (good_id, operator_id, 300_000, True),
            (good_id, good_id, 300_000, True),
            (keytyh_id, good_id, 500_000, False),
            (keytyh_id, keytyh_id, 500_000, False),
        ]
        assert [*await connection.exec_driver_sql(to_post)] == [(keytyh_id,)], "posted once, not by each"
    await engine.dispose()
