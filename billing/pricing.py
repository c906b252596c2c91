"""What every account of a batch pays: its selected list, and the lists. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from billing.rating import Price, RateTable, price_path


class Pricing(NamedTuple):
    """Selected list of each account, and the lists."""

    selections: Mapping[int, int]
    tables: Mapping[int, RateTable]
    base: RateTable

    def table_of(self, account_id: int) -> RateTable:
        """The account's selected list. Raises: KeyError: it is not known."""
        return self.tables[self.selections[account_id]]

    def prices_of(self, path: tuple[int, ...], number: str, at: datetime) -> list[Price | None]:
        """Each level's price, operator first. Raises: KeyError: an account's list is not known."""
        return price_path(self.base, map(self.table_of, path[1:]), number, at)
