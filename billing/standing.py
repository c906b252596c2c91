"""Whether a call may start: nobody on its path blocked, a price on every level, every level able to pay. Pure.

A refusal names the account nearest to the customer that stands in the way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.errors import AccountBlocked, InsufficientCredit, NoRate, Refusal
from billing.rated_order import RatedOrder, unpriced_reason
from billing.rating import Price


@dataclass(slots=True)
class Standing:
    """How an account stands as the batch goes on; ``available_units`` None: unlimited."""

    blocked: bool
    available_units: int | None

    def pay(self, units: int) -> None:
        """Take units from what is available; negative ones give some back."""
        if self.available_units is not None:
            self.available_units -= units

    def can_pay(self, units: int) -> bool:
        """Whether units are available. Nothing can always be paid, below zero as well."""
        return not units or self.available_units is None or units <= self.available_units


def refusal_to_start(rated: RatedOrder, standing: Mapping[int, Standing]) -> Refusal | None:
    """Why a new call of this length is refused; None if it may start."""
    path, order = rated.order.path, rated.order
    refusal = blocked_refusal(path, standing) or unpriced_refusal(path, rated.prices, order.number)
    if refusal is None and (short_id := first_short(rated, standing)) is not None:
        refusal = InsufficientCredit("The credit does not cover this call.", account_id=short_id)
    return refusal


def blocked_refusal(path: Sequence[int], standing: Mapping[int, Standing]) -> Refusal | None:
    """Blocking cascades: one blocked account keeps everything below it from starting calls."""
    for account_id in reversed(path):
        if standing[account_id].blocked:
            return AccountBlocked("The account, or one above it, is blocked.", account_id=account_id)
    return None


def unpriced_refusal(path: Sequence[int], prices: Sequence[Price | None], number: str) -> Refusal | None:
    """Every account on the path needs a usable rate for the number."""
    for account_id, price in zip(reversed(path), reversed(prices), strict=True):
        if price is None:
            return NoRate(unpriced_reason(number), account_id=account_id, path=("number",))
    return None


def first_short(rated: RatedOrder, standing: Mapping[int, Standing]) -> int | None:
    """The account nearest to the customer that cannot pay its amount."""
    for account_id, units in zip(reversed(rated.order.path), reversed(rated.amounts), strict=True):
        if not standing[account_id].can_pay(units):
            return account_id
    return None
