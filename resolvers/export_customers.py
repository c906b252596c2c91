"""The customers of an account, to be exported: the columns of the back office's list."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import date

from resolvers.account_figures import usage, usage_request
from resolvers.account_lists import CUSTOMERS, AccountFilter, AccountOrder, AccountsRequest, accounts_of
from resolvers.accounts import AccountRow
from resolvers.context import RequestContext
from resolvers.exports import Cell, CellKind, Column, Export, every_page
from resolvers.rate_lists import selected_rate_list

_COLUMNS = (
    Column("username", CellKind.TEXT),
    Column("balance", CellKind.MONEY),
    Column("blocked", CellKind.FLAG),
    Column("isReseller", CellKind.FLAG),
    Column("rateList", CellKind.TEXT),
    Column("calls", CellKind.WHOLE),
    Column("durationSeconds", CellKind.WHOLE),
    Column("charged", CellKind.MONEY),
)


def export_customers(
    context: RequestContext,
    account: AccountRow,
    wanted: AccountFilter,
    order: AccountOrder,
    since: date | None,
    until: date | None,
) -> Export:
    """The account's direct customers. ``since`` and ``until`` are the days of the last three columns, by default the
    last 28. Raises: BadUserInput where they are in the wrong order."""
    days = usage_request(since, until)

    async def cells(row: AccountRow) -> Sequence[Cell]:
        # Both are gathered over the whole page, so each is one statement.
        rate_list, used = await asyncio.gather(selected_rate_list(context, row), usage(context, row.id, days))
        return (
            row.username,
            row.balance_units,
            bool(row.blocked_ids),
            row.is_reseller,
            None if rate_list is None else rate_list.name,
            used.calls,
            used.duration_s,
            used.charged_units,
        )

    async def rows() -> AsyncGenerator[Sequence[Sequence[Cell]], None]:
        async for page in every_page(
            context,
            CUSTOMERS,
            lambda page: accounts_of(context, account.id, AccountsRequest(CUSTOMERS, page, order, wanted)),
        ):
            yield await asyncio.gather(*map(cells, page))

    return Export(_COLUMNS, rows())
