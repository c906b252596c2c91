"""Limits on calls beyond credit, along the path: concurrent calls, spend a day, longest call, prefixes, no loss. Pure.

They are looked at when a call wants to start, and (spend, duration) when it wants to go on. A call that has been
carried is charged whatever the limits say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.errors import LimitReached, Refusal
from billing.rating import Price


@dataclass(slots=True)
class Limits:
    """One account's limits, and how far they are used as the batch goes on. None sets no limit.

    ``running_calls`` counts unexpired holds of the account and below it; ``spent_today_units`` is what it was charged
    for calls of this UTC day plus what is held.
    """

    concurrent_calls_max: int | None = None
    daily_spend_max_units: int | None = None
    call_duration_max_s: int | None = None
    allowed_prefixes: tuple[str, ...] = ()
    forbidden_prefixes: tuple[str, ...] = ()
    no_loss_calls: bool = False
    running_calls: int = 0
    spent_today_units: int = 0

    @property
    def spend_left_units(self) -> int | None:
        """What may still be spent today; None without a limit."""
        if self.daily_spend_max_units is None:
            return None
        return self.daily_spend_max_units - self.spent_today_units


LimitsByAccount = Mapping[int, Limits]


def start_refusal(
    path: Sequence[int], number: str, prices: Sequence[Price | None], limits: LimitsByAccount
) -> Refusal | None:
    """Why no call to this number may start now, whatever its length; the account nearest to the customer is named."""
    for level in reversed(range(len(path))):
        limit = limits.get(path[level])
        if limit is None:
            continue
        message = _message(limit, number)
        if message is None and limit.no_loss_calls and level + 1 < len(path) and loses(*prices[level : level + 2]):
            message = "The customer would pay less for this call than its reseller."
        if message is not None:
            return LimitReached(message, account_id=path[level])
    return None


def _message(limit: Limits, number: str) -> str | None:
    if limit.concurrent_calls_max is not None and limit.running_calls >= limit.concurrent_calls_max:
        calls = "call" if limit.concurrent_calls_max == 1 else "calls"
        return f"No more than {limit.concurrent_calls_max} {calls} may run at once."
    if limit.allowed_prefixes and not number.startswith(limit.allowed_prefixes):
        return "Calls to this number are not among those allowed."
    if limit.forbidden_prefixes and number.startswith(limit.forbidden_prefixes):
        return "Calls to this number are forbidden."
    return None


def loses(reseller: Price | None, customer: Price | None) -> bool:
    """Whether a customer pays less per minute than its reseller; between equal prices the fee decides.

    Both have a price. Increments are not looked at: how long a call will be is not known.
    """
    assert reseller is not None
    assert customer is not None
    customers = (customer.price_per_minute_e8, customer.connection_fee_e8)
    return customers < (reseller.price_per_minute_e8, reseller.connection_fee_e8)
