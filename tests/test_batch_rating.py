"""A batch rated together, against the same calls rated one by one; and the rows that both come to."""

from datetime import UTC, datetime, timedelta
from struct import unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.batch_rating import booked_calls, rated_together
from billing.call_rows import CallRows, call_rows, rows_of_rated
from billing.charge_order import ChargeOrder, ChargePolicy
from billing.money import RATE_E8_MAX, parse_percent, parse_rate
from billing.pricing import Pricing
from billing.rated_order import booked_call, rated_at
from billing.rating import Entry, Price, RateTable

START = datetime(2026, 1, 1, tzinfo=UTC)
OPERATOR, GOOD, KEYTYH, ANNA = 1, 2, 3, 4
PATHS = [(OPERATOR,), (OPERATOR, GOOD), (OPERATOR, GOOD, KEYTYH), (OPERATOR, ANNA)]

usual_e8 = st.one_of(st.just(0), st.integers(0, 10**10))
prefixes = st.text("12", min_size=1, max_size=3)


@st.composite
def tables(draw: st.DrawFn, e8: st.SearchStrategy[int] = usual_e8, prefix_count: int = 3) -> RateTable:
    entries = {}
    for prefix in draw(st.lists(prefixes, max_size=prefix_count, unique=True)):
        increments = st.integers(1, 120)
        price = Price(
            draw(e8), draw(e8), draw(increments), draw(increments), prefix, "Austria", draw(st.integers(0, 9)) == 0
        )
        since = draw(st.sampled_from([None, START + timedelta(hours=12)]))
        entries[prefix] = [Entry(since, price)]
    return RateTable(draw(st.integers(parse_percent("-300"), parse_percent("100"))), entries)


@st.composite
def pricings(draw: st.DrawFn, e8: st.SearchStrategy[int] = usual_e8) -> Pricing:
    """A deck that has something for every number, and lists with and without prices of their own."""
    deck = draw(tables(e8))
    everywhere = {digit: [Entry(None, Price(draw(e8), draw(e8), 60, 6, digit, "Base", False))] for digit in "12"}
    base = RateTable(0, {**everywhere, **deck.entries}, is_base=True)
    lists = [base, *(draw(tables(e8, prefix_count=count)) for count in (0, 0, 3))]
    selections = {account_id: draw(st.integers(1, 3)) for account_id in (GOOD, KEYTYH, ANNA)}
    return Pricing({OPERATOR: 0, **selections}, dict(enumerate(lists)), base)


orders = st.lists(
    st.builds(
        ChargeOrder,
        st.uuids().map(str),
        st.sampled_from(PATHS),
        st.text("12", min_size=1, max_size=5),
        st.none(),
        st.integers(0, 40).map(lambda hours: START + timedelta(hours=hours)),
        st.one_of(st.just(0), st.integers(0, 7200)),
        st.just(ChargePolicy.CHECK_CREDIT),
    ),
    min_size=1,
    max_size=12,
)


def rows_together(given_orders: list[ChargeOrder], pricing: Pricing) -> CallRows | None:
    rated = rated_together(given_orders, pricing)
    if rated is None:
        return None
    return call_rows(booked_calls(rated, range(len(given_orders))), rated.levels)


def rows_one_by_one(given_orders: list[ChargeOrder], pricing: Pricing) -> CallRows | None:
    """Of those that have a price on every level; None if there are none."""
    rated = [rated_at(order, pricing.prices_of(order.path, order.number, order.started_at)) for order in given_orders]
    priced = [one for one in rated if one.unpriced_level is None]
    return rows_of_rated([(booked_call(one, number), one) for number, one in enumerate(priced)]) if priced else None


@given(orders, pricings())
def test_together_and_one_by_one_come_to_the_same_rows(given_orders: list[ChargeOrder], pricing: Pricing) -> None:
    assert rows_together(given_orders, pricing) == rows_one_by_one(given_orders, pricing)


@given(orders, pricings(st.one_of(usual_e8, st.integers(0, RATE_E8_MAX))))
def test_numbers_that_may_not_fit_are_left_to_the_other_way(given_orders: list[ChargeOrder], pricing: Pricing) -> None:
    rows = rows_together(given_orders, pricing)
    assert rows is None or rows == rows_one_by_one(given_orders, pricing)


def price(per_minute: str, fee: str = "0") -> Price:
    return Price(parse_rate(per_minute), parse_rate(fee), 1, 1, "43", "Austria", False)


def one_list(base: Price, **entries: Price) -> Pricing:
    """The operator's deck and a list of 10 % off for everybody."""
    deck = RateTable(0, {"43": [Entry(None, base)]}, is_base=True)
    tenth_off = RateTable(parse_percent("10"), {prefix: [Entry(None, own)] for prefix, own in entries.items()})
    return Pricing({OPERATOR: 0, GOOD: 1, KEYTYH: 1}, {0: deck, 1: tenth_off}, deck)


def order(number: str = "43664", duration_s: int = 60, **changes: object) -> ChargeOrder:
    made = ChargeOrder("c1", PATHS[2], number, None, START, duration_s, ChargePolicy.CHECK_CREDIT)
    return made._replace(**changes)  # type: ignore[arg-type]


def test_each_level_pays_its_own_price() -> None:
    rows = rows_together([order()], one_list(price("0.10", fee="0.05")))
    assert rows is not None
    assert rows.totals == {OPERATOR: 15000, GOOD: 13500, KEYTYH: 12150}
    assert (rows.calls[0].charged_units, rows.calls[0].prefix, rows.calls[0].destination) == (12150, "43", "Austria")


def test_a_number_without_rate_and_a_blocked_one_are_left_to_the_other_way() -> None:
    deck = one_list(price("0.10"))
    assert rated_numbers([order(), order("1555"), order("43")], deck) == (["43664", "43"], [0, 2])
    assert rated_together([order("1555")], deck) is None
    assert rated_together([order()], one_list(price("0.10")._replace(blocked=True))) is None
    blocked_below = price("0.10")._replace(prefix="43664", blocked=True)
    own = RateTable(0, {"43664": [Entry(None, blocked_below)]})
    with_own = deck._replace(tables={**deck.tables, 1: own})
    assert rated_numbers([order("1555"), order(), order("43")], with_own) == (["43"], [2])
    assert rated_together([order()], with_own) is None


def rated_numbers(given_orders: list[ChargeOrder], pricing: Pricing) -> tuple[list[str], list[int]]:
    """The numbers called that were rated, and where their orders were."""
    rated = rated_together(given_orders, pricing)
    assert rated is not None
    return [order.number for order in rated.orders], rated.positions.tolist()


def test_a_price_that_cannot_be_booked_is_left_to_the_other_way() -> None:
    pricing = one_list(price("0.10")._replace(price_per_minute_e8=RATE_E8_MAX))
    marked_up = RateTable(parse_percent("-1"), {})
    assert rated_together([order()], pricing._replace(tables={**pricing.tables, 1: marked_up})) is None


def test_sums_beyond_64_bits_are_never_wrapped() -> None:
    rated = rated_together([order(), order()], one_list(price("1")))
    assert rated is not None
    rated.levels.units[:] = 2**62
    with pytest.raises(OverflowError):
        call_rows(booked_calls(rated, [1, 2]), rated.levels)


def test_charges_are_rows_of_binary_copy_with_those_of_an_account_together() -> None:
    given_orders = [order(started_at=START + timedelta(hours=23)), order(started_at=START + timedelta(hours=25))]
    rows = rows_together(given_orders, one_list(price("0.10")))
    assert rows is not None
    assert (rows.charges[:19], rows.charges[-2:]) == (b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff")
    packed = [unpack(">hiqiqiqiqiqiqii", rows.charges[at : at + 82]) for at in range(19, len(rows.charges) - 2, 82)]
    days = (START - datetime(2000, 1, 1, tzinfo=UTC)).days
    started_us = [(days * 24 + hour) * 3600 * 10**6 for hour in (23, 25)]
    assert packed == [
        (7, 8, account_id, 8, started_us[call_no], 8, call_no, 8, KEYTYH, 8, units, 8, price_e8, 4, 60)
        for account_id, units, price_e8 in (
            (OPERATOR, 10000, 10_000_000),
            (GOOD, 9000, 9_000_000),
            (KEYTYH, 8100, 8_100_000),
        )
        for call_no in (0, 1)
    ]
    accounts, one_each, seconds, units_each = [OPERATOR, GOOD, KEYTYH], [1] * 3, [60] * 3, [10000, 9000, 8100]
    assert rows.usage.latest == (accounts, [days + 1] * 3, one_each, seconds, units_each)
    assert rows.usage.earlier == (accounts, [days] * 3, one_each, seconds, units_each)
    assert rows.totals == {OPERATOR: 20000, GOOD: 18000, KEYTYH: 16200}
    assert list(rows.totals) == [OPERATOR, GOOD, KEYTYH]


def test_a_call_without_price_has_charges_of_nothing_with_no_price() -> None:
    rated = rated_at(order("1555"), one_list(price("0.10")).prices_of(PATHS[2], "1555", START))
    rows = rows_of_rated([(booked_call(rated, 7), rated)])
    packed = [unpack(">hiqiqiqiqiqiii", rows.charges[at : at + 74]) for at in range(19, len(rows.charges) - 2, 74)]
    assert [(row[2], row[10], row[11:]) for row in packed] == [(account_id, 0, (-1, 4, 0)) for account_id in PATHS[2]]
    assert rows.totals == {OPERATOR: 0, GOOD: 0, KEYTYH: 0}
