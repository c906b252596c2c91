"""What is bound before the operator's row is locked is carried out on what stands then, not on what stood before."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from billing import balances
from billing.call_rows import CallRows, rows_of_rated
from billing.call_store import CallNumbers
from billing.hold_order import AuthorizeOrder, SettleOrder
from billing.int_arrays import int_array
from billing.money import parse_money
from billing.rated_order import booked_call, rated_at
from billing.rating import Price
from models.database import Database
from tests.charging_tree import Tree, charging_tree
from tests.charging_world import NOON, call, rate

_PRICE = Price(10_000_000, 0, 1, 1, "43", None, blocked=False)


@pytest.fixture(params=["OLD", "looked for once more"])
async def tree(request: pytest.FixtureRequest, db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tree]:
    """By the statement for PostgreSQL 18, and by that for those before it, which 18 understands as well."""
    if request.param != "OLD":
        monkeypatch.setattr(balances, "_of_server", lambda by_version, _: by_version[0])
    async with charging_tree(db) as tree:
        yield tree


def _rows(tree: Tree) -> CallRows:
    rated = rated_at(call(tree.keytyh, "one"), [_PRICE] * len(tree.keytyh.path))
    return rows_of_rated([(booked_call(rated, 1), rated)])


@asynccontextmanager
async def bound(tree: Tree) -> AsyncIterator[Callable[[], Awaitable[int | None]]]:
    """A call of a minute at 0.10 on each level, bound; carries it out when called. In the end all is rolled back."""
    rows = _rows(tree)
    async with tree.world.db.charging_connection() as connection:
        selections = await balances.selected_lists(connection, rows.totals)
        transaction = connection.transaction()
        await transaction.start()
        charge = await balances.bind_charge(connection, rows.totals, selections, rows.keys.call_ids, rows.usage)
        yield lambda: balances.charge_together(charge)
        await transaction.rollback()


async def _block(tree: Tree) -> None:
    await tree.world.execute("UPDATE account_state SET blocked = true WHERE account_id = :id", id=tree.good.id)


async def _take_all_credit(tree: Tree) -> None:
    await tree.world.credit(tree.keytyh, "-9.95")


async def _give_another_list(tree: Tree) -> None:
    other = await tree.world.rate_list(tree.good, "other", "5")
    await tree.world.execute(
        "UPDATE account_state SET rate_list_id = :list WHERE account_id = :id", list=other, id=tree.keytyh.id
    )


async def _authorize_it(tree: Tree) -> None:
    await tree.world.batcher.submit([AuthorizeOrder("one", tree.keytyh.path, "431234", None, NOON)])


async def _end_it_early(tree: Tree) -> None:
    await tree.world.batcher.submit([SettleOrder("one", 60, None, tree.world.operator.id)])


@pytest.mark.parametrize("change", [_block, _take_all_credit, _give_another_list, _authorize_it, _end_it_early])
async def test_what_gets_in_the_way_behind_the_binding_is_seen(
    tree: Tree, change: Callable[[Tree], Awaitable[None]]
) -> None:
    async with bound(tree) as carry_out:
        await change(tree)
        assert await carry_out() is None


async def test_what_is_out_of_the_way_by_then_does_not_count(tree: Tree) -> None:
    await _block(tree)
    async with bound(tree) as carry_out:
        await tree.world.execute("UPDATE account_state SET blocked = false WHERE account_id = :id", id=tree.good.id)
        assert await carry_out() is not None


async def test_the_epoch_is_that_of_then(tree: Tree) -> None:
    async with bound(tree) as carry_out:
        await tree.world.set_base_rates(rate("44", "0.05"))
        ((epoch,),) = await tree.world.select("SELECT epoch FROM pricing_epoch")
        assert await carry_out() == epoch


async def test_balances_and_usage_are_those_of_then(tree: Tree) -> None:
    rows = _rows(tree)
    async with tree.world.db.charging_connection() as connection:
        selections = await balances.selected_lists(connection, rows.totals)
        async with _rolled_back(connection):
            charge = await balances.bind_charge(connection, rows.totals, selections, rows.keys.call_ids, rows.usage)
            await tree.world.booked(call(tree.keytyh, "meanwhile"))
            await tree.world.credit(tree.keytyh, "5")
            before = await _state(connection, tree)
            assert await balances.charge_together(charge) is not None
            after = await _state(connection, tree)
    assert before["balance_units"] == parse_money("14.89")
    assert after == {
        "balance_units": before["balance_units"] - 10_000,
        "version": before["version"] + 1,
        "day_calls": 2,
        "day_charged_units": 11_000 + 10_000,
    }


@asynccontextmanager
async def _rolled_back(connection: "asyncpg.Connection[Any]") -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    yield
    await transaction.rollback()


async def _state(connection: "asyncpg.Connection[Any]", tree: Tree) -> dict[str, int]:
    row = await connection.fetchrow(
        "SELECT balance_units, version, day_calls, day_charged_units FROM account_state WHERE account_id = $1",
        tree.keytyh.id,
    )
    assert row is not None
    return dict(row)


async def test_numbers_of_more_than_one_block_grow(db: Database) -> None:
    numbers, others = CallNumbers(), CallNumbers()
    async with db.charging_connection() as connection:
        taken = [*await numbers.take(connection, 2_500), *await numbers.take(connection, 600)]
        of_another = await others.take(connection, 1)
    assert len(taken) == 3_100
    assert taken == sorted(set(taken))
    assert of_another[0] > taken[-1]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], "{}"), ([1, -2, 0], "{1,-2,0}"), ([2**63 - 1, -(2**63), None], f"{{{2**63 - 1},{-(2**63)},null}}")],
)
async def test_an_array_of_numbers_is_a_text(numbers: list[int | None], text: str, db: Database) -> None:
    assert int_array(numbers) == text
    async with db.charging_connection() as connection:
        assert await connection.fetchval("SELECT $1::text::bigint[]", text) == numbers
