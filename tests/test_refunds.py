"""Refunds: every level gets back what it paid, once, whatever happens at the same time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from billing.charge_order import Booked
from billing.errors import IdempotencyConflict, NotFound, NothingToRefund, Refusal
from billing.hold_order import AuthorizeOrder, SettleOrder
from models.database import Database
from resolvers.audit import audit
from tests.adjusting import (
    adjustments,
    books,
    charges,
    outcome_of_refund,
    refunded,
    refunds_of_usage,
    refusal_of_refund,
)
from tests.charging_tree import Tree, another_process, charging_tree, codes
from tests.charging_world import ALWAYS_CHARGE, NOON, State, call, rate


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    async with charging_tree(db) as tree:
        yield tree


async def test_a_refund_gives_every_level_back_what_it_paid_and_no_more(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "kept"), call(tree.keytyh, "returned", duration_s=100))
    assert await tree.balances() == ["-0.08000", "99.84000", "9.68000"]

    booked = await refunded(world, "returned")

    assert (booked.duplicate, booked.call.status, booked.call.charged_units) == (False, "REFUNDED", 0)
    assert await tree.balances() == ["-0.03000", "99.94000", "9.89000"]
    # What had been charged for stays to be seen: prices and billed seconds.
    assert await charges(world, "returned") == [
        ("0.00000", 3_000_000, 100),
        ("0.00000", 6_000_000, 100),
        ("0.00000", 10_000_000, 120),
    ]
    for member, given_back, left in (
        (world.operator, "0.05000", "0.03000"),
        (tree.good, "0.10000", "0.06000"),
        (tree.keytyh, "0.21000", "0.11000"),
    ):
        assert await adjustments(world, member) == [("REFUND", f"-{given_back}", "0.00000")]
        assert await refunds_of_usage(world, member) == [("2026-01-31", left, given_back)]


async def test_a_refund_is_one_change_of_every_level_s_version_and_is_told_as_a_refund(
    tree: Tree, db: Database
) -> None:
    await tree.world.booked(call(tree.keytyh, "returned"))
    before = await tree.states()
    connection, told = await db.listen_connection(), asyncio.Queue[str]()
    await connection.add_listener("tollpath_balance", lambda *of_call: told.put_nowait(str(of_call[-1])))

    await refunded(tree.world, "returned")

    assert [state.version for state in await tree.states()] == [state.version + 1 for state in before]
    cause, ids = (await asyncio.wait_for(told.get(), 10)).split()
    assert (cause, {int(account_id) for account_id in ids.split(",")}) == ("REFUND", set(tree.keytyh.path))
    await connection.close()


async def test_the_same_refund_again_changes_nothing_and_is_flagged(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "returned"))
    first = await refunded(tree.world, "returned")
    before = await books(tree.world)

    again = await refunded(tree.world, "returned")

    assert (again.duplicate, again.call) == (True, first.call)
    assert await books(tree.world) == before


async def test_a_refund_for_another_reason_is_a_conflict(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "returned"))
    await refunded(tree.world, "returned", "a bad line")
    assert isinstance(await refusal_of_refund(tree.world, "returned", "another"), IdempotencyConflict)


async def test_what_nobody_was_charged_for_cannot_be_refunded(tree: Tree) -> None:
    world = tree.world
    await world.booked(
        call(tree.keytyh, "no rate", number="861", policy=ALWAYS_CHARGE),
        call(tree.keytyh, "not answered", duration_s=0),
    )
    await world.batcher.submit([AuthorizeOrder("released", tree.keytyh.path, "431234", None, NOON)])
    await world.batcher.submit([SettleOrder("released", 0, None, world.operator.id, released=True)])
    for call_id in ("no rate", "not answered", "released"):
        assert isinstance(await refusal_of_refund(world, call_id), NothingToRefund)
    assert isinstance(await refusal_of_refund(world, "never heard of"), NotFound)


async def test_a_call_that_was_free_for_its_customer_alone_is_given_back_to_the_others(tree: Tree) -> None:
    world = tree.world
    free = await world.rate_list(tree.good, "free", "100")
    friend = await world.customer("friend", of=tree.good, rate_list_id=free)
    await world.booked(call(friend, "returned"))
    assert await world.balances(world.operator, tree.good, friend) == ["-0.03000", "99.94000", "0.00000"]
    await refunded(world, "returned")
    assert await world.balances(world.operator, tree.good, friend) == ["0.00000", "100.00000", "0.00000"]
    assert await adjustments(world, friend) == [("REFUND", "0.00000", "0.00000")]


async def test_a_refund_lifts_an_overdrawn_account_and_leaves_the_mark_on_the_call(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "long", duration_s=7200, policy=ALWAYS_CHARGE))
    assert (await tree.world.state(tree.keytyh)).balance == "-2.01000"
    booked = await refunded(tree.world, "long")
    assert booked.call.overdrawn
    assert (await tree.world.state(tree.keytyh)).balance == "10.00000"


async def test_the_call_reported_again_after_its_refund_is_a_duplicate_and_stays_refunded(tree: Tree) -> None:
    order = call(tree.keytyh, "returned")
    await tree.world.booked(order)
    await refunded(tree.world, "returned")
    before = await books(tree.world)
    (again,) = await tree.world.charge(order)
    assert isinstance(again, Booked)
    assert (again.duplicate, again.call.status) == (True, "REFUNDED")
    assert codes(await tree.world.charge(call(tree.keytyh, "returned", duration_s=1))) == ["IDEMPOTENCY_CONFLICT"]
    assert await books(tree.world) == before


async def test_a_refund_of_a_call_of_another_day_belongs_to_that_day(tree: Tree) -> None:
    await tree.world.booked(
        call(tree.keytyh, "first"), call(tree.keytyh, "second", started_at=NOON + timedelta(days=1))
    )
    await refunded(tree.world, "second")
    assert await refunds_of_usage(tree.world, tree.keytyh) == [
        ("2026-01-31", "0.11000", "0.00000"),
        ("2026-02-01", "0.00000", "0.11000"),
    ]


async def test_of_refunds_at_once_by_two_processes_one_gives_back(tree: Tree, database_url: str) -> None:
    await tree.world.booked(call(tree.keytyh, "returned"))
    async with another_process(database_url) as other:
        other.operator = tree.world.operator
        outcomes = await asyncio.gather(
            *(outcome_of_refund(world, "returned") for world in (tree.world, other) * 5),
        )
    assert sorted(isinstance(outcome, Booked) and outcome.duplicate for outcome in outcomes) == [False] + [True] * 9
    assert await tree.balances() == ["0.00000", "100.00000", "10.00000"]


async def test_of_refunds_at_once_for_different_reasons_one_is_booked(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "returned"))
    outcomes = await asyncio.gather(*(outcome_of_refund(tree.world, "returned", f"reason {n}") for n in range(6)))
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert [type(refusal) for refusal in refused] == [IdempotencyConflict] * 5
    assert await tree.balances() == ["0.00000", "100.00000", "10.00000"]


async def test_calls_charged_while_others_are_refunded_come_to_the_same(tree: Tree, database_url: str) -> None:
    world = tree.world
    await world.booked(*(call(tree.keytyh, f"old {n}", duration_s=1) for n in range(30)))
    async with another_process(database_url) as other:
        other.operator = tree.world.operator
        await asyncio.gather(
            *(refunded(other, f"old {n}") for n in range(30)),
            *(world.booked(call(tree.keytyh, f"new {n}", duration_s=1)) for n in range(60)),
        )
    # A second: 0.03 / 60 and 0.06 / 60, and a first increment of 60 s at 0.10 with a fee of 0.01.
    assert await tree.balances() == ["-0.03000", "99.94000", "3.40000"]


async def test_credit_given_before_and_after_a_refund_is_no_difference_to_the_audit(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "returned"))
    await world.credit(tree.keytyh, "5")
    await refunded(world, "returned")
    await world.credit(tree.keytyh, "1")
    assert (await world.state(tree.keytyh)).balance == "16.00000"
    assert (await audit(world.db)).differences == ()


async def test_a_refund_does_not_touch_what_running_calls_hold(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "returned"))
    await tree.world.batcher.submit([AuthorizeOrder("running", tree.keytyh.path, "431234", None, NOON)])
    await refunded(tree.world, "returned")
    assert await tree.world.state(tree.keytyh) == State("10.00000", "0.11000", 4)


async def test_a_refund_ends_a_low_balance_and_makes_room_for_calls_that_were_refused(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "long", duration_s=5940))
    assert (await world.state(tree.keytyh)).balance == "0.09000"
    assert codes(await world.charge(call(tree.keytyh, "next"))) == ["INSUFFICIENT_CREDIT"]
    await refunded(world, "long")
    assert codes(await world.charge(call(tree.keytyh, "next"))) == ["CHARGED"]


async def test_prices_of_today_do_not_change_what_is_given_back(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "returned"))
    await tree.world.set_base_rates(rate("43", "0.9"))
    await refunded(tree.world, "returned")
    assert await tree.balances() == ["0.00000", "100.00000", "10.00000"]
