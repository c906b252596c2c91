"""Figures of accounts: how many are below, and what was called. Loaded in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute

from models.tables import AccountCount, UsageDay
from resolvers.context import RequestContext
from resolvers.request_errors import BadUserInput

USAGE_DAYS_DEFAULT = 28


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls of an account and of everything below it. ``charged_units`` is what the account itself pays for them,
    ``refunded_units`` what refunds of them gave back to it."""

    calls: int = 0
    duration_s: int = 0
    charged_units: int = 0
    refunded_units: int = 0


async def customer_count(context: RequestContext, account_id: int) -> int:
    """How many direct customers the account has."""

    async def load_many(account_ids: Sequence[int]) -> dict[int, int]:
        return await _counts(context, AccountCount.customers, account_ids)

    return await context.loaders.loader("customer_count", load_many).load(account_id) or 0


async def descendant_count(context: RequestContext, account_id: int) -> int:
    """How many accounts are below, at any depth."""

    async def load_many(account_ids: Sequence[int]) -> dict[int, int]:
        return await _counts(context, AccountCount.descendants, account_ids)

    return await context.loaders.loader("descendant_count", load_many).load(account_id) or 0


async def _counts(
    context: RequestContext, count: InstrumentedAttribute[int], account_ids: Sequence[int]
) -> dict[int, int]:
    async with context.services.db.read() as connection:
        rows = await connection.execute(
            select(AccountCount.account_id, count).where(AccountCount.account_id.in_(account_ids))
        )
        return {row[0]: row[1] for row in rows}


async def usage(context: RequestContext, account_id: int, since: date | None, until: date | None) -> Usage:
    """The usage of whole UTC days, both ends included; by default the 28 days up to ``until`` or today.

    Raises: BadUserInput where the days are in the wrong order.
    """
    context.require_viewer()
    last = until or datetime.now(UTC).date()
    try:
        first = since or last - timedelta(days=USAGE_DAYS_DEFAULT - 1)
    except OverflowError:
        first = date.min
    if first > last:
        raise BadUserInput("`since` must not be after `until`.")

    async def load_many(account_ids: Sequence[int]) -> dict[int, Usage]:
        statement = (
            select(
                UsageDay.account_id,
                func.sum(UsageDay.calls),
                func.sum(UsageDay.duration_s),
                func.sum(UsageDay.charged_units),
                func.sum(UsageDay.refunded_units),
            )
            .where(UsageDay.account_id.in_(account_ids), UsageDay.day.between(first, last))
            .group_by(UsageDay.account_id)
        )
        async with context.services.db.read() as connection:
            rows = await connection.execute(statement)
            # Sums of bigints are numeric in PostgreSQL and Decimals here.
            return {row[0]: Usage(int(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in rows}

    return await context.loaders.loader(("usage", first, last), load_many).load(account_id) or Usage()
