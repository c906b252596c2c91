"""Calls that come again, together, or to several processes at once: each is charged once and nobody overspends."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from billing.account_changes import select_rate_list
from billing.charge_order import Booked, ChargeOrder
from billing.errors import ErrorCode
from billing.set_rates import set_rates
from models.database import Database
from tests.charging_tree import Tree, another_process, charging_tree, codes
from tests.charging_world import NOON, call, new_batcher, rate


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    async with charging_tree(db) as tree:
        yield tree


async def test_orders_of_a_batch_are_taken_in_their_sequence(tree: Tree) -> None:
    await tree.world.credit(tree.keytyh, "-9.78")
    outcomes = await tree.world.charge(
        call(tree.keytyh, "c1"),
        call(tree.keytyh, "c2", duration_s=600),
        call(tree.keytyh, "c2"),
        call(tree.keytyh, "c3"),
        call(tree.keytyh, "c4", duration_s=0),
    )
    assert codes(outcomes) == ["CHARGED", "INSUFFICIENT_CREDIT", "CHARGED", "INSUFFICIENT_CREDIT", "CHARGED"]
    assert await tree.balances() == ["-0.06000", "99.88000", "0.00000"]


async def test_a_refused_call_leaves_the_others_of_its_batch(tree: Tree) -> None:
    outcomes = await tree.world.charge(
        call(tree.keytyh, "c1"), call(tree.keytyh, "c2", number="86"), call(tree.good, "c3")
    )
    assert codes(outcomes) == ["CHARGED", "NO_RATE", "CHARGED"]
    assert await tree.balances() == ["-0.06000", "99.88000", "9.89000"]


async def test_a_call_that_comes_again_changes_nothing_and_answers_the_first(tree: Tree) -> None:
    order = call(tree.keytyh, "c1", caller_number="4312")
    ((first, _),) = await tree.world.booked(order)
    books = await tree.world.books()
    assert await tree.world.booked(order, order) == [Booked(first, duplicate=True)] * 2
    assert await tree.world.books() == books


async def test_a_call_twice_in_a_batch_is_charged_once(tree: Tree) -> None:
    order = call(tree.keytyh, "c1")
    first, again = await tree.world.booked(order, order)
    assert (first.duplicate, again.duplicate, first.call) == (False, True, again.call)
    assert await tree.balances() == ["-0.03000", "99.94000", "9.89000"]


@pytest.mark.parametrize(
    "other",
    [
        {"duration_s": 61},
        {"number": "431235"},
        {"caller_number": "4312"},
        {"started_at": NOON + timedelta(seconds=1)},
        {"path": None},
    ],
    ids=["duration", "number", "caller", "start", "account"],
)
async def test_the_same_call_id_with_other_content_is_a_conflict(tree: Tree, other: dict[str, object]) -> None:
    await tree.world.booked(call(tree.keytyh, "c1"))
    other = {"path": tree.good.path} if "path" in other else other
    refusal = await tree.world.refused(call(tree.keytyh, "c1", **other))
    assert (refusal.code, refusal.path) == (ErrorCode.IDEMPOTENCY_CONFLICT, ("callId",))


async def test_a_refused_call_may_come_again_when_there_is_credit(tree: Tree) -> None:
    await tree.world.credit(tree.keytyh, "-10")
    await tree.world.refused(call(tree.keytyh, "c1"))
    await tree.world.credit(tree.keytyh, "1")
    ((booked, duplicate),) = await tree.world.booked(call(tree.keytyh, "c1"))
    assert (booked.charged_units, duplicate) == (11_000, False)


async def test_a_change_of_prices_holds_at_once_in_another_process(tree: Tree, database_url: str) -> None:
    async with another_process(database_url) as other:
        await other.booked(call(tree.good, "c1"))
        new_list = await tree.world.rate_list(tree.world.operator, "dear", "-100")
        await tree.world.execute(
            "UPDATE account_state SET rate_list_id = :list WHERE account_id = :id", list=new_list, id=tree.good.id
        )
        await other.booked(call(tree.good, "c2"))
        assert (await tree.world.state(tree.good)).balance == "99.88000"
        soon = datetime.now(UTC) + timedelta(hours=1)
        await tree.world.set_base_rates(rate("43", "0.05"))
        await other.booked(call(tree.good, "c3", started_at=soon), call(tree.good, "c4"))
        # From now on 0.10; what began before the change keeps its price of 0.06.
        assert (await tree.world.state(tree.good)).balance == "99.72000"


async def test_two_processes_charge_a_call_that_both_are_told_once(tree: Tree, database_url: str) -> None:
    orders = [call(tree.keytyh, f"c{number}") for number in range(40)]
    async with another_process(database_url) as other:
        answers = await asyncio.gather(*(world.booked(order) for order in orders for world in (tree.world, other)))
    assert Counter(booked.duplicate for (booked,) in answers) == {False: 40, True: 40}
    assert await tree.balances() == ["-1.20000", "97.60000", "5.60000"]


async def test_batches_of_two_processes_never_overspend(tree: Tree, database_url: str) -> None:
    orders: list[list[ChargeOrder]] = [
        [call(tree.keytyh, f"{batch}.{number}") for number in range(7)] for batch in range(40)
    ]
    async with another_process(database_url) as other:
        worlds = [tree.world, other]
        answers = await asyncio.gather(*(worlds[n % 2].charge(*batch) for n, batch in enumerate(orders)))
    # 10.00000 pay for 90 calls of 0.11000.
    outcomes = Counter(code for answer in answers for code in codes(answer))
    assert outcomes == {"CHARGED": 90, "INSUFFICIENT_CREDIT": 190}
    assert await tree.balances() == ["-2.70000", "94.60000", "0.10000"]


async def test_an_engine_that_knows_nothing_yet_charges_as_one_that_does(tree: Tree) -> None:
    fresh = new_batcher(tree.world.db, batches_at_once=1)
    (outcome,) = await fresh.charge([call(tree.keytyh, "c1")])
    assert isinstance(outcome, Booked)
    assert await tree.balances() == ["-0.03000", "99.94000", "9.89000"]
    await fresh.close()


async def test_a_call_id_that_is_taken_without_a_call_charges_nobody(tree: Tree) -> None:
    await tree.world.execute("INSERT INTO call_keys VALUES ('c2', :id, :at, 7)", id=tree.keytyh.id, at=NOON)
    before = await tree.world.books()
    outcomes = await tree.world.charge(call(tree.keytyh, "c2"))
    assert codes(outcomes) == ["CALL_FAILED"]
    assert await tree.world.books() == before
    outcomes = await tree.world.charge(call(tree.keytyh, "c1"), call(tree.keytyh, "c2"), call(tree.keytyh, "c3"))
    assert codes(outcomes) == ["CHARGED", "CALL_FAILED", "CHARGED"]
    assert await tree.balances() == ["-0.06000", "99.88000", "9.78000"]
    await tree.world.execute("DELETE FROM call_keys WHERE call_id = 'c2'")


async def test_a_call_that_waited_while_prices_changed_is_priced_by_all_that_was_changed_before(
    tree: Tree, database_url: str
) -> None:
    new_list = await tree.world.rate_list(tree.world.operator, "new", "0", rate("43", "0.20"))
    other_reseller = await tree.world.reseller("other", of=tree.world.operator, credit="9", rate_list_id=new_list)
    operator_id, soon = tree.world.operator.id, datetime.now(UTC) + timedelta(hours=1)
    async with another_process(database_url) as other:
        await other.booked(call(other_reseller, "c1", started_at=soon), call(tree.good, "c2", started_at=soon))
        async with tree.world.db.transaction() as tx:
            await tx.execute(text("SELECT FROM account_state WHERE account_id = :id FOR UPDATE"), {"id": operator_id})
            charging = asyncio.create_task(other.booked(call(tree.good, "c3", started_at=soon)))
            await waits_for_a_lock(tree)
            # First the price, then the selection: the reseller never had the list at 0.20.
            async with tree.world.db.transaction() as pricing:
                await set_rates(pricing, rate_list_id=new_list, rates=[rate("43", "0.30")])
            async with tree.world.db.transaction() as selecting:
                await select_rate_list(selecting, account_id=tree.good.id, rate_list_id=new_list)
        await charging
    assert (await tree.world.state(tree.good)).balance == "99.64000"


async def waits_for_a_lock(tree: Tree) -> None:
    """Wait until another connection waits for one that this test holds."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while await tree.world.select(waiting) != [(1,)]:  # noqa: ASYNC110 - nobody tells when
        await asyncio.sleep(0.01)
