"""What is bound before the operator's row is locked is carried out on what stands then, not on what stood before.

What is asked of other tables (holds, early ends, the epoch, before PostgreSQL 18 what a row was) is a matter of the
statement's snapshot; of the rows that it changes itself it sees the newest version in any case.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from billing import balances
from billing.call_rows import rows_of_rated
from billing.hold_order import AuthorizeOrder, SettleOrder
from billing.rated_order import booked_call, rated_at
from billing.rating import Price
from models.database import Database
from tests.charging_tree import Tree, charging_tree
from tests.charging_world import NOON, call, rate
from tests.raw_connection import connect

PRICE = Price(10_000_000, 0, 1, 1, "43", None, blocked=False)


@pytest.fixture
async def tree(statement_of_each_server: None, db: Database) -> AsyncIterator[Tree]:
    """A tree of three levels."""
    async with charging_tree(db) as tree:
        yield tree


@asynccontextmanager
async def bound_charge(
    tree: Tree, started_at: datetime = NOON
) -> AsyncIterator[tuple["asyncpg.Connection[Any]", balances.BatchCharge]]:
    """A call of a minute at 0.10 on each level, bound. In the end all is rolled back."""
    rated = rated_at(call(tree.keytyh, "one", started_at=started_at), [PRICE] * len(tree.keytyh.path))
    rows = rows_of_rated([(booked_call(rated, 1), rated)])
    async with tree.world.db.charging_connection() as connection:
        selections = await balances.selected_lists(connection, rows.totals)
        transaction = connection.transaction()
        await transaction.start()
        charge = balances.BatchCharge(connection, rows.totals, selections, rows.keys.call_ids, rows.usage)
        await charge.bind()
        yield connection, charge
        await transaction.rollback()


async def block(tree: Tree) -> None:
    await tree.world.execute("UPDATE account_state SET blocked = true WHERE account_id = :id", id=tree.good.id)


async def take_all_credit(tree: Tree) -> None:
    await tree.world.credit(tree.keytyh, "-9.95")


async def give_another_list(tree: Tree) -> None:
    other = await tree.world.rate_list(tree.good, "other", "5")
    await tree.world.execute(
        "UPDATE account_state SET rate_list_id = :list WHERE account_id = :id", list=other, id=tree.keytyh.id
    )


async def authorize_it(tree: Tree) -> None:
    await tree.world.batcher.submit([AuthorizeOrder("one", tree.keytyh.path, "431234", None, NOON)])


async def end_it_early(tree: Tree) -> None:
    await tree.world.batcher.submit([SettleOrder("one", 60, None, tree.world.operator.id)])


@pytest.mark.parametrize("change", [block, take_all_credit, give_another_list, authorize_it, end_it_early])
async def test_what_gets_in_the_way_after_binding_is_seen(
    tree: Tree, change: Callable[[Tree], Awaitable[None]]
) -> None:
    async with bound_charge(tree) as (_, charge):
        await change(tree)
        assert await charge.carry_out() is None


async def test_what_is_out_of_the_way_by_then_does_not_count(tree: Tree) -> None:
    await authorize_it(tree)
    async with bound_charge(tree) as (_, charge):
        await tree.world.execute("DELETE FROM holds")
        await tree.world.execute("UPDATE account_state SET held_units = 0")
        assert await charge.carry_out() is not None


async def test_the_epoch_is_that_of_then(tree: Tree) -> None:
    async with bound_charge(tree) as (_, charge):
        await tree.world.set_base_rates(rate("44", "0.05"))
        ((epoch,),) = await tree.world.select("SELECT epoch FROM pricing_epoch")
        assert await charge.carry_out() == epoch


async def test_balance_and_usage_are_those_of_then(tree: Tree) -> None:
    async with bound_charge(tree, NOON + timedelta(days=1)) as (connection, charge):
        await tree.world.booked(call(tree.keytyh, "meanwhile"))
        await tree.world.credit(tree.keytyh, "5")
        before = await tree.world.state(tree.keytyh)
        assert before.balance == "14.89000"
        assert await charge.carry_out() is not None
        after = await connection.fetchrow(
            "SELECT balance_units, version, usage_day::text, day_calls, day_charged_units FROM account_state "
            "WHERE account_id = $1",
            tree.keytyh.id,
        )
        earlier = await connection.fetchrow(
            "SELECT day::text, calls, duration_s, charged_units FROM usage_days WHERE account_id = $1", tree.keytyh.id
        )
    assert after is not None
    assert tuple(after) == (1_479_000, before.version + 1, "2026-02-01", 1, 10_000)
    assert earlier is not None
    assert tuple(earlier) == ("2026-01-31", 1, 60, 11_000)


async def test_the_server_may_have_another_isolation_for_its_default(database_url: str) -> None:
    admin = await connect(database_url)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation TO 'repeatable read'")
    await admin.close()
    database = Database(database_url)
    async with database.charging_connection() as connection, connection.transaction():
        assert await connection.fetchval("SHOW transaction_isolation") == "read committed"
    async with database.transaction() as tx:
        assert await tx.scalar(text("SHOW transaction_isolation")) == "read committed"
    await database.close()
