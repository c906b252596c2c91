"""The credit transactions of an account, to be exported."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

from resolvers.access import may_see
from resolvers.accounts import AccountRow
from resolvers.context import RequestContext
from resolvers.credit_transactions import CreditTransactionRow, TransactionsRequest, transactions_of
from resolvers.exports import Cell, CellKind, Column, Export, every_page

_COLUMNS = (
    Column("createdAt", CellKind.INSTANT),
    Column("amount", CellKind.MONEY),
    Column("balanceAfter", CellKind.MONEY),
    Column("kind", CellKind.TEXT),
    Column("remark", CellKind.TEXT),
    Column("privateRemark", CellKind.TEXT),
    Column("createdBy", CellKind.TEXT),
)


def export_transactions(
    context: RequestContext, account: AccountRow, since: datetime | None, until: datetime | None
) -> Export:
    """Newest first. ``privateRemark`` and ``createdBy``, a username, are empty where the viewer may not see them."""

    async def rows() -> AsyncGenerator[Sequence[Sequence[Cell]], None]:
        async for page in every_page(
            context,
            "transactions",
            lambda page: transactions_of(context, account.id, TransactionsRequest(page, since, until)),
        ):
            yield await _cells(context, page)

    return Export(_COLUMNS, rows())


async def _cells(context: RequestContext, page: Sequence[CreditTransactionRow]) -> Sequence[Sequence[Cell]]:
    viewer = context.require_viewer()
    authors = await context.services.directory.by_id({row.created_by_id for row in page})
    names = {id_: author.username for id_, author in authors.items() if may_see(viewer, author.path)}
    return [
        (
            row.created_at,
            row.amount_units,
            row.balance_after_units,
            row.kind,
            row.remark,
            row.private_remark,
            names.get(row.created_by_id),
        )
        for row in page
    ]
