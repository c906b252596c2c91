"""Which calls of a batch are kept back, by what is in the way."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.batch_rating import rated_together
from billing.charge_order import ChargeOrder, ChargePolicy
from billing.hold_order import SettleOrder
from billing.money import parse_rate
from billing.obstacles import Obstacles, Parted, part
from billing.orders import Order
from billing.pricing import Pricing
from billing.rating import Entry, Price, RateTable
from billing.standing import Standing

OPERATOR, GOOD, KEYTYH, ANNA, BEN = 1, 2, 3, 4, 5
PATHS = {KEYTYH: (OPERATOR, GOOD, KEYTYH), ANNA: (OPERATOR, ANNA), BEN: (OPERATOR, GOOD, BEN)}
# A unit a second on every level.
DECK = RateTable(0, {"43": [Entry(None, Price(parse_rate("0.0006"), 0, 1, 1, "43", None, False))]}, is_base=True)
SAME = RateTable(0, {})
PRICING = Pricing({OPERATOR: 0, GOOD: 1, KEYTYH: 1, ANNA: 1, BEN: 1}, {0: DECK, 1: SAME}, DECK)


def order(caller: int, call_id: str, number: str = "431", seconds: int = 1) -> ChargeOrder:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return ChargeOrder(call_id, PATHS[caller], number, None, now, seconds, ChargePolicy.CHECK_CREDIT)


ORDERS = [
    order(KEYTYH, "a"),
    order(ANNA, "b", seconds=10),
    order(KEYTYH, "c", "99"),
    order(BEN, "d", seconds=100),
    order(ANNA, "e"),
]


def parted(orders: Sequence[Order], account_ids: Iterable[int] = (), call_ids: Iterable[str] = ()) -> Parted:
    rated = rated_together([order for order in orders if isinstance(order, ChargeOrder)], PRICING)
    assert rated is not None
    return part(orders, rated, Obstacles(frozenset(account_ids), frozenset(call_ids)))


def ids(orders: Iterable[Order]) -> str:
    return "".join(order.call_id for order in orders)


@pytest.mark.parametrize(
    ("account_ids", "call_ids", "together", "kept_back", "reserved"),
    [
        ((), (), "abde", "c", {}),
        ((BEN,), (), "abe", "cd", {OPERATOR: 100, GOOD: 100}),
        ((GOOD,), (), "be", "acd", {OPERATOR: 101, KEYTYH: 1, BEN: 100}),
        ((), ("b",), "ade", "bc", {OPERATOR: 10, ANNA: 10}),
        ((KEYTYH,), ("e", "z"), "bd", "ace", {OPERATOR: 2, GOOD: 1, ANNA: 1}),
        ((OPERATOR,), (), "", "abcde", {GOOD: 101, KEYTYH: 1, ANNA: 11, BEN: 100}),
    ],
)
def test_who_shares_what_is_in_the_way_is_kept_back(
    account_ids: tuple[int, ...], call_ids: tuple[str, ...], together: str, kept_back: str, reserved: dict[int, int]
) -> None:
    found = parted(ORDERS, account_ids, call_ids)
    assert (ids(found.together.orders), ids(found.kept_back)) == (together, kept_back)
    assert [ORDERS[position] for position in found.positions] == found.kept_back
    assert found.reserved == reserved


def test_each_of_those_with_the_same_call_id_is_kept_back() -> None:
    found = parted([*ORDERS, order(BEN, "a")])
    assert (ids(found.together.orders), ids(found.kept_back)) == ("bde", "aca")


def test_orders_of_calls_that_run_are_kept_back_to_the_end() -> None:
    ends = [SettleOrder(call_id, 1, None, OPERATOR) for call_id in "xbz"]
    orders = [ends[0], *ORDERS[:2], ends[1], *ORDERS[2:], ends[2]]
    found = parted(orders, {BEN})
    # The end of b is of the same call as one of the finished ones.
    assert (ids(found.together.orders), ids(found.kept_back)) == ("ae", "bcdxbz")
    assert [orders[position] for position in found.positions] == found.kept_back


def test_a_batch_that_nothing_is_in_the_way_of_stays_together() -> None:
    found = parted([order(KEYTYH, "a"), order(ANNA, "b")])
    assert (ids(found.together.orders), found.kept_back, found.positions, found.reserved) == ("ab", [], [], {})


@given(
    st.lists(st.builds(order, st.sampled_from([*PATHS]), st.sampled_from("abcdefgh"), st.sampled_from(["431", "99"]))),
    st.frozensets(st.sampled_from([OPERATOR, GOOD, *PATHS])),
    st.frozensets(st.sampled_from("abc")),
)
def test_the_two_parts_share_nothing_that_is_in_the_way(
    orders: list[ChargeOrder], account_ids: frozenset[int], call_ids: frozenset[str]
) -> None:
    orders = [order(ANNA, "z"), *orders]
    found = parted(orders, account_ids, call_ids)
    together = found.together.orders
    assert sorted([*found.together.positions.tolist(), *found.positions]) == list(range(len(orders)))
    assert [orders[position] for position in found.together.positions.tolist()] == list(together)
    assert {order.call_id for order in together}.isdisjoint(call_ids | {order.call_id for order in found.kept_back})
    assert {account_id for order in together for account_id in order.path}.isdisjoint(account_ids)
    assert {order.number for order in together} <= {"431"}


@pytest.mark.parametrize(
    ("changed", "as_thought"),
    [
        ({}, True),
        ({"selections": {GOOD: 0}}, False),
        # What is in the way anyhow may change.
        ({"selections": {BEN: 0}}, True),
        ({"available": {GOOD: 100}}, True),
        ({"available": {GOOD: 99}}, False),
        ({"available": {BEN: -1}}, True),
        # Blocking is looked at when they are taken one by one.
        ({"blocked": {GOOD}}, True),
    ],
)
def test_behind_the_lock_no_more_may_be_in_the_way(changed: dict[str, dict[int, int]], as_thought: bool) -> None:
    found = parted(ORDERS, {BEN})
    selections = {account_id: PRICING.selections[account_id] for account_id in (OPERATOR, GOOD, BEN, KEYTYH)}
    available: dict[int, int | None] = {OPERATOR: None, GOOD: 500, BEN: 3, KEYTYH: 0, **changed.get("available", {})}
    standing = {id_: Standing(id_ in changed.get("blocked", ()), units) for id_, units in available.items()}
    selections |= changed.get("selections", {})
    assert found.is_as_thought(PRICING.selections, selections, standing) is as_thought
