"""What an account pays: the rate tables along its path, as of now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.rating import RateTable
from models.database import driver_connection
from resolvers.access import AccountPath
from resolvers.context import RequestContext

_SELECTED = text("SELECT account_id, rate_list_id FROM account_state WHERE account_id = ANY(:account_ids)")
_EPOCH_AND_TIME = text("SELECT epoch, clock_timestamp() AS read_at FROM pricing_epoch")


@dataclass(frozen=True, slots=True)
class ReadTables:
    """Rate tables and when they were read, by the database's clock: a change just made has begun to hold by then.

    Of a path, the operator's deck comes first, then the selected list of each account below, top down.
    """

    tables: Sequence[RateTable]
    read_at: datetime


async def tables_of_path(context: RequestContext, path: AccountPath) -> ReadTables:
    """The tables that make the prices of the account at the end of ``path``. Batched."""

    async def load_many(paths: Sequence[AccountPath]) -> dict[AccountPath, ReadTables]:
        account_ids = list({account_id for path in paths for account_id in path})
        async with context.services.db.read() as connection:
            rows = await connection.execute(_SELECTED, {"account_ids": account_ids})
            selected = {row.account_id: row.rate_list_id for row in rows}
            tables, read_at = await _refreshed(context, connection, selected.values())
        base = tables[context.services.price_book.base_id]
        return {
            path: ReadTables((base, *(tables[selected[account_id]] for account_id in path[1:])), read_at)
            for path in paths
        }

    found = await context.loaders.loader("tables of path", load_many).load(path)
    assert found is not None
    return found


async def table_of_list(context: RequestContext, rate_list_id: int) -> ReadTables:
    """The one table of a list that exists. Batched."""

    async def load_many(rate_list_ids: Sequence[int]) -> dict[int, ReadTables]:
        async with context.services.db.read() as connection:
            tables, read_at = await _refreshed(context, connection, rate_list_ids)
        return {list_id: ReadTables((tables[list_id],), read_at) for list_id in rate_list_ids if list_id in tables}

    found = await context.loaders.loader("table of list", load_many).load(rate_list_id)
    assert found is not None
    return found


async def _refreshed(
    context: RequestContext, connection: AsyncConnection, rate_list_ids: Iterable[int]
) -> tuple[Mapping[int, RateTable], datetime]:
    now = (await connection.execute(_EPOCH_AND_TIME)).one()
    raw = await driver_connection(connection)
    return await context.services.price_book.refresh(raw, now.epoch, rate_list_ids), now.read_at
