"""The charges of a whole batch at once: what `billing.rating` says of one call, over columns of 64-bit numbers. Pure.

Whatever the columns cannot carry is left out (a call without a price on every level) or answered by None (a number that
may not fit 64 bits): that is rated call by call, with whole numbers of any size. `tests/test_batch_rating.py` holds the
two ways equal.
"""

from collections.abc import Sequence
from itertools import compress, repeat
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from billing.call_rows import INT64_MAX, Int64s, Levels, account_ids_of, int64s
from billing.charge_order import BookedCall, CallStatus, ChargeOrder
from billing.columns import columns_of, rows_of
from billing.money import HUNDRED_PERCENT_E4, RATE_E8_MAX
from billing.pricing import Pricing
from billing.rating import E8_SECONDS_PER_UNIT, SECONDS_PER_MINUTE, Price

_HALF_UNIT = E8_SECONDS_PER_UNIT // 2


Chosen = NDArray[np.bool_]


class RatedTogether(NamedTuple):
    """What every level pays for every call that was rated, and each customer's price.

    ``positions`` are where its orders are among those that were given, in ascending order.
    """

    orders: Sequence[ChargeOrder]
    positions: Int64s
    levels: Levels
    customer_prices: Sequence[Price]

    def only(self, chosen: Chosen) -> "RatedTogether":
        """Some of them; ``chosen`` has an element for each."""
        depths, *by_level = self.levels
        of_chosen = np.repeat(chosen, depths)
        return RatedTogether(
            list(compress(self.orders, chosen)),
            self.positions[chosen],
            Levels(depths[chosen], *(column[of_chosen] for column in by_level)),
            list(compress(self.customer_prices, chosen)),
        )


def rated_together(orders: Sequence[ChargeOrder], pricing: Pricing) -> RatedTogether | None:
    """What everybody on the paths pays for those of these calls that have a price on every level.

    None if no call has, or they have to be rated one by one.
    """
    found = [pricing.base.match(order.number, order.started_at) for order in orders]
    has_price = [price is not None and not price.blocked for price in found]
    if all(has_price):
        return _rated(orders, np.arange(len(orders)), cast("list[Price]", found), pricing)
    if not any(has_price):
        return None
    prices = cast("list[Price]", list(compress(found, has_price)))
    return _rated(list(compress(orders, has_price)), np.flatnonzero(has_price), prices, pricing)


def _rated(
    orders: Sequence[ChargeOrder], positions: Int64s, prices: list[Price], pricing: Pricing
) -> RatedTogether | None:
    """The same of calls to which the operator's deck gives these ``prices``."""
    given, of_deck = columns_of(orders), columns_of(prices)
    depths, account_ids = account_ids_of(given.path)
    begins = np.cumsum(depths) - depths
    shares, has_own_prices = _shares(account_ids, begins, pricing)
    per_minute_e8 = _by_level(of_deck.price_per_minute_e8, depths, begins, shares)
    fees_e8 = _by_level(of_deck.connection_fee_e8, depths, begins, shares)
    if per_minute_e8 is None or fees_e8 is None:
        return None
    first_s = np.repeat(int64s(of_deck.first_increment_s), depths)
    next_s = np.repeat(int64s(of_deck.next_increment_s), depths)
    is_priced = np.ones(len(orders), np.bool_)
    for index in np.flatnonzero(np.logical_or.reduceat(has_own_prices, begins)).tolist():
        order, begin = orders[index], begins[index]
        own = [price for price in pricing.prices_of(order.path, order.number, order.started_at) if price is not None]
        if len(own) < len(order.path):
            is_priced[index] = False
            continue
        prices[index] = own[-1]
        here = slice(begin, begin + len(own))
        per_minute_e8[here] = [price.price_per_minute_e8 for price in own]
        fees_e8[here] = [price.connection_fee_e8 for price in own]
        first_s[here] = [price.first_increment_s for price in own]
        next_s[here] = [price.next_increment_s for price in own]
    billed_s = _billed_s(np.repeat(int64s(given.duration_s), depths), first_s, next_s)
    units = _charge_units(per_minute_e8, fees_e8, billed_s)
    if units is None or not is_priced.any():
        return None
    rated = RatedTogether(orders, positions, Levels(depths, account_ids, units, per_minute_e8, billed_s), prices)
    return rated if is_priced.all() else rated.only(is_priced)


def booked_calls(rated: RatedTogether, call_nos: Sequence[int]) -> list[BookedCall]:
    """The calls as they go into the books."""
    levels = rated.levels
    ends = np.cumsum(levels.depths) - 1
    given, prices = columns_of(rated.orders), columns_of(rated.customer_prices)
    return rows_of(
        BookedCall,
        levels.account_ids[ends].tolist(),
        given.started_at,
        call_nos,
        given.call_id,
        given.number,
        given.caller_number,
        prices.prefix,
        prices.destination,
        given.duration_s,
        levels.billed_s[ends].tolist(),
        levels.units[ends].tolist(),
        repeat(CallStatus.CHARGED),
        repeat(None),
        repeat(False),
    )


def _shares(account_ids: Int64s, begins: Int64s, pricing: Pricing) -> tuple[Int64s, np.ndarray]:
    """What each level pays of the upper level's price, in 0.0001 %, and whether its list has prices of its own."""
    accounts, account_of_level = np.unique(account_ids, return_inverse=True)
    list_ids = [pricing.selections[account_id] for account_id in accounts.tolist()]
    tables = {list_id: pricing.tables[list_id] for list_id in set(list_ids)}
    share_of = {list_id: HUNDRED_PERCENT_E4 - table.discount_e4 for list_id, table in tables.items()}
    has_own = {list_id: table.longest_prefix > 0 for list_id, table in tables.items()}
    shares = int64s([share_of[list_id] for list_id in list_ids])[account_of_level]
    has_own_prices = np.array([has_own[list_id] for list_id in list_ids])[account_of_level]
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
