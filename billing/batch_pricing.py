"""What the accounts of a batch pay: by the lists that they had lately, or by those that they have behind locks."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import numpy as np

from billing import balances
from billing.call_rows import account_ids_of, int64s
from billing.charge_order import ChargeOrder
from billing.price_book import PriceBook, current_epoch
from billing.pricing import Pricing
from billing.selected_lists import UNKNOWN, SelectedLists


class BatchPricing:
    """Of one process: its price book, the lists that accounts had lately, and the newest pricing epoch it has seen."""

    def __init__(self, price_book: PriceBook) -> None:
        self._price_book = price_book
        self._selected_lists = SelectedLists()
        self._epoch = 0

    async def look(self, connection: "asyncpg.Connection[Any]") -> None:
        """See what has changed by now. `holds_at` sees it without asking."""
        self._epoch = await current_epoch(connection)

    async def early(self, connection: "asyncpg.Connection[Any]", orders: Sequence[ChargeOrder]) -> Pricing:
        """By the lists that the accounts of these orders had lately, with nothing locked."""
        account_ids = np.unique(account_ids_of([order.path for order in orders])[1])
        list_ids = self._selected_lists.of(account_ids)
        are_unknown = list_ids == UNKNOWN
        if are_unknown.any():
            unknown = account_ids[are_unknown].tolist()
            found = await balances.selected_lists(connection, unknown)
            list_ids[are_unknown] = [found[account_id] for account_id in unknown]
            self._selected_lists.remember(account_ids[are_unknown], list_ids[are_unknown])
        selections = dict(zip(account_ids.tolist(), list_ids.tolist(), strict=True))
        tables = await self._price_book.refresh(connection, self._epoch, selections.values())
        return Pricing(selections, tables, self._price_book.base)

    async def holds_at(self, epoch: int, connection: "asyncpg.Connection[Any]", pricing: Pricing) -> bool:
        """Whether no list has changed since, by the epoch that was read behind the operator's lock."""
        self._epoch = epoch
        return await self._price_book.refresh(connection, epoch, pricing.selections.values()) is pricing.tables

    async def behind_locks(self, connection: "asyncpg.Connection[Any]", states: Sequence[asyncpg.Record]) -> Pricing:
        """The pricing that holds for these states, which are locked."""
        selections = {state["account_id"]: state["rate_list_id"] for state in states}
        # Asked for behind the locks: what was changed before a selection that they show is seen with it.
        self._epoch = await current_epoch(connection)
        tables = await self._price_book.refresh(connection, self._epoch, selections.values())
        self._selected_lists.remember(int64s(list(selections)), int64s(list(selections.values())))
        return Pricing(selections, tables, self._price_book.base)
