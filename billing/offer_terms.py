"""The terms of an offer, and what they come to: what is to pay, which bonus is earned. Pure, whole numbers only.

Credit is whole units of 0.00001, what is paid for it whole hundredths of the offer's currency (cents).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from billing.errors import InvalidOffer, PriceTooLow
from billing.money import divide_half_up, format_money, format_payment

_CURRENCY = re.compile("[A-Z]{3}")


class BonusBasis(StrEnum):
    """What a bonus is earned by."""

    ONE_PURCHASE = "ONE_PURCHASE"
    PURCHASES_ADDED_UP = "PURCHASES_ADDED_UP"


@dataclass(frozen=True, slots=True)
class Bonus:
    """``units`` of credit on top: for one purchase of at least ``threshold_units``, or each time that purchases under
    the offer add up to another ``threshold_units``."""

    units: int
    threshold_units: int
    basis: BonusBasis


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """``price_cents`` buy ``per_credit_units``; a purchase is of ``credit_min_units`` or more.

    ``resale_price_min_cents`` is the least that as much credit may be sold on for; None: for anything.
    """

    currency: str
    price_cents: int
    per_credit_units: int
    credit_min_units: int = 0
    bonus: Bonus | None = None
    resale_price_min_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that ``per_credit_units`` may be sold for, bonus included."""

    price_cents: int
    per_credit_units: int


def check_terms(terms: OfferTerms) -> None:
    """Raises: InvalidOffer."""
    if not _CURRENCY.fullmatch(terms.currency):
        raise InvalidOffer("A currency is three capital letters, such as CNY.", path=("currency",))
    if terms.price_cents <= 0:
        raise InvalidOffer("A price is more than zero.", path=("price",))
    if terms.per_credit_units <= 0:
        raise InvalidOffer("The credit that the price buys is more than zero.", path=("perCredit",))
    if terms.credit_min_units < 0:
        raise InvalidOffer("The least credit of a purchase is not negative.", path=("creditMin",))
    if terms.bonus is not None and terms.bonus.units <= 0:
        raise InvalidOffer("A bonus is more than zero.", path=("bonus", "credit"))
    if terms.bonus is not None and terms.bonus.threshold_units <= 0:
        raise InvalidOffer("A bonus is for buying more than zero.", path=("bonus", "threshold"))
    if terms.resale_price_min_cents is not None and terms.resale_price_min_cents <= 0:
        raise InvalidOffer("The lowest resale price is more than zero.", path=("resalePriceMin",))


def check_floors(terms: OfferTerms, floors: Iterable[Floor]) -> None:
    """A bonus counts: what is looked at is the least that a unit of credit can cost. Raises: PriceTooLow."""
    bought, given = 1, 1
    if terms.bonus is not None:
        bought = terms.bonus.threshold_units
        if terms.bonus.basis is BonusBasis.ONE_PURCHASE:
            bought = max(bought, terms.credit_min_units)
        given = bought + terms.bonus.units
    for floor in floors:
        # price / per_credit * bought / given < floor.price / floor.per_credit, without fractions
        lowest = terms.price_cents * bought * floor.per_credit_units
        if lowest < floor.price_cents * terms.per_credit_units * given:
            with_bonus = "" if terms.bonus is None else ", the bonus included"
            raise PriceTooLow(
                f"{format_money(floor.per_credit_units)} may not be sold for less than "
                f"{format_payment(floor.price_cents)} {terms.currency}{with_bonus}.",
                path=("price",),
            )


def to_pay_cents(terms: OfferTerms, credit_units: int) -> int:
    """What this much credit costs: exact, then rounded once, half up, to cents."""
    return divide_half_up(credit_units * terms.price_cents, terms.per_credit_units)


def earned_units(bonus: Bonus | None, *, total_before_units: int, credit_units: int) -> int:
    """The bonus that a purchase brings after others of ``total_before_units`` under the same offer; 0: none.

    One that brings the total over several multiples of the threshold at once brings the bonus as often.
    """
    if bonus is None:
        return 0
    if bonus.basis is BonusBasis.ONE_PURCHASE:
        return bonus.units if credit_units >= bonus.threshold_units else 0
    total_units = total_before_units + credit_units
    times = total_units // bonus.threshold_units - total_before_units // bonus.threshold_units
    return times * bonus.units
