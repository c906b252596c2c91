"""Finished calls with what each level pays for them. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from billing.charge_order import BookedCall, CallStatus, ChargeOrder
from billing.rating import Price, billed_seconds, charge_units


class RatedOrder(NamedTuple):
    """An order and what each level pays for it, operator first.

    ``unpriced_level`` is the level nearest to the customer that has no usable rate, None where all have one; then
    nobody is charged and ``amounts`` and ``billed_s`` are zeros.
    """

    order: ChargeOrder
    prices: list[Price | None]
    billed_s: Sequence[int]
    amounts: Sequence[int]
    unpriced_level: int | None

    def prices_e8(self) -> list[int | None]:
        """The price per minute of each level; None everywhere if the order has no price on one."""
        if self.unpriced_level is not None:
            return [None] * len(self.prices)
        return [None if price is None else price.price_per_minute_e8 for price in self.prices]


def rated_at(order: ChargeOrder, prices: list[Price | None]) -> RatedOrder:
    """The order at these prices, one a level, operator first."""
    if None in prices:
        unpriced_level = max(level for level, price in enumerate(prices) if price is None)
        nothing = [0] * len(prices)
        return RatedOrder(order, prices, nothing, nothing, unpriced_level)
    billed_s: list[int] = []
    amounts: list[int] = []
    first_s = next_s = seconds = 0
    for price in prices:
        assert price is not None
        # Levels mostly share the increments of the rate they descend from.
        if price.first_increment_s != first_s or price.next_increment_s != next_s:
            first_s, next_s = price.first_increment_s, price.next_increment_s
            seconds = billed_seconds(order.duration_s, first_s, next_s)
        billed_s.append(seconds)
        amounts.append(charge_units(price, seconds))
    return RatedOrder(order, prices, billed_s, amounts, None)


def booked_call(
    rated: RatedOrder, call_no: int, *, overdrawn: bool = False, status: CallStatus | None = None
) -> BookedCall:
    """The call as it goes into the books: CHARGED, or UNRATED if it has no price, unless ``status`` says otherwise."""
    order, price = rated.order, rated.prices[-1]
    if rated.unpriced_level is not None:
        price = None
        status = status or CallStatus.UNRATED
    # By position: names cost three times as much, and this is done for every call.
    return BookedCall(
        order.path[-1],
        order.started_at,
        call_no,
        order.call_id,
        order.number,
        order.caller_number,
        None if price is None else price.prefix,
        None if price is None else price.destination,
        order.duration_s,
        rated.billed_s[-1],
        rated.amounts[-1],
        status or CallStatus.CHARGED,
        unpriced_reason(order.number) if status is CallStatus.UNRATED else None,
        overdrawn,
    )


def unpriced_reason(number: str) -> str:
    """Why a call has no price, in words that name nobody: the reader may not see every level."""
    return f"No rate holds for {number} on every level of the path, or the destination is blocked."
