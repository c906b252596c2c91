"""Which rows new rates add to a list, worked out without a database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import InvalidRate
from billing.rate_changes import NewRate, RateRow, check_rates, rows_to_write
from billing.rating import Entry, Price, RateTable

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def price(per_minute_e8: int, prefix: str = "43", *, blocked: bool = False) -> Price:
    return Price(per_minute_e8, 0, 1, 1, prefix, None, blocked)


def test_the_first_rate_of_a_prefix_holds_since_ever() -> None:
    assert rows_to_write({}, [NewRate(price(5))], replace=False, now=NOW) == [RateRow("43", Entry(None, price(5)))]


def test_a_change_holds_from_now_and_leaves_the_past_as_it_was() -> None:
    existing = {"43": [Entry(None, price(5))]}
    assert rows_to_write(existing, [NewRate(price(6))], replace=False, now=NOW) == [RateRow("43", Entry(NOW, price(6)))]


def test_a_rate_that_holds_already_adds_nothing() -> None:
    existing = {"43": [Entry(NOW - DAY, price(6)), Entry(None, price(5))]}
    assert rows_to_write(existing, [NewRate(price(6))], replace=False, now=NOW) == []
    assert rows_to_write(existing, [NewRate(price(6), NOW + DAY)], replace=False, now=NOW) == []


def test_a_planned_rate_holds_from_its_instant() -> None:
    existing = {"43": [Entry(None, price(5))]}
    new = [NewRate(price(6), NOW + DAY)]
    assert rows_to_write(existing, new, replace=False, now=NOW) == [RateRow("43", Entry(NOW + DAY, price(6)))]


def test_a_first_rate_that_is_only_planned_does_not_hold_before() -> None:
    new = [NewRate(price(6), NOW + DAY)]
    assert rows_to_write({}, new, replace=False, now=NOW) == [RateRow("43", Entry(NOW + DAY, price(6)))]


def test_a_rate_set_before_its_planned_change_holds_until_then() -> None:
    existing = {"43": [Entry(NOW + DAY, price(6))]}
    assert rows_to_write(existing, [NewRate(price(5))], replace=False, now=NOW) == [
        RateRow("43", Entry(None, price(5)))
    ]


def test_a_rate_with_an_instant_of_an_existing_row_mends_that_row() -> None:
    existing = {"43": [Entry(NOW - DAY, price(6)), Entry(None, price(5))]}
    new = [NewRate(price(7), NOW - DAY)]
    assert rows_to_write(existing, new, replace=False, now=NOW) == [RateRow("43", Entry(NOW - DAY, price(7)))]


def test_a_prefix_may_have_a_rate_now_and_a_planned_one_in_the_same_set() -> None:
    new = [NewRate(price(6), NOW + DAY), NewRate(price(5))]
    assert rows_to_write({}, new, replace=False, now=NOW) == [
        RateRow("43", Entry(None, price(5))),
        RateRow("43", Entry(NOW + DAY, price(6))),
    ]


def test_replacing_withdraws_what_is_left_out_and_what_was_planned_for_it() -> None:
    existing = {
        "43": [Entry(None, price(5))],
        "44": [Entry(NOW + DAY, price(9, "44")), Entry(None, price(8, "44"))],
        "45": [Entry(NOW - DAY, None), Entry(None, price(8, "45"))],
    }
    assert rows_to_write(existing, [NewRate(price(5))], replace=True, now=NOW) == [
        RateRow("44", Entry(NOW + DAY, None)),
        RateRow("44", Entry(NOW, None)),
    ]


def test_replacing_drops_what_was_planned_for_a_prefix_that_stays() -> None:
    existing = {"43": [Entry(NOW + DAY, price(9)), Entry(None, price(5))]}
    assert rows_to_write(existing, [NewRate(price(5))], replace=True, now=NOW) == [
        RateRow("43", Entry(NOW + DAY, price(5)))
    ]


def test_a_planned_rate_of_the_new_set_holds_though_the_same_was_planned_for_an_earlier_time() -> None:
    existing = {"43": [Entry(NOW + DAY, price(6))]}
    new = [NewRate(price(5)), NewRate(price(6), NOW + 2 * DAY)]
    assert set(rows_to_write(existing, new, replace=True, now=NOW)) == {
        RateRow("43", Entry(None, price(5))),
        RateRow("43", Entry(NOW + DAY, price(5))),
        RateRow("43", Entry(NOW + 2 * DAY, price(6))),
    }


def test_a_withdrawn_prefix_that_comes_back_holds_from_now() -> None:
    existing = {"43": [Entry(NOW - DAY, None), Entry(None, price(5))]}
    assert rows_to_write(existing, [NewRate(price(5))], replace=False, now=NOW) == [RateRow("43", Entry(NOW, price(5)))]


@pytest.mark.parametrize(
    ("rate", "field", "message"),
    [
        (NewRate(price(1, "*1003")), "prefix", "a prefix is 1 to 15 digits, not '\\*1003'"),
        (NewRate(price(1, "")), "prefix", "a prefix is 1 to 15 digits, not ''"),
        (NewRate(price(1, "1" * 16)), "prefix", "a prefix is 1 to 15 digits"),
        (NewRate(price(1, "٤٣")), "prefix", "a prefix is 1 to 15 digits"),
        (NewRate(price(-1)), "pricePerMinute", "price per minute is 0 to 1000000"),
        (NewRate(price(10**14 + 1)), "pricePerMinute", "price per minute is 0 to 1000000"),
        (NewRate(price(1)._replace(connection_fee_e8=-1)), "connectionFee", "connection fee is 0 to 1000000"),
        (NewRate(price(1)._replace(first_increment_s=0)), "firstIncrementSeconds", "1 to 86400 seconds, not 0"),
        (NewRate(price(1)._replace(next_increment_s=86_401)), "nextIncrementSeconds", "not 86401"),
        (NewRate(price(1)._replace(destination="a\0b")), "destination", "printable"),
        (NewRate(price(1)._replace(destination="")), "destination", "1 to 200"),
        (NewRate(price(1), datetime(1969, 1, 1, tzinfo=UTC)), "effectiveFrom", "between 1970 and 2200"),
    ],
)
def test_a_rate_that_cannot_be_is_refused_with_its_place(rate: NewRate, field: str, message: str) -> None:
    with pytest.raises(InvalidRate, match=message) as refused:
        check_rates([NewRate(price(1, "44")), rate])
    assert refused.value.path == ("rates", "1", field)
    assert refused.value.message.startswith("Rate 2: ")


def test_a_prefix_given_twice_is_refused_naming_both_places() -> None:
    with pytest.raises(InvalidRate, match=r"^Rates 1 and 3 are for the same prefix 43\.$") as refused:
        check_rates([NewRate(price(1)), NewRate(price(1, "44")), NewRate(price(1))])
    assert refused.value.path == ("rates", "2", "prefix")


instants = st.one_of(st.none(), st.integers(-5, 5).map(lambda days: NOW + days * DAY + timedelta(hours=1)))
some_prices = st.integers(1, 3)


@st.composite
def histories(draw: st.DrawFn) -> dict[str, list[Entry]]:
    history = {}
    for prefix in draw(st.lists(st.sampled_from(["4", "43", "44"]), unique=True)):
        entries = [
            Entry(start, draw(st.one_of(st.none(), some_prices.map(lambda e8, p=prefix: price(e8, p)))))  # type: ignore[misc]
            for start in draw(st.lists(instants, unique=True, min_size=1, max_size=4))
        ]
        history[prefix] = newest_first(entries)
    return history


@st.composite
def new_rates(draw: st.DrawFn) -> list[NewRate]:
    places = draw(st.lists(st.tuples(st.sampled_from(["4", "43", "44"]), instants), unique=True, max_size=4))
    return [NewRate(price(draw(some_prices), prefix), start) for prefix, start in places]


def newest_first(entries: list[Entry]) -> list[Entry]:
    ever = datetime.min.replace(tzinfo=UTC)
    return sorted(entries, key=lambda entry: entry.effective_from or ever, reverse=True)


def written(existing: dict[str, list[Entry]], rows: list[RateRow]) -> dict[str, list[Entry]]:
    after = {prefix: {entry.effective_from: entry for entry in entries} for prefix, entries in existing.items()}
    for prefix, entry in rows:
        after.setdefault(prefix, {})[entry.effective_from] = entry
    return {prefix: newest_first(list(entries.values())) for prefix, entries in after.items()}


def own_price(history: dict[str, list[Entry]], prefix: str, at: datetime) -> Price | None:
    return RateTable(0, {prefix: history.get(prefix, [])}).match(prefix, at)


@given(histories(), new_rates(), st.booleans())
def test_the_same_set_again_changes_nothing(
    existing: dict[str, list[Entry]], new: list[NewRate], replace: bool
) -> None:
    after = written(existing, rows_to_write(existing, new, replace=replace, now=NOW))
    assert rows_to_write(after, new, replace=replace, now=NOW + timedelta(minutes=1)) == []


@given(histories(), new_rates(), st.booleans(), st.integers(-6, 6))
def test_each_new_rate_holds_from_its_instant_and_the_past_of_the_others_stays(
    existing: dict[str, list[Entry]], new: list[NewRate], replace: bool, days: int
) -> None:
    after = written(existing, rows_to_write(existing, new, replace=replace, now=NOW))
    for rate in new:
        at = rate.effective_from or NOW
        assert own_price(after, rate.price.prefix, at) == rate.price
    at = NOW + days * DAY
    for prefix in {"4", "43", "44"} - {rate.price.prefix for rate in new}:
        if replace and at >= NOW:
            assert own_price(after, prefix, at) is None
        else:
            assert own_price(after, prefix, at) == own_price(existing, prefix, at)
