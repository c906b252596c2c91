"""What one batch of orders holds, and what a repeat answers. How calls end is in test_call_ends.py. Pure."""

from datetime import timedelta

import pytest

from billing.hold_order import HoldRules
from billing.rating import Price
from tests.call_batches import (
    GOOD,
    KEYTYH,
    NOON,
    a_batch,
    authorization,
    authorized,
    available,
    booked,
    end,
    extended,
    extension,
    held,
    next_batch,
    price,
    refused,
)

# -- The first slice -------------------------------------------------------------------------------------------------


def test_a_first_slice_is_held_on_every_level_at_its_own_price() -> None:
    batch = a_batch(prices=(price("0.03"), price("0.06"), price("0.10")))
    answer = authorized(batch)
    assert (answer.held_s, answer.max_duration_s, answer.price_per_minute_e8) == (60, 6000, 10_000_000)
    assert held(batch) == {"c-1": ["0.03000", "0.06000", "0.10000"]}
    assert available(batch) == ["99.94000", "9.90000"]


def test_the_longest_call_is_what_the_poorest_level_can_pay() -> None:
    answer = authorized(a_batch(good="2", keytyh="10", prices=(price("0.5"), price("0.8"), price("1"))))
    assert (answer.max_duration_s, answer.held_s) == (150, 60)


# From other engines; the arithmetic alone is in test_rating_vectors.py, where those left out are listed too.
@pytest.mark.parametrize(
    ("credit", "customer_price", "cap_s", "longest_s"),
    [
        pytest.param("10000", price("60", "1"), 10_800, 9_999, id="CGRateS: the fee of 1 is kept back"),
        pytest.param("1.00", price("0.10", "0.02", 30, 6), 7_200, 588, id="Yeti 30/6: whole increments only"),
        pytest.param("0.07", price("0.10", "0.02", 30, 6), 7_200, 30, id="Yeti: exactly fee and first increment"),
        pytest.param("100", price("0.01"), 7_200, 7_200, id="Yeti: the cap"),
    ],
)
def test_an_authorisation_answers_the_longest_duration_that_the_source_says(
    credit: str, customer_price: Price, cap_s: int, longest_s: int
) -> None:
    rules = HoldRules(call_duration_max_s=cap_s)
    batch = a_batch(good="20000", keytyh=credit, prices=(price("1"), price("1"), customer_price), rules=rules)
    assert authorized(batch).max_duration_s == longest_s


def test_a_free_call_may_last_as_long_as_any() -> None:
    batch = a_batch(keytyh="0", prices=(price("1"), price("1"), price("0")))
    assert authorized(batch).max_duration_s == 100 * 60
    batch = a_batch(good="0", keytyh="0", prices=(price("0"),) * 3, rules=HoldRules(call_duration_max_s=7200))
    assert authorized(batch).max_duration_s == 7200


def test_the_operator_can_always_pay() -> None:
    assert authorized(a_batch(prices=(price("1000000"), price("1"), price("1")))).max_duration_s == 600


def test_a_first_slice_is_no_shorter_than_the_first_increment() -> None:
    batch = a_batch(prices=(price("1"), price("1", "0.5", 90, 30), price("1")))
    assert authorized(batch).held_s == 90
    assert held(batch) == {"c-1": ["1.50000", "2.00000", "1.50000"]}


def test_a_call_is_refused_when_fee_and_first_increment_are_not_covered() -> None:
    batch = a_batch(keytyh="0.06999", prices=(price("0.1"), price("0.1"), price("0.10", "0.02", 30, 6)))
    assert refused(batch.authorize(authorization())) == ("INSUFFICIENT_CREDIT", KEYTYH)
    assert (batch.holds, available(batch)) == ({}, ["100.00000", "0.06999"])
    batch.standing[KEYTYH].available_units = 7000
    assert authorized(batch).max_duration_s == 30


def test_the_level_in_the_way_is_named_and_nothing_is_held_of_the_others() -> None:
    batch = a_batch(good="0.00001")
    assert refused(batch.authorize(authorization())) == ("INSUFFICIENT_CREDIT", GOOD)
    assert (batch.holds, batch.held_changes, available(batch)) == ({}, {}, ["0.00001", "10.00000"])


def test_whoever_is_blocked_or_has_no_rate_on_the_path_keeps_the_call_from_starting() -> None:
    batch = a_batch()
    batch.standing[GOOD].blocked = True
    assert refused(batch.authorize(authorization())) == ("ACCOUNT_BLOCKED", GOOD)
    batch = a_batch(prices=(price("1"), None, price("1")))
    assert refused(batch.authorize(authorization())) == ("NO_RATE", GOOD)
    assert (batch.holds, batch.held_changes) == ({}, {})


def test_four_calls_in_slices_of_three_minutes_get_3_3_3_and_1_and_the_fifth_is_refused() -> None:
    batch = a_batch(keytyh="10", rules=HoldRules(slice_s=180, ttl_s=360))
    assert [authorized(batch, f"c-{number}").held_s for number in range(4)] == [180, 180, 180, 60]
    assert available(batch) == ["90.00000", "0.00000"]
    assert refused(batch.authorize(authorization("c-4"))) == ("INSUFFICIENT_CREDIT", KEYTYH)


def test_thirty_calls_at_once_on_a_credit_of_1_are_one_call() -> None:
    batch = a_batch(keytyh="1")
    answers = [batch.authorize(authorization(f"c-{number}")) for number in range(30)]
    assert [refused(answer) for answer in answers[1:]] == [("INSUFFICIENT_CREDIT", KEYTYH)] * 29
    assert (list(batch.holds), available(batch)) == (["c-0"], ["99.00000", "0.00000"])


def test_it_is_asked_again_when_a_quarter_of_the_slice_is_left_and_never_for_nothing() -> None:
    answer = authorized(a_batch())
    assert (answer.ask_again_at, answer.held_until) == (NOON + timedelta(seconds=45), NOON + timedelta(seconds=120))
    assert authorized(a_batch(keytyh="1")).ask_again_at is None


# -- Repeats ---------------------------------------------------------------------------------------------------------


def test_the_same_authorisation_again_changes_nothing_and_answers_the_same() -> None:
    batch = a_batch()
    first = authorized(batch)
    later = next_batch(batch, after_s=10)
    assert authorized(later) == first._replace(duplicate=True)
    assert (later.touched, later.held_changes) == (set(), {})


def test_another_number_or_start_under_the_same_call_id_is_refused() -> None:
    batch = a_batch()
    authorized(batch, at=NOON)
    assert refused(batch.authorize(authorization(number="431235"))) == ("IDEMPOTENCY_CONFLICT", None)
    assert refused(batch.authorize(authorization(at=NOON + timedelta(seconds=1)))) == ("IDEMPOTENCY_CONFLICT", None)
    assert held(batch) == {"c-1": ["1.00000"] * 3}


def test_the_same_extension_again_changes_nothing_and_a_missing_one_is_no_matter() -> None:
    batch = a_batch()
    authorized(batch)
    assert extended(batch, 2).held_s == 120
    for sequence in (1, 2):
        again = extended(batch, sequence)
        assert (again.held_s, again.duplicate) == (120, True)
    assert held(batch) == {"c-1": ["2.00000"] * 3}


def test_an_end_again_answers_the_call_and_another_end_is_refused() -> None:
    batch = a_batch()
    authorized(batch)
    first = booked(batch.settle(end(90)))
    assert booked(batch.settle(end(90))) == first._replace(duplicate=True)
    assert booked(batch.settle(end(90, started_at=NOON))).duplicate
    assert refused(batch.settle(end(91))) == ("IDEMPOTENCY_CONFLICT", None)
    assert refused(batch.settle(end(90, started_at=NOON + timedelta(seconds=1)))) == ("IDEMPOTENCY_CONFLICT", None)
    assert refused(batch.settle(end(0, released=True))) == ("IDEMPOTENCY_CONFLICT", None)
    assert available(batch) == ["98.50000", "8.50000"]


# -- Going on --------------------------------------------------------------------------------------------------------


def test_each_extension_holds_another_slice_until_the_credit_ends() -> None:
    batch = a_batch(keytyh="2.5")
    authorized(batch)
    assert [extended(batch, sequence).held_s for sequence in (1, 2)] == [120, 150]
    assert refused(batch.extend(extension(3))) == ("INSUFFICIENT_CREDIT", KEYTYH)
    assert (held(batch), available(batch)) == ({"c-1": ["2.50000"] * 3}, ["97.50000", "0.00000"])


def test_no_call_is_extended_beyond_the_longest_that_is_allowed() -> None:
    batch = a_batch(rules=HoldRules(call_duration_max_s=100))
    authorized(batch)
    assert extended(batch, 1).held_s == 100
    assert refused(batch.extend(extension(2))) == ("LIMIT_REACHED", None)


def test_a_slice_begins_no_earlier_than_what_has_been_talked() -> None:
    batch = a_batch()
    authorized(batch)
    assert extended(batch, 1, talked_s=100).held_s == 160


def test_a_running_call_goes_on_when_somebody_is_blocked() -> None:
    batch = a_batch()
    authorized(batch)
    batch.standing[GOOD].blocked = True
    assert extended(batch, 1).held_s == 120
    assert booked(batch.settle(end(120))).call.charged_units == 200_000


def test_what_a_call_holds_itself_does_not_stand_in_its_way() -> None:
    batch = a_batch(keytyh="2")
    authorized(batch)
    assert available(batch) == ["99.00000", "1.00000"]
    assert extended(batch, 1).held_s == 120
