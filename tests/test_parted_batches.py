"""Batches of which something is in the way of a few calls: the others are charged together, and each is answered as if
all had been taken in their sequence.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from random import Random
from typing import Any

import pytest

from billing import call_store, charging
from billing.account_changes import select_rate_list
from billing.charge_order import Booked, ChargeOrder, ChargePolicy, Outcome
from billing.charging import ChargingEngine
from billing.hold_order import AuthorizeOrder, SettleOrder
from billing.obstacles import Obstacles
from billing.orders import Order
from models.database import Database
from tests.charging_tree import Tree, another_process, charging_tree, codes
from tests.charging_world import ChargingWorld, Member, call, rate


@pytest.fixture
async def tree(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tree]:
    """Of more than two calls those that something is in the way of are kept back."""
    monkeypatch.setattr(call_store, "FEW_CALLS", 2)
    async with charging_tree(db) as tree:
        yield tree


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The ``callId``s that were taken one by one, batch after batch."""
    taken: list[list[str]] = []
    take = ChargingEngine._one_by_one

    async def noting(self: ChargingEngine, connection: Any, orders: Sequence[Order], *rest: Any) -> list[Any]:
        taken.append([order.call_id for order in orders])
        return await take(self, connection, orders, *rest)

    monkeypatch.setattr(ChargingEngine, "_one_by_one", noting)
    return taken


async def customers(tree: Tree, *credits: str) -> list[Member]:
    """Of the reseller, as keytyh is: a minute costs 0.11, the reseller 0.06."""
    ((list_id,),) = await tree.world.select(
        "SELECT rate_list_id FROM account_state WHERE account_id = :id", id=tree.keytyh.id
    )
    return [
        await tree.world.customer(f"c{number}", of=tree.good, credit=credit, rate_list_id=list_id)
        for number, credit in enumerate(credits)
    ]


async def test_only_calls_that_something_is_in_the_way_of_are_taken_one_by_one(
    tree: Tree, one_by_one: list[list[str]]
) -> None:
    poor, blocked, dear, known, held = await customers(tree, "0.25", "10", "10", "10", "10")
    await tree.world.booked(call(known, "k1"), call(dear, "d0"))
    await tree.world.batcher.submit([AuthorizeOrder("h1", held.path, "431234", None, None)])
    await tree.world.execute("UPDATE account_state SET blocked = true WHERE account_id = :id", id=blocked.id)
    new_list = await tree.world.rate_list(tree.good, "dear", "0", rate("43", "0.20"))
    async with tree.world.db.transaction() as tx:
        await select_rate_list(tx, account_id=dear.id, rate_list_id=new_list)
    one_by_one.clear()
    batch = [
        call(tree.keytyh, "a1"),
        call(poor, "p1"),
        call(blocked, "b1"),
        call(tree.good, "a2"),
        call(dear, "d1"),
        call(known, "k1"),
        call(poor, "p2"),
        call(tree.keytyh, "a3", number="999"),
        call(tree.keytyh, "a4"),
        call(poor, "p3"),
        call(known, "k1", duration_s=61),
        call(held, "h1"),
        call(tree.keytyh, "a4"),
    ]
    outcomes = await tree.world.charge(*batch)
    assert codes(outcomes) == [
        *("CHARGED", "CHARGED", "ACCOUNT_BLOCKED", "CHARGED", "CHARGED", "CHARGED", "CHARGED"),
        *("NO_RATE", "CHARGED", "INSUFFICIENT_CREDIT", "IDEMPOTENCY_CONFLICT", "CHARGED", "CHARGED"),
    ]
    assert [getattr(outcome, "duplicate", None) for outcome in outcomes] == [
        *(False, False, None, False, False, True, False, None, False, None, None, False, True)
    ]
    assert one_by_one == [["p1", "b1", "d1", "k1", "p2", "a3", "a4", "p3", "k1", "h1", "a4"]]
    assert await tree.world.balances(tree.keytyh, poor, blocked, dear, known, held) == [
        *("9.78000", "0.03000", "10.00000", "9.69000", "9.89000", "9.89000")
    ]
    assert await tree.world.select("SELECT count(*) FROM holds") == [(0,)]


async def test_credit_goes_to_the_first_that_asks_for_it(tree: Tree, one_by_one: list[list[str]]) -> None:
    poor, rich = await customers(tree, "0.30", "10")
    batch = [
        *(call(rich, "r1"), call(poor, "p1"), call(poor, "p2", duration_s=600), call(rich, "r2")),
        *(call(poor, "p3"), call(poor, "p4"), call(rich, "r3")),
    ]
    assert codes(await tree.world.charge(*batch)) == [
        *("CHARGED", "CHARGED", "INSUFFICIENT_CREDIT", "CHARGED", "CHARGED", "INSUFFICIENT_CREDIT", "CHARGED")
    ]
    assert one_by_one == [["p1", "p2", "p3", "p4"]]
    assert await tree.world.balances(poor, rich) == ["0.08000", "9.67000"]


async def test_where_the_reseller_cannot_pay_for_all_their_sequence_decides(
    tree: Tree, one_by_one: list[list[str]]
) -> None:
    await tree.world.credit(tree.good, "-99.85")
    poor, rich = await customers(tree, "0", "10")
    outcomes = await tree.world.charge(
        *(call(rich, "r1"), call(poor, "p1"), call(rich, "r2", duration_s=60), call(rich, "r3"), call(rich, "r4"))
    )
    assert codes(outcomes) == ["CHARGED", "INSUFFICIENT_CREDIT", "CHARGED", *["INSUFFICIENT_CREDIT"] * 2]
    assert one_by_one == [["r1", "p1", "r2", "r3", "r4"]]


async def test_a_carried_call_without_credit_is_overdrawn_beside_those_that_are_not(
    tree: Tree, one_by_one: list[list[str]]
) -> None:
    poor, rich = await customers(tree, "0.15", "10")
    orders = [call(rich, "r1"), call(poor, "p1"), call(poor, "p2"), call(rich, "r2", number="999"), call(rich, "r3")]
    outcomes = await tree.world.booked(*(order._replace(policy=ChargePolicy.ALWAYS_CHARGE) for order in orders))
    assert [(call.status, call.overdrawn) for call, _ in outcomes] == [
        *(("CHARGED", False), ("CHARGED", False), ("CHARGED", True), ("UNRATED", False), ("CHARGED", False))
    ]
    assert one_by_one == [["p1", "p2", "r2"]]


Meanwhile = Callable[[Tree], Awaitable[None]]


async def take_the_reseller_s_credit(tree: Tree) -> None:
    await tree.world.credit(tree.good, "-99.85")


async def give_keytyh_another_list(tree: Tree) -> None:
    await tree.world.execute("UPDATE account_state SET rate_list_id = 2 WHERE account_id = :id", id=tree.keytyh.id)


async def block_keytyh(tree: Tree) -> None:
    await tree.world.execute("UPDATE account_state SET blocked = true WHERE account_id = :id", id=tree.keytyh.id)


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        # 0.15 pays for two calls: the first two that may start, whatever was charged together before.
        (take_the_reseller_s_credit, ["INSUFFICIENT_CREDIT", "CHARGED", "CHARGED", "INSUFFICIENT_CREDIT"]),
        (give_keytyh_another_list, ["INSUFFICIENT_CREDIT", "CHARGED", "CHARGED", "CHARGED"]),
        (block_keytyh, ["INSUFFICIENT_CREDIT", "ACCOUNT_BLOCKED", "CHARGED", "ACCOUNT_BLOCKED"]),
    ],
)
async def test_what_gets_in_the_way_after_looking_is_seen(
    tree: Tree,
    one_by_one: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Meanwhile,
    expected: list[str],
) -> None:
    poor, rich = await customers(tree, "0", "10")
    look = charging._obstacles

    async def looked_and_then(*given: Any) -> Obstacles:
        obstacles = await look(*given)
        await meanwhile(tree)
        return obstacles

    monkeypatch.setattr(charging, "_obstacles", looked_and_then)
    orders: list[ChargeOrder] = [call(poor, "p1"), call(tree.keytyh, "k1"), call(rich, "r1"), call(tree.keytyh, "k2")]
    assert codes(await tree.world.charge(*orders)) == expected
    assert one_by_one == [["p1", "k1", "r1", "k2"]]


async def test_credit_that_what_is_kept_back_needs_is_not_spent_by_the_others_first(
    tree: Tree, one_by_one: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (rich,) = await customers(tree, "10")
    await tree.world.booked(call(rich, "known"))
    look = charging._obstacles

    async def looked_and_then(*given: Any) -> Obstacles:
        obstacles = await look(*given)
        # It pays for the two that are charged together, and not for the one that comes before them.
        await tree.world.credit(tree.good, "-99.82")
        await tree.world.execute("DELETE FROM call_keys WHERE call_id = 'known'")
        await tree.world.execute("INSERT INTO call_keys SELECT 'was', account_id, started_at, call_no FROM calls")
        await tree.world.execute("UPDATE calls SET call_id = 'was' WHERE call_id = 'known'")
        return obstacles

    monkeypatch.setattr(charging, "_obstacles", looked_and_then)
    outcomes = await tree.world.charge(call(rich, "known"), call(rich, "r1"), call(tree.keytyh, "k1"))
    assert codes(outcomes) == ["CHARGED", "CHARGED", "INSUFFICIENT_CREDIT"]
    assert one_by_one == [["known", "r1", "k1"]]


async def test_a_few_calls_are_taken_one_by_one(tree: Tree, one_by_one: list[list[str]]) -> None:
    outcomes = await tree.world.charge(call(tree.keytyh, "k1"), call(tree.keytyh, "k2", number="999"))
    assert codes(outcomes) == ["CHARGED", "NO_RATE"]
    assert one_by_one == [["k1", "k2"]]


async def test_calls_that_run_are_carried_out_behind_finished_ones(tree: Tree, one_by_one: list[list[str]]) -> None:
    poor, rich = await customers(tree, "0.15", "10")
    batch: list[Order] = [
        AuthorizeOrder("h1", poor.path, "431234", None, None),
        call(rich, "r1"),
        AuthorizeOrder("h2", rich.path, "431234", None, None),
        call(poor, "p1"),
        call(rich, "r2"),
        call(poor, "p2"),
        SettleOrder("h2", 60, None, tree.good.id),
    ]
    answers = await tree.world.batcher.submit(batch)
    assert [type(answer).__name__ for answer in answers] == [
        *("InsufficientCredit", "Booked", "Authorization", "Booked", "Booked", "InsufficientCredit", "Booked")
    ]
    assert [answer.call.call_id for answer in answers if isinstance(answer, Booked)] == ["r1", "p1", "r2", "h2"]
    assert one_by_one == [["p1", "p2", "h1", "h2", "h2"]]
    assert await tree.world.balances(poor, rich) == ["0.04000", "9.67000"]


async def test_two_processes_charge_each_call_once_and_nobody_overspends(tree: Tree, database_url: str) -> None:
    # A minute costs 0.11: these credits pay for 10, 30, 90 and more calls than there are.
    members = await customers(tree, "1.15", "3.30", "9.90", "1000")
    await tree.world.credit(tree.good, "900")
    chosen = Random(7)
    calls = [call(chosen.choice(members), f"c{number}") for number in range(800)]
    # Each is told to both, in another sequence and in other batches.
    told = [chosen.sample(calls, len(calls)) for _ in range(2)]
    async with another_process(database_url) as other:

        async def charge(world: ChargingWorld, orders: list[ChargeOrder]) -> list[Outcome]:
            batches = [orders[first : first + 40] for first in range(0, len(orders), 40)]
            answers = await asyncio.gather(*(world.charge(*batch) for batch in batches))
            return [outcome for answer in answers for outcome in answer]

        answers = await asyncio.gather(charge(tree.world, told[0]), charge(other, told[1]))
    booked = Counter(
        (outcome.call.account_id, outcome.duplicate)
        for answer in answers
        for outcome in answer
        if isinstance(outcome, Booked)
    )
    asked = Counter(order.path[-1] for order in calls)
    paid = [min(asked[member.id], most) for member, most in zip(members, (10, 30, 90, 800), strict=True)]
    assert [booked[member.id, False] for member in members] == paid
    # Refused by one, it may be charged by the other: who was charged is told as a duplicate by whoever came later.
    assert all(booked[member.id, True] <= count for member, count in zip(members, paid, strict=True))
    assert booked[members[3].id, True] == asked[members[3].id]
    ((count,),) = await tree.world.select("SELECT count(*) FROM calls")
    assert count == sum(paid)
