"""Rating, against properties that hold for every input and against a second, naive way to work it out."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.money import (
    HUNDRED_PERCENT_E4,
    MONEY_UNITS_MAX,
    PERCENT_E4_MIN,
    RATE_E8_MAX,
    divide_half_up,
    format_money,
    format_percent,
    format_rate,
    parse_money,
    parse_percent,
    parse_rate,
)
from billing.phone_number import parse_number
from billing.rating import Entry, Price, RateTable, billed_seconds, charge, charge_units, max_duration_s, price_path

START = datetime(2026, 1, 1, tzinfo=UTC)

durations = st.integers(0, 7 * 24 * 3600)
increments = st.integers(1, 3600)
e8_values = st.one_of(st.integers(0, 10**9), st.integers(0, RATE_E8_MAX))
instants = st.integers(-3, 3).map(lambda days: START + timedelta(days=days))
# Few digits, so that prefixes do match numbers and each other.
prefixes = st.text("12", min_size=1, max_size=4)
numbers = st.text("12", min_size=1, max_size=6)


@st.composite
def prices(draw: st.DrawFn, prefix: st.SearchStrategy[str] = prefixes) -> Price:
    return Price(
        price_per_minute_e8=draw(e8_values),
        connection_fee_e8=draw(e8_values),
        first_increment_s=draw(increments),
        next_increment_s=draw(increments),
        prefix=draw(prefix),
        destination=draw(st.sampled_from([None, "Austria", "Austria mobile"])),
        blocked=draw(st.booleans()),
    )


@st.composite
def tables(draw: st.DrawFn) -> RateTable:
    entries = {}
    for prefix in draw(st.lists(prefixes, max_size=6, unique=True)):
        starts = draw(st.lists(st.one_of(st.none(), instants), min_size=1, max_size=3, unique=True))
        newest_first = sorted(starts, key=lambda start: start or datetime.min.replace(tzinfo=UTC), reverse=True)
        own = st.one_of(st.none(), prices(st.just(prefix)))
        entries[prefix] = [Entry(start, draw(own)) for start in newest_first]
    return RateTable(draw(st.integers(-10 * HUNDRED_PERCENT_E4, HUNDRED_PERCENT_E4)), entries)


@given(durations, increments, increments)
def test_billed_seconds_cover_the_talked_ones_by_less_than_one_increment(
    duration_s: int, first_s: int, next_s: int
) -> None:
    billed_s = billed_seconds(duration_s, first_s, next_s)
    assert billed_s >= duration_s
    if duration_s > first_s:
        assert billed_s - duration_s < next_s
        assert (billed_s - first_s) % next_s == 0
    else:
        assert billed_s == (first_s if duration_s else 0)


@given(prices(), durations, durations)
def test_a_longer_call_never_costs_less(price: Price, duration_s: int, more_s: int) -> None:
    assert charge(price, duration_s) <= charge(price, duration_s + more_s)


@given(prices(), durations, e8_values, e8_values)
def test_a_higher_price_or_fee_never_costs_less(price: Price, duration_s: int, more_e8: int, more_fee_e8: int) -> None:
    dearer = price._replace(
        price_per_minute_e8=price.price_per_minute_e8 + more_e8, connection_fee_e8=price.connection_fee_e8 + more_fee_e8
    )
    assert charge(price, duration_s)[1] <= charge(dearer, duration_s)[1]


@given(prices(), durations)
def test_the_charge_is_the_exact_cost_rounded_once_half_up(price: Price, duration_s: int) -> None:
    billed_s, units = charge(price, duration_s)
    exact = Decimal(price.connection_fee_e8) / 10**8 + Decimal(price.price_per_minute_e8) * billed_s / 60 / 10**8
    rounded = exact.quantize(Decimal("0.00001"), ROUND_HALF_UP)
    assert format_money(units) == str(rounded if duration_s else Decimal("0.00000"))


@given(prices(), st.integers(-(10**6), 10**15), st.integers(1, 14_400))
def test_the_longest_duration_is_covered_and_the_next_increment_is_not(
    price: Price, available_units: int, cap_s: int
) -> None:
    longest_s = max_duration_s(price, available_units, cap_s)
    assert 0 <= longest_s <= cap_s
    spendable = max(available_units, 0)
    if longest_s:
        assert charge(price, longest_s)[1] <= spendable
    if longest_s < cap_s:
        next_s = longest_s + price.next_increment_s if longest_s else price.first_increment_s
        assert charge_units(price, next_s) > spendable


@given(prices().map(lambda price: price._replace(price_per_minute_e8=0, connection_fee_e8=0)), st.integers(-(10**9), 0))
def test_a_free_destination_lasts_to_the_cap_whatever_the_balance(price: Price, available_units: int) -> None:
    assert max_duration_s(price, available_units, 14_400) == 14_400


@given(st.integers(-MONEY_UNITS_MAX, MONEY_UNITS_MAX))
def test_the_text_of_an_amount_reads_back(units: int) -> None:
    assert parse_money(format_money(units)) == units


@given(st.integers(0, RATE_E8_MAX))
def test_the_text_of_a_price_reads_back(e8: int) -> None:
    assert parse_rate(format_rate(e8)) == e8


@given(st.integers(PERCENT_E4_MIN, HUNDRED_PERCENT_E4))
def test_the_text_of_a_percentage_reads_back(e4: int) -> None:
    assert parse_percent(format_percent(e4)) == e4


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**12))
def test_dividing_half_up_is_the_nearest_whole_number(numerator: int, denominator: int) -> None:
    distance = abs(divide_half_up(numerator, denominator) - Fraction(numerator, denominator))
    assert distance <= Fraction(1, 2)
    assert divide_half_up(-numerator, denominator) == -divide_half_up(numerator, denominator)


# "00" is a way of writing "+", and "(0)" alone is a trunk zero, which is refused.
@given(st.text("0123456789", min_size=1, max_size=13).filter(lambda digits: digits != "0" and digits[:2] != "00"))
def test_a_number_is_the_same_however_it_is_written(digits: str) -> None:
    assert parse_number(digits) == parse_number(f"+{digits}") == parse_number(f"00{digits}") == digits
    assert parse_number(f"+({digits[:2]}) {digits[2:4]}-{digits[4:]}") == digits


def naive_own(table: RateTable, number: str, at: datetime) -> Price | None:
    """What a list itself says about a number: of each prefix the newest row that holds, of those the longest."""
    holding = []
    for prefix, versions in table.entries.items():
        if not number.startswith(prefix):
            continue
        rows = [row for row in versions if row.effective_from is None or row.effective_from <= at]
        rows.sort(key=lambda row: (row.effective_from is not None, row.effective_from or at))
        if rows and rows[-1].price is not None:
            holding.append(rows[-1].price)
    return max(holding, key=lambda price: len(price.prefix), default=None)


def naive_path(lists: list[RateTable], number: str, at: datetime) -> list[Price | None]:
    """Design §3 read aloud, with decimals instead of whole numbers."""
    path: list[Price | None] = []
    current = naive_own(lists[0], number, at)
    path.append(current)
    for table in lists[1:]:
        own = naive_own(table, number, at)
        if current is not None:
            keep = 1 - Decimal(table.discount_e4) / 1_000_000
            current = current._replace(
                price_per_minute_e8=int((current.price_per_minute_e8 * keep).quantize(Decimal(1), ROUND_HALF_UP)),
                connection_fee_e8=int((current.connection_fee_e8 * keep).quantize(Decimal(1), ROUND_HALF_UP)),
            )
        if own is not None and (current is None or len(own.prefix) >= len(current.prefix)):
            upper = current.destination if current else None
            current = own._replace(destination=own.destination or upper)
        path.append(current)
    return [
        None if p is None or p.blocked or max(p.price_per_minute_e8, p.connection_fee_e8) > RATE_E8_MAX else p
        for p in path
    ]


@given(st.lists(tables(), min_size=1, max_size=6), numbers, instants)
def test_the_price_of_each_level_is_what_the_naive_reading_gives(
    lists: list[RateTable], number: str, at: datetime
) -> None:
    assert price_path(lists[0], lists[1:], number, at) == naive_path(lists, number, at)
