"""Where a reseller loses: prefixes for which its customer pays less than it does itself."""

import asyncio

from billing.call_limits import loses
from billing.rating import Price, is_usable, price_levels
from resolvers.access import AccountPath
from resolvers.context import RequestContext
from resolvers.prices import table_of_list, tables_of_path


async def losing_price(context: RequestContext, path: AccountPath, rate_list_id: int) -> Price | None:
    """The list's first own price, by prefix, that is lower than what the reseller of the account at the end of
    ``path`` pays there now; None where none is. The list's percentage is not looked at.
    """
    upper = (await tables_of_path(context, path[:-1])).tables
    read = await table_of_list(context, rate_list_id)
    (own,) = read.tables

    def find() -> Price | None:
        for prefix in own.ordered_prefixes():
            entry = own.holding(prefix, read.read_at)
            if entry is None or entry.price is None:
                continue
            reseller, customer = price_levels(upper[0], [*upper[1:], own], prefix, read.read_at)[-2:]
            if is_usable(reseller) and is_usable(customer) and loses(reseller, customer):
                return customer
        return None

    # A list may have as many prefixes as a whole deck: not on the event loop.
    return await asyncio.to_thread(find) if own.entries else None
