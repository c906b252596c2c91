"""The charges of a whole batch at once: what `billing.rating` says of one call, over columns of 64-bit numbers. Pure.

Whatever the columns cannot carry (a call without a price, a number that may not fit 64 bits) is answered by None: such
a batch is rated call by call, with whole numbers of any size. `tests/test_batch_rating.py` holds the two ways equal.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from billing.call_rows import INT64_MAX, Int64s, Levels, account_ids_of, int64s
from billing.charge_order import BookedCall, CallStatus, ChargeOrder
from billing.money import HUNDRED_PERCENT_E4, RATE_E8_MAX
from billing.pricing import Pricing
from billing.rating import E8_SECONDS_PER_UNIT, SECONDS_PER_MINUTE, Price

_HALF_UNIT = E8_SECONDS_PER_UNIT // 2


class RatedTogether(NamedTuple):
    """What every level pays for every call, and each customer's price."""

    levels: Levels
    customer_prices: Sequence[Price]


def rated_together(orders: Sequence[ChargeOrder], pricing: Pricing) -> RatedTogether | None:
    """What everybody on the paths pays for these calls; None if they have to be rated one by one."""
    customer_prices = []
    for order in orders:
        price = pricing.base.match(order.number, order.started_at)
        if price is None or price.blocked:
            return None
        customer_prices.append(price)
    depths, account_ids = account_ids_of([order.path for order in orders])
    begins = np.cumsum(depths) - depths
    shares, has_own_prices = _shares(account_ids, begins, pricing)
    per_minute_e8 = _by_level([price.price_per_minute_e8 for price in customer_prices], depths, begins, shares)
    fees_e8 = _by_level([price.connection_fee_e8 for price in customer_prices], depths, begins, shares)
    if per_minute_e8 is None or fees_e8 is None:
        return None
    first_s = np.repeat(int64s([price.first_increment_s for price in customer_prices]), depths)
    next_s = np.repeat(int64s([price.next_increment_s for price in customer_prices]), depths)
    for index in np.flatnonzero(np.logical_or.reduceat(has_own_prices, begins)).tolist():
        order, begin = orders[index], begins[index]
        prices = [price for price in pricing.prices_of(order.path, order.number, order.started_at) if price is not None]
        if len(prices) < len(order.path):
            return None
        customer_prices[index] = prices[-1]
        here = slice(begin, begin + len(prices))
        per_minute_e8[here] = [price.price_per_minute_e8 for price in prices]
        fees_e8[here] = [price.connection_fee_e8 for price in prices]
        first_s[here] = [price.first_increment_s for price in prices]
        next_s[here] = [price.next_increment_s for price in prices]
    billed_s = _billed_s(np.repeat(int64s([order.duration_s for order in orders]), depths), first_s, next_s)
    units = _charge_units(per_minute_e8, fees_e8, billed_s)
    if units is None:
        return None
    return RatedTogether(Levels(depths, account_ids, units, per_minute_e8, billed_s), customer_prices)


def booked_calls(orders: Sequence[ChargeOrder], call_nos: Sequence[int], rated: RatedTogether) -> list[BookedCall]:
    """The calls as they go into the books."""
    levels = rated.levels
    ends = np.cumsum(levels.depths) - 1
    return [
        # By position: names cost three times as much, and this is done for every call.
        BookedCall(
            order.path[-1],
            order.started_at,
            call_no,
            order.call_id,
            order.number,
            order.caller_number,
            price.prefix,
            price.destination,
            order.duration_s,
            billed_s,
            units,
            CallStatus.CHARGED,
            None,
            False,
        )
        for order, call_no, price, billed_s, units in zip(
            orders,
            call_nos,
            rated.customer_prices,
            levels.billed_s[ends].tolist(),
            levels.units[ends].tolist(),
            strict=True,
        )
    ]


def _shares(account_ids: Int64s, begins: Int64s, pricing: Pricing) -> tuple[Int64s, np.ndarray]:
    """What each level pays of the upper level's price, in 0.0001 %, and whether its list has prices of its own."""
    accounts, account_of_level = np.unique(account_ids, return_inverse=True)
    tables = [pricing.table_of(account_id) for account_id in accounts.tolist()]
    shares = int64s([HUNDRED_PERCENT_E4 - table.discount_e4 for table in tables])[account_of_level]
    has_own_prices = np.array([table.longest_prefix > 0 for table in tables])[account_of_level]
    # The operator pays the prices of the deck as they are.
    has_own_prices[begins] = False
    return shares, has_own_prices


def _by_level(base_e8: Sequence[int], depths: Int64s, begins: Int64s, shares: Int64s) -> Int64s | None:
    """`billing.rating.discounted`, level by level from the deck's price on; None if one cannot be booked or not fit."""
    by_level = np.repeat(int64s(base_e8), depths)
    if not by_level.any():
        return by_level
    for level in range(1, int(depths.max())):
        at = begins[depths > level] + level
        upper_e8, share = by_level[at - 1], shares[at]
        if 2 * int(upper_e8.max()) * int(share.max()) + HUNDRED_PERCENT_E4 > INT64_MAX:
            return None
        by_level[at] = (2 * upper_e8 * share + HUNDRED_PERCENT_E4) // (2 * HUNDRED_PERCENT_E4)
    return None if by_level.max() > RATE_E8_MAX else by_level


def _billed_s(durations_s: Int64s, first_s: Int64s, next_s: Int64s) -> Int64s:
    """`billing.rating.billed_seconds`."""
    beyond_first = first_s - (first_s - durations_s) // next_s * next_s
    billed_s: Int64s = np.where(durations_s <= first_s, first_s, beyond_first)
    billed_s[durations_s <= 0] = 0
    return billed_s


def _charge_units(per_minute_e8: Int64s, fees_e8: Int64s, billed_s: Int64s) -> Int64s | None:
    """`billing.rating.charge_units`; None if one may not fit."""
    highest = int(fees_e8.max()) * SECONDS_PER_MINUTE + int(per_minute_e8.max()) * int(billed_s.max()) + _HALF_UNIT
    if highest > INT64_MAX:
        return None
    units = (fees_e8 * SECONDS_PER_MINUTE + per_minute_e8 * billed_s + _HALF_UNIT) // E8_SECONDS_PER_UNIT
    units[billed_s == 0] = 0
    return units
