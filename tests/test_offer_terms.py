"""What an offer comes to: exact, rounded once; a bonus whenever its threshold is reached; no way below a floor."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import InvalidOffer, PriceTooLow
from billing.money import NumberError, format_payment, parse_money, parse_payment
from billing.offer_terms import (
    Bonus,
    BonusBasis,
    Floor,
    OfferTerms,
    check_floors,
    check_terms,
    earned_units,
    to_pay_cents,
)

ONE, ADDED_UP = BonusBasis.ONE_PURCHASE, BonusBasis.PURCHASES_ADDED_UP
EUR = 100_000
NINETY_PER_TEN = OfferTerms("CNY", 9000, 10 * EUR)

amounts = st.integers(1, 10**13)
bonuses = st.builds(Bonus, amounts, amounts, st.sampled_from(BonusBasis))
terms = st.builds(
    OfferTerms, st.just("CNY"), st.integers(1, 10**8), amounts, st.integers(0, 10**10), st.none() | bonuses
)


@pytest.mark.parametrize(
    ("credit", "to_pay"),
    [
        ("10", "90.00"),
        ("25", "225.00"),
        ("0.01", "0.09"),
        ("0.00055", "0.00"),
        ("0.00056", "0.01"),
        ("33.33333", "300.00"),
        ("33.33388", "300.00"),
        ("33.33389", "300.01"),
    ],
)
def test_what_is_to_pay_is_exact_and_rounded_once_half_up(credit: str, to_pay: str) -> None:
    assert format_payment(to_pay_cents(NINETY_PER_TEN, parse_money(credit))) == to_pay


def test_half_a_cent_is_rounded_up() -> None:
    assert to_pay_cents(OfferTerms("CNY", 1, 2), 1) == 1
    assert to_pay_cents(OfferTerms("CNY", 1, 3), 1) == 0


@given(terms, amounts)
def test_what_is_to_pay_is_never_more_than_half_a_cent_off(offer: OfferTerms, credit_units: int) -> None:
    exact = Fraction(credit_units * offer.price_cents, offer.per_credit_units)
    assert -Fraction(1, 2) < to_pay_cents(offer, credit_units) - exact <= Fraction(1, 2)


def test_a_bonus_for_one_purchase_is_earned_by_each_that_is_large_enough_and_once_by_each() -> None:
    bonus = Bonus(20 * EUR, 100 * EUR, ONE)
    for before in (0, 99 * EUR, 1000 * EUR):
        earned = [
            earned_units(bonus, total_before_units=before, credit_units=credit)
            for credit in (1, 100 * EUR - 1, 100 * EUR, 350 * EUR)
        ]
        assert earned == [0, 0, 20 * EUR, 20 * EUR]


def test_a_bonus_for_purchases_that_add_up_is_earned_at_each_multiple_of_the_threshold() -> None:
    bonus = Bonus(18 * EUR, 100 * EUR, ADDED_UP)

    def earned(before: int, credit: int) -> int:
        return earned_units(bonus, total_before_units=before * EUR, credit_units=credit * EUR) // EUR

    assert [earned(0, 99), earned(0, 100), earned(90, 10), earned(100, 10), earned(190, 10)] == [0, 18, 18, 0, 18]
    assert [earned(0, 350), earned(50, 350), earned(99, 1)] == [54, 72, 18]


@given(bonuses, st.lists(st.integers(1, 10**9), max_size=20))
def test_however_it_is_divided_the_same_credit_earns_the_same_added_up(bonus: Bonus, credits: list[int]) -> None:
    bonus = Bonus(bonus.units, bonus.threshold_units, ADDED_UP)
    earned = [
        earned_units(bonus, total_before_units=sum(credits[:index]), credit_units=credit)
        for index, credit in enumerate(credits)
    ]
    assert sum(earned) == sum(credits) // bonus.threshold_units * bonus.units


@given(terms, st.lists(st.integers(1, 10**9), min_size=1, max_size=20), st.integers(1, 10**8), amounts)
def test_no_purchases_under_an_offer_that_a_floor_allows_cost_less_than_the_floor(
    offer: OfferTerms, credits: list[int], floor_cents: int, floor_per: int
) -> None:
    try:
        check_floors(offer, [Floor(floor_cents, floor_per)])
    except PriceTooLow:
        return
    total = given_units = 0
    for credit in credits:
        if credit >= offer.credit_min_units:
            given_units += credit + earned_units(offer.bonus, total_before_units=total, credit_units=credit)
            total += credit
    if total:
        paid = Fraction(total * offer.price_cents, offer.per_credit_units)
        assert paid / given_units >= Fraction(floor_cents, floor_per)


@pytest.mark.parametrize(
    ("price_cents", "bonus", "credit_min", "allowed"),
    [
        (9800, None, 0, True),
        (9799, None, 0, False),
        # 118 for the price of 100: 98 per 10 needs 115.64.
        (11564, Bonus(18 * EUR, 100 * EUR, ADDED_UP), 0, True),
        (11563, Bonus(18 * EUR, 100 * EUR, ADDED_UP), 0, False),
        # The bonus of 20 comes with 200 at least, since less is not sold.
        (10780, Bonus(20 * EUR, 100 * EUR, ONE), 200 * EUR, True),
        (10779, Bonus(20 * EUR, 100 * EUR, ONE), 200 * EUR, False),
        (10780, Bonus(20 * EUR, 100 * EUR, ADDED_UP), 200 * EUR, False),
    ],
)
def test_a_floor_holds_for_the_cheapest_way_to_buy(
    price_cents: int, bonus: Bonus | None, credit_min: int, allowed: bool
) -> None:
    offer = OfferTerms("CNY", price_cents, 10 * EUR, credit_min, bonus)
    floors = [Floor(1, EUR), Floor(980, EUR)]
    if allowed:
        check_floors(offer, floors)
        return
    with pytest.raises(PriceTooLow, match=r"^1\.00000 may not be sold for less than 9\.80 CNY"):
        check_floors(offer, floors)


@pytest.mark.parametrize(
    ("offer", "path"),
    [
        (OfferTerms("cny", 1, 1), ("currency",)),
        (OfferTerms("EURO", 1, 1), ("currency",)),
        (OfferTerms("CNY", 0, 1), ("price",)),
        (OfferTerms("CNY", 1, 0), ("perCredit",)),
        (OfferTerms("CNY", 1, -1), ("perCredit",)),
        (OfferTerms("CNY", 1, 1, -1), ("creditMin",)),
        (OfferTerms("CNY", 1, 1, 0, Bonus(0, 1, ONE)), ("bonus", "credit")),
        (OfferTerms("CNY", 1, 1, 0, Bonus(1, 0, ONE)), ("bonus", "threshold")),
        (OfferTerms("CNY", 1, 1, 0, None, 0), ("resalePriceMin",)),
    ],
)
def test_terms_that_cannot_be_are_refused(offer: OfferTerms, path: tuple[str, ...]) -> None:
    with pytest.raises(InvalidOffer) as refused:
        check_terms(offer)
    assert refused.value.path == path


@pytest.mark.parametrize("text", ["1.234", "-1", "1e2", "1,000", "NaN", "1000000000000", "٣", ""])
def test_a_payment_that_is_no_plain_decimal_text_is_refused(text: str) -> None:
    with pytest.raises(NumberError):
        parse_payment(text)
