"""What an account pays for each destination, to be exported."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

from resolvers.accounts import AccountRow
from resolvers.context import RequestContext
from resolvers.exports import Cell, CellKind, Column, Export, every_page
from resolvers.prices import tables_of_path
from resolvers.rates import RateFilter, RateRow, rates_of_path

_COLUMNS = (
    Column("prefix", CellKind.TEXT),
    Column("destination", CellKind.TEXT),
    Column("pricePerMinute", CellKind.PRICE),
    Column("connectionFee", CellKind.PRICE),
    Column("firstIncrementSeconds", CellKind.WHOLE),
    Column("nextIncrementSeconds", CellKind.WHOLE),
    Column("effectiveFrom", CellKind.INSTANT),
    Column("blocked", CellKind.FLAG),
)


def export_rates(context: RequestContext, account: AccountRow, chosen: RateFilter, at: datetime | None) -> Export:
    """The rates that hold at ``at``, by default now: all of one moment, since tables in memory never change."""

    async def rows() -> AsyncGenerator[Sequence[Sequence[Cell]], None]:
        read = await tables_of_path(context, account.path)
        async for page in every_page(context, "rates", lambda page: rates_of_path(read, page, chosen, at)):
            yield [_cells(row) for row in page]

    return Export(_COLUMNS, rows())


def _cells(row: RateRow) -> Sequence[Cell]:
    price = row.price
    return (
        price.prefix,
        price.destination,
        price.price_per_minute_e8,
        price.connection_fee_e8,
        price.first_increment_s,
        price.next_increment_s,
        row.effective_from,
        price.blocked,
    )
