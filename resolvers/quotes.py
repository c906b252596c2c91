"""Quotes: what each level would pay for a call, and why it would be refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from billing.charge_order import DURATION_S_MAX, ChargeOrder, ChargePolicy
from billing.errors import InvalidNumber, Refusal
from billing.phone_number import parse_number
from billing.rated_order import RatedOrder, rated_at
from billing.rating import Price, price_path
from billing.standing import Standing, refusal_to_start
from resolvers.access import AccountPath, visible_path
from resolvers.accounts import visible_account
from resolvers.context import RequestContext
from resolvers.prices import tables_of_path
from resolvers.request_errors import BadUserInput

_STANDING = text(
    "SELECT account_id, blocked, balance_units + credit_limit_units - held_units AS available_units "
    "FROM account_state WHERE account_id = ANY(:account_ids)"
)


@dataclass(frozen=True, slots=True)
class QuotedLevel:
    """What one level would pay: whole units of 0.00001 for the billed seconds."""

    account_id: int
    price: Price
    billed_s: int
    amount_units: int


@dataclass(frozen=True, slots=True)
class Quote:
    """The levels from the viewer down to the caller; ``refusal`` is what `chargeCall` would answer now, if anything.

    Without a usable rate on every level of the path nobody would pay, and ``levels`` is empty.
    """

    number: str | None
    duration_s: int
    at: datetime
    levels: Sequence[QuotedLevel]
    refusal: Refusal | None


async def quote(
    context: RequestContext, account_id: int | None, number: str, duration_s: int, at: datetime | None
) -> Quote | None:
    """The quote for a call of this account at ``at``, by default now; None where the viewer may not see the account.

    Raises: BadUserInput: a duration below 0 or above a week.
    """
    context.require_viewer()
    if not 0 <= duration_s <= DURATION_S_MAX:
        raise BadUserInput(f"`durationSeconds` must be 0 to {DURATION_S_MAX}, not {duration_s}.")
    account = await visible_account(context, account_id)
    if account is None:
        return None
    read = await tables_of_path(context, account.path)
    at = at or read.read_at
    try:
        digits = parse_number(number)
    except InvalidNumber as refusal:
        return Quote(None, duration_s, at, (), refusal)
    order = ChargeOrder("", account.path, digits, None, at, duration_s, ChargePolicy.CHECK_CREDIT)
    rated = rated_at(order, price_path(read.tables[0], read.tables[1:], digits, at))
    why_not = refusal_to_start(rated, await _standing(context, account.path))
    levels = _levels(context, rated) if rated.unpriced_level is None else ()
    return Quote(digits, duration_s, at, levels, why_not)


def _levels(context: RequestContext, rated: RatedOrder) -> Sequence[QuotedLevel]:
    path = rated.order.path
    visible = visible_path(context.require_viewer(), path)
    levels = []
    for level in range(len(path) - len(visible), len(path)):
        price = rated.prices[level]
        assert price is not None
        levels.append(QuotedLevel(path[level], price, rated.billed_s[level], rated.amounts[level]))
    return levels


async def _standing(context: RequestContext, path: AccountPath) -> dict[int, Standing]:
    async with context.services.db.read() as connection:
        rows: Any = await connection.execute(_STANDING, {"account_ids": list(path)})
        return {row.account_id: Standing(row.blocked, row.available_units) for row in rows}
