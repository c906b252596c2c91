"""The calls of an account and of everything below it, to be exported."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from sqlalchemy import literal

from models.tables import Account, Charge
from resolvers.accounts import AccountRow
from resolvers.call_filter import CALL_COLUMNS_SORTED, CallFilter, select_calls_of
from resolvers.context import RequestContext
from resolvers.exports import Cell, CellKind, Column, Export, every_page
from resolvers.pages import Page, PageRequest, keyset, page_of

_COLUMNS = {
    "startedAt": ("started_at", CellKind.INSTANT),
    "username": ("username", CellKind.TEXT),
    "number": ("number", CellKind.TEXT),
    "destination": ("destination", CellKind.TEXT),
    "durationSeconds": ("duration_s", CellKind.WHOLE),
    "billedSeconds": ("billed_s", CellKind.WHOLE),
    "charged": ("charged_units", CellKind.MONEY),
    "status": ("status", CellKind.TEXT),
    "callerNumber": ("caller_number", CellKind.TEXT),
    "callId": ("call_id", CellKind.TEXT),
}
# What the account pays itself is news only where others call below it.
_COLUMNS_OF_RESELLER = {**_COLUMNS, "ownCharge": ("own_charge_units", CellKind.MONEY)}


def export_calls(context: RequestContext, account: AccountRow, chosen: CallFilter) -> Export:
    """``username`` made the call and pays ``charged``; of a reseller, ``ownCharge`` is what it pays itself."""
    columns = _COLUMNS_OF_RESELLER if account.is_reseller else _COLUMNS
    names = [name for name, _ in columns.values()]
    statement = (
        select_calls_of(literal(account.id), chosen)
        .add_columns(Account.username, Charge.amount_units.label("own_charge_units"))
        .join(Account, Account.id == Charge.customer_id)
    )

    def cells(row: Any) -> Sequence[Cell]:
        values = row._mapping
        return [values[name] for name in names]

    async def page_at(request: PageRequest) -> Page[Sequence[Cell]]:
        # Kept plans are for any range: of calls imported just now they expect a few, and sort all for each page.
        async with context.services.db.read_by_value() as connection:
            found = await connection.execute(
                keyset(statement, request, CALL_COLUMNS_SORTED, descending=chosen.descending)
            )
        return page_of(found.all(), request, cells)

    pages: AsyncGenerator[Sequence[Sequence[Cell]], None] = every_page(context, chosen.order, page_at)
    return Export(tuple(Column(name, kind) for name, (_, kind) in columns.items()), pages)
