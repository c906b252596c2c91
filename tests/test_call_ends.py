"""How calls that run come to their end in one batch: settled, released, finished, or expired. Pure."""

from datetime import timedelta

import pytest

from billing.charge_order import ChargePolicy
from billing.hold_order import EndPending
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


def test_an_expired_hold_that_had_been_extended_is_got_back_whole() -> None:
    batch = a_batch()
    authorized(batch)
    extended(batch, 1)
    assert authorized(next_batch(batch, after_s=120)).held_s == 120


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
