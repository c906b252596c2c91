"""What an account pays: the rate tables along its path, as of now."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text

from billing.price_book import current_epoch
from billing.rating import RateTable
from models.database import driver_connection
from resolvers.access import AccountPath
from resolvers.context import RequestContext

# The operator's deck first, then the selected list of each account below the operator, top down.
PathTables = tuple[RateTable, ...]

_SELECTED = text("SELECT account_id, rate_list_id FROM account_state WHERE account_id = ANY(:account_ids)")


async def tables_of_path(context: RequestContext, path: AccountPath) -> PathTables:
    """The tables that make the prices of the account at the end of ``path``. Batched."""

    async def load_many(paths: Sequence[AccountPath]) -> dict[AccountPath, PathTables]:
        account_ids = list({account_id for path in paths for account_id in path})
        async with context.services.db.read() as connection:
            rows = await connection.execute(_SELECTED, {"account_ids": account_ids})
            selected = {row.account_id: row.rate_list_id for row in rows}
            raw = await driver_connection(connection)
            book = context.services.price_book
            tables = await book.refresh(raw, await current_epoch(raw), selected.values())
        base = tables[book.base_id]
        return {path: (base, *(tables[selected[account_id]] for account_id in path[1:])) for path in paths}

    found = await context.loaders.loader("path tables", load_many).load(path)
    assert found is not None
    return found


async def table_of_list(context: RequestContext, rate_list_id: int) -> RateTable:
    """The table of one list that exists. Batched."""

    async def load_many(rate_list_ids: Sequence[int]) -> Mapping[int, RateTable]:
        async with context.services.db.read() as connection:
            raw = await driver_connection(connection)
            return await context.services.price_book.refresh(raw, await current_epoch(raw), rate_list_ids)

    found = await context.loaders.loader("rate table", load_many).load(rate_list_id)
    assert found is not None
    return found
