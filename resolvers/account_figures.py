"""Figures of accounts: how many are below, and what was called. Loaded in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import Select, func, select
from sqlalchemy.orm import InstrumentedAttribute

from models.tables import AccountCount, usage_parts
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


@dataclass(frozen=True, slots=True)
class UsageRequest:
    """Whole UTC days, both ends included."""

    VALUES: ClassVar = ("first", "last")

    first: date
    last: date


def usage_request(since: date | None, until: date | None) -> UsageRequest:
    """By default the 28 days up to ``until`` or today. Raises: BadUserInput where the days are in the wrong order."""
    last = until or datetime.now(UTC).date()
    try:
        first = since or last - timedelta(days=USAGE_DAYS_DEFAULT - 1)
    except OverflowError:
        first = date.min
    if first > last:
        raise BadUserInput("`since` must not be after `until`.")
    return UsageRequest(first, last)


async def usage(context: RequestContext, account_id: int, request: UsageRequest) -> Usage:
    """The usage of these days. Batched."""
    context.require_viewer()

    async def load_many(account_ids: Sequence[int]) -> dict[int, Usage]:
        statement = (
            select_usage(request)
            .add_columns(usage_parts.c.account_id)
            .where(usage_parts.c.account_id.in_(account_ids))
            .group_by(usage_parts.c.account_id)
        )
        async with context.services.db.read() as connection:
            rows = await connection.execute(statement)
            # Sums of bigints are numeric in PostgreSQL and Decimals here.
            return {
                row.account_id: Usage(
                    int(row.calls), int(row.duration_s), int(row.charged_units), int(row.refunded_units)
                )
                for row in rows
            }

    return await context.loaders.loader(request, load_many).load(account_id) or Usage()


def select_usage(request: UsageRequest) -> Select[*tuple[Any, ...]]:
    """The sums of these days, of accounts that are still to be chosen."""
    return (
        select(
            func.coalesce(func.sum(usage_parts.c.calls), 0).label("calls"),
            func.coalesce(func.sum(usage_parts.c.duration_s), 0).label("duration_s"),
            func.coalesce(func.sum(usage_parts.c.charged_units), 0).label("charged_units"),
            func.coalesce(func.sum(usage_parts.c.refunded_units), 0).label("refunded_units"),
        )
        .select_from(usage_parts)
        .where(usage_parts.c.day.between(request.first, request.last))
    )
