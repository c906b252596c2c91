"""How long a call may last from its start: as long as every level can pay for it and its limits let it. Pure.

What a call holds itself is there to pay for it.
"""

from collections.abc import Mapping, Sequence

from billing.call_limits import LimitsByAccount
from billing.errors import InsufficientCredit, LimitReached, Refusal
from billing.hold_order import Hold
from billing.rating import Price, max_duration_s
from billing.standing import Standing


def longest_s(
    hold: Hold, prices: Sequence[Price], standing: Mapping[int, Standing], limits: LimitsByAccount, cap_s: int
) -> int:
    """Whole seconds, at most ``cap_s``; ``prices`` are those of the hold's path."""
    seconds = cap_s
    for account_id, price, held_units in zip(hold.path, prices, hold.held_units, strict=True):
        available_units = standing[account_id].available_units
        if available_units is not None:
            seconds = max_duration_s(price, available_units + held_units, seconds)
        limit = limits.get(account_id)
        if limit is not None:
            if limit.spend_left_units is not None:
                seconds = max_duration_s(price, limit.spend_left_units + held_units, seconds)
            if limit.call_duration_max_s is not None:
                seconds = min(seconds, limit.call_duration_max_s)
    return seconds


def why_no_longer(
    hold: Hold, prices: Sequence[Price], standing: Mapping[int, Standing], limits: LimitsByAccount, cap_s: int
) -> Refusal:
    """What keeps the call from lasting longer than `longest_s`: of several reasons the one nearest to the customer."""
    seconds = longest_s(hold, prices, standing, limits, cap_s)
    levels = [] if seconds == cap_s else list(zip(hold.path, prices, hold.held_units, strict=True))
    for account_id, price, held_units in reversed(levels):
        available_units = standing[account_id].available_units
        if available_units is not None and max_duration_s(price, available_units + held_units, cap_s) == seconds:
            return InsufficientCredit("The credit does not cover more of this call.", account_id=account_id)
        limit = limits.get(account_id)
        if limit is None:
            continue
        left_units = limit.spend_left_units
        if left_units is not None and max_duration_s(price, left_units + held_units, cap_s) == seconds:
            return LimitReached("No more may be spent today.", account_id=account_id)
        if limit.call_duration_max_s == seconds:
            return LimitReached("No call may last longer.", account_id=account_id)
    return LimitReached(f"A call lasts at most {cap_s} seconds.")
