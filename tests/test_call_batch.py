"""One batch of orders in memory: what is held and charged, whatever the orders' sequence. Pure."""

from datetime import timedelta

import pytest

from billing.charge_order import ChargePolicy
from billing.hold_order import EndPending, HoldRules
from tests.call_batches import (
    GOOD,
    KEYTYH,
    NOON,
    STRANGER,
    a_batch,
    authorization,
    authorized,
    available,
    booked,
    end,
    extended,
    extension,
    finished,
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


# -- The end ---------------------------------------------------------------------------------------------------------


def test_settling_frees_the_hold_and_charges_the_talked_time_below_zero_if_need_be() -> None:
    batch = a_batch(keytyh="1")
    authorized(batch)
    assert booked(batch.settle(end(150))).call.overdrawn is True
    assert (held(batch), available(batch), dict(batch.held_changes)) == (
        {},
        ["97.50000", "-1.50000"],
        {1: 0, GOOD: 0, KEYTYH: 0},
    )


def test_what_a_call_held_itself_pays_for_it() -> None:
    batch = a_batch(keytyh="1")
    authorized(batch)
    assert booked(batch.settle(end(60))).call.overdrawn is False
    assert available(batch) == ["99.00000", "0.00000"]


def test_a_finished_call_settles_its_hold_whatever_the_policy_says() -> None:
    batch = a_batch(keytyh="1")
    authorized(batch)
    batch.standing[KEYTYH].blocked = True
    assert booked(batch.charge(finished(90))).call.charged_units == 150_000
    assert (held(batch), available(batch)) == ({}, ["98.50000", "-0.50000"])


def test_a_call_ends_once_and_for_all() -> None:
    batch = a_batch()
    authorized(batch)
    batch.settle(end(60))
    assert refused(batch.authorize(authorization())) == ("CALL_ENDED", None)
    assert refused(batch.extend(extension(1))) == ("CALL_ENDED", None)
    assert refused(batch.charge(finished(61))) == ("IDEMPOTENCY_CONFLICT", None)
    assert booked(batch.charge(finished(60))).duplicate
    assert (len(batch.new_calls), held(batch), available(batch)) == (1, {}, ["99.00000", "9.00000"])


def test_an_end_before_its_authorisation_is_charged_when_that_arrives() -> None:
    batch = a_batch()
    assert batch.settle(end(90)) == EndPending("c-1")
    assert refused(batch.extend(extension(1))) == ("NOT_FOUND", None)
    late = next_batch(batch)
    answer = authorized(late)
    assert (answer.held_s, answer.max_duration_s, answer.ask_again_at) == (0, 0, None)
    assert (late.holds, late.early_ends, available(late)) == ({}, {}, ["98.50000", "8.50000"])
    assert booked(late.settle(end(90))).duplicate


def test_an_early_end_is_charged_even_where_the_call_could_not_have_started() -> None:
    batch = a_batch(good="0")
    batch.settle(end(60))
    batch.standing[KEYTYH].blocked = True
    authorized(batch)
    assert available(batch) == ["-1.00000", "9.00000"]


def test_an_early_release_charges_nothing() -> None:
    batch = a_batch()
    assert batch.settle(end(0, released=True)) == EndPending("c-1")
    authorized(batch)
    ((call, _),) = batch.new_calls
    assert (call.status, call.duration_s, call.charged_units) == ("RELEASED", 0, 0)
    assert available(batch) == ["100.00000", "10.00000"]


def test_whoever_is_not_on_the_path_neither_extends_nor_ends_a_call() -> None:
    batch = a_batch()
    authorized(batch)
    assert refused(batch.extend(extension(1, by=STRANGER))) == ("NOT_FOUND", None)
    assert refused(batch.settle(end(60, by=STRANGER))) == ("NOT_FOUND", None)
    assert (held(batch), batch.early_ends) == ({"c-1": ["1.00000"] * 3}, {})


# -- Expiry ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after_s", "left"), [(119, "9.00000"), (120, "10.00000")])
def test_a_hold_frees_itself_at_its_time(after_s: int, left: str) -> None:
    batch = a_batch()
    authorized(batch)
    assert available(next_batch(batch, after_s=after_s))[1] == left


def test_a_settle_after_the_expiry_is_still_charged() -> None:
    batch = a_batch()
    authorized(batch)
    late = next_batch(batch, after_s=7200)
    assert booked(late.settle(end(90))).call.started_at == NOON
    assert (late.holds, available(late)) == ({}, ["98.50000", "8.50000"])


def test_an_extension_keeps_a_hold_from_expiring() -> None:
    batch = a_batch()
    authorized(batch)
    batch = next_batch(batch, after_s=100)
    batch.extend(extension(1))
    assert held(next_batch(batch, after_s=119)) == {"c-1": ["2.00000"] * 3}


def test_an_expired_hold_is_got_back_by_asking_again_if_the_credit_is_still_there() -> None:
    batch = a_batch(keytyh="1")
    authorized(batch)
    late = next_batch(batch, after_s=120)
    late.standing[KEYTYH].available_units = 0
    assert refused(late.authorize(authorization())) == ("INSUFFICIENT_CREDIT", KEYTYH)
    late.standing[KEYTYH].available_units = 100_000
    answer = authorized(late)
    assert (answer.held_s, answer.held_until, answer.duplicate) == (60, late.now + timedelta(seconds=120), False)


def test_a_repeated_extension_of_an_expired_hold_gets_back_what_it_had() -> None:
    batch = a_batch()
    authorized(batch)
    batch.extend(extension(1))
    late = next_batch(batch, after_s=120)
    assert extended(late, 1).held_s == 120
    assert extended(late, 2).held_s == 180


def test_a_hold_that_is_got_back_keeps_the_prices_of_the_start_of_its_call() -> None:
    batch = a_batch()
    authorized(batch)
    late = next_batch(batch, after_s=120)
    late.prices_of = lambda path, number, at: [price("1" if at == NOON else "5")] * 3
    authorized(late)
    assert held(late) == {"c-1": ["1.00000"] * 3}


def test_a_call_without_a_price_is_kept_unrated_and_frees_its_hold() -> None:
    batch = a_batch()
    authorized(batch)
    batch.prices_of = lambda path, number, at: [price("1"), None, price("1")]
    call = booked(batch.settle(end(60))).call
    assert (call.status, call.charged_units) == ("UNRATED", 0)
    assert (held(batch), available(batch)) == ({}, ["100.00000", "10.00000"])
    assert refused(batch.charge(finished(60, "c-2"))) == ("NO_RATE", GOOD)
    unrated = batch.charge(finished(60, "c-2", policy=ChargePolicy.ALWAYS_CHARGE))
    assert booked(unrated).call.status == "UNRATED"
