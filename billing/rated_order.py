"""Orders with their prices, and the decision which of them a batch can pay. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from billing.charge_order import ChargeOrder, ChargePolicy
from billing.errors import AccountBlocked, InsufficientCredit, NoRate, Refusal
from billing.rating import Price, RateTable, billed_seconds, charge_units, price_path


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


class Funds(NamedTuple):
    """What a decision needs of an account: blocked or not, and what is available (None: unlimited)."""

    blocked: bool
    available_units: int | None


class Accepted(NamedTuple):
    """The order is booked; ``overdrawn`` if a level could not pay it."""

    overdrawn: bool


def rate_order(order: ChargeOrder, base: RateTable, lists: Iterable[RateTable]) -> RatedOrder:
    """The order at the price of each level; ``lists`` are the selected lists below the operator, top down."""
    prices = price_path(base, lists, order.number, order.started_at)
    if None in prices:
        unpriced_level = max(level for level, price in enumerate(prices) if price is None)
        nothing = [0] * len(prices)
        return RatedOrder(order, prices, nothing, nothing, unpriced_level)
    billed_s: list[int] = []
    amounts: list[int] = []
    increments: tuple[int, int] | None = None
    seconds = 0
    for price in prices:
        assert price is not None
        # Levels mostly share the increments of the rate they descend from.
        if increments != (price.first_increment_s, price.next_increment_s):
            increments = (price.first_increment_s, price.next_increment_s)
            seconds = billed_seconds(order.duration_s, *increments)
        billed_s.append(seconds)
        amounts.append(charge_units(price, seconds))
    return RatedOrder(order, prices, billed_s, amounts, None)


def decide(rated: Sequence[RatedOrder], funds: Mapping[int, Funds]) -> list[Accepted | Refusal]:
    """Which orders are booked, taken in their sequence: an order finds what those before it left.

    CHECK_CREDIT is refused where an account on the path is blocked, has no rate, or cannot pay. ALWAYS_CHARGE is
    booked in any case. A level that pays nothing needs no credit. A refusal names the account nearest to the customer.
    """
    # Amounts are never negative: where everything together fits, every order does.
    if _all_fit(rated, funds):
        return [Accepted(overdrawn=False)] * len(rated)
    left = {account_id: fund.available_units for account_id, fund in funds.items()}
    decisions: list[Accepted | Refusal] = []
    for item in rated:
        short = _first_short(item, left)
        always = item.order.policy is ChargePolicy.ALWAYS_CHARGE
        refusal = None if always else _refusal(item, funds, short)
        if refusal is not None:
            decisions.append(refusal)
            continue
        decisions.append(Accepted(overdrawn=short is not None))
        for account_id, amount in zip(item.order.path, item.amounts, strict=True):
            available = left[account_id]
            if available is not None:
                left[account_id] = available - amount
    return decisions


def _all_fit(rated: Sequence[RatedOrder], funds: Mapping[int, Funds]) -> bool:
    totals: defaultdict[int, int] = defaultdict(int)
    for item in rated:
        if item.unpriced_level is not None:
            return False
        for account_id, amount in zip(item.order.path, item.amounts, strict=True):
            totals[account_id] += amount
    for account_id, total in totals.items():
        fund = funds[account_id]
        if fund.blocked or (total and fund.available_units is not None and total > fund.available_units):
            return False
    return True


def _first_short(item: RatedOrder, left: Mapping[int, int | None]) -> int | None:
    for account_id, amount in zip(reversed(item.order.path), reversed(item.amounts), strict=True):
        available = left[account_id]
        if amount and available is not None and amount > available:
            return account_id
    return None


def _refusal(item: RatedOrder, funds: Mapping[int, Funds], short: int | None) -> Refusal | None:
    path = item.order.path
    for account_id in reversed(path):
        if funds[account_id].blocked:
            return AccountBlocked("The account, or one above it, is blocked.", account_id=account_id)
    if item.unpriced_level is not None:
        return NoRate(unpriced_reason(item), account_id=path[item.unpriced_level], path=("number",))
    if short is not None:
        return InsufficientCredit("The credit does not cover this call.", account_id=short)
    return None


def unpriced_reason(item: RatedOrder) -> str:
    """Why an order has no price, in words that name nobody: the reader may not see every level."""
    return f"No rate holds for {item.order.number} on every level of the path, or the destination is blocked."
