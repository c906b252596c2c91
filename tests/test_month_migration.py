"""Dividing calls by month, and back: no row is lost, whatever month it is of."""

from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from models.migrations import run
from tests.test_migrations import differences

_BEFORE, _AFTER = "0006", "0010"
_TABLES = ("calls", "charges", "call_adjustments", "call_keys", "usage_days", "accounts")

# 60 calls over three years, on both sides of the ends of months, with two charges each and some adjustments.
_ROWS = (
    "INSERT INTO accounts (id, username, parent_id, path, password_hash) OVERRIDING SYSTEM VALUE VALUES "
    "(1, 'op', NULL, '{1}', ''), (2, 'good*op', 1, '{1,2}', ''), (3, 'a*good', 2, '{1,2,3}', ''), "
    "(4, 'b*good', 2, '{1,2,4}', '')",
    "INSERT INTO calls (account_id, started_at, call_no, call_id, number, duration_s, billed_s, charged_units, status) "
    "SELECT 3 + n % 2, timestamptz '2024-01-01 00:00+00' - interval '1 microsecond' * (n % 2) "
    "+ interval '1 month' * (n / 2), n, 'call ' || n, '431', 60, 60, n, CASE n % 7 WHEN 0 THEN 'UNRATED' "
    "ELSE 'CHARGED' END FROM generate_series(0, 59) AS n",
    "INSERT INTO charges SELECT level, started_at, call_no, account_id, charged_units, 1000, 60 FROM calls "
    "CROSS JOIN LATERAL unnest(ARRAY[1, account_id]) AS level",
    "INSERT INTO call_adjustments (account_id, started_at, call_no, customer_id, kind, amount_units, "
    "amount_after_units, billed_before_s, billed_after_s, created_by_id) "
    "SELECT account_id, started_at, call_no, account_id, 'RERATE', 1, 2, 60, 60, 1 FROM calls WHERE call_no % 9 = 0",
)


def _rows(connection: Connection) -> dict[str, list[Any]]:
    return {table: list(connection.scalars(text(f"SELECT t::text FROM {table} AS t ORDER BY 1"))) for table in _TABLES}


def _months(connection: Connection) -> list[str]:
    return list(
        connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY 1"))
    )


async def test_every_row_is_there_after_dividing_and_after_joining(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(run.downgrade, _BEFORE)
        for statement in _ROWS:
            await connection.execute(text(statement))
        before = await connection.run_sync(_rows)
        assert {table: len(rows) for table, rows in before.items()} == {
            "calls": 60,
            "charges": 120,
            "call_adjustments": 7,
            "call_keys": 0,
            "usage_days": 0,
            "accounts": 4,
        }
    async with engine.begin() as connection:
        await connection.run_sync(run.upgrade, _AFTER)
        assert await connection.run_sync(_rows) == before
        months = await connection.run_sync(_months)
        assert len([name for name in months if name.startswith("calls_")]) == 31
        found = await connection.execute(text("SELECT tableoid::regclass::text FROM calls WHERE call_no = 1"))
        assert found.scalar_one() == "calls_2023_12"
        # The numbers of adjustments go on.
        added = await connection.execute(
            text(
                "INSERT INTO call_adjustments (account_id, started_at, call_no, customer_id, kind, amount_units, "
                "amount_after_units, billed_before_s, billed_after_s, created_by_id) "
                "VALUES (3, '2024-01-02', 1, 3, 'RERATE', 1, 2, 60, 60, 1) RETURNING id"
            )
        )
        assert added.scalar_one() == 8
        await connection.execute(text("DELETE FROM call_adjustments WHERE id = 8"))
        counts = await connection.execute(text("SELECT * FROM account_counts ORDER BY 1"))
        assert [tuple(row) for row in counts] == [(1, 1, 3), (2, 2, 2), (3, 0, 0), (4, 0, 0)]
    async with engine.begin() as connection:
        await connection.run_sync(run.upgrade)
        assert await connection.run_sync(_rows) == before
        assert await connection.run_sync(differences) == []
        key = await connection.run_sync(lambda sync: inspect(sync).get_pk_constraint("calls_2023_12"))
        assert key["constrained_columns"] == ["started_at", "call_no", "account_id"]
    async with engine.begin() as connection:
        await connection.run_sync(run.downgrade, _AFTER)
        assert await connection.run_sync(_rows) == before
        key = await connection.run_sync(lambda sync: inspect(sync).get_pk_constraint("calls_2023_12"))
        assert key["constrained_columns"] == ["account_id", "started_at", "call_no"]
    async with engine.begin() as connection:
        await connection.run_sync(run.downgrade, _BEFORE)
        assert await connection.run_sync(_rows) == before
        assert await connection.run_sync(_months) == []
    await engine.dispose()


async def test_months_that_were_closed_cannot_be_joined_again(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO closed_months (month, state) VALUES ('2026-01-01', 'DROPPED')"))
    with pytest.raises(RuntimeError, match="months have been closed: their calls cannot be brought back"):
        async with engine.begin() as connection:
            await connection.run_sync(run.downgrade, _BEFORE)
    async with engine.begin() as connection:
        assert await connection.run_sync(run.current_revision) == run.newest_revision()
    await engine.dispose()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE charges ADD COLUMN tax bigint",
        "ALTER TABLE calls ALTER COLUMN billed_s TYPE bigint",
        "DROP INDEX ix_calls_unrated",
        "DROP INDEX ix_accounts_username_parts",
        "CREATE TABLE calls_of_old (id int)",
        "DROP TABLE closed_usage",
    ],
)
async def test_months_are_no_difference_and_real_ones_are(database_url: str, change: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(
            text("CREATE TABLE calls_2026_01 PARTITION OF calls FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
        )
        await connection.execute(text("CREATE TABLE charges_2025_12 (LIKE charges)"))
        assert await connection.run_sync(differences) == []
        await connection.execute(text(change))
        assert await connection.run_sync(differences) != []
    await engine.dispose()
