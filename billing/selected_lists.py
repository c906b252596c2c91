"""The rate lists that accounts had lately: a wrong one costs a second rating, never a wrong price."""

import numpy as np

from billing.call_rows import Int64s

# Account ids are handed out one after the other: 128 MB where there are so many. Those beyond are asked for each time.
ACCOUNT_ID_MAX = 2**24
# No list has this id.
UNKNOWN = 0


class SelectedLists:
    """One process's memory of them, eight bytes for each account up to twice the highest that was charged."""

    def __init__(self, account_id_max: int = ACCOUNT_ID_MAX) -> None:
        self._account_id_max = account_id_max
        self._lists = np.zeros(1024, np.int64)

    def of(self, account_ids: Int64s) -> Int64s:
        """The list of each of these accounts, `UNKNOWN` where it is not remembered."""
        found = np.full(len(account_ids), UNKNOWN, np.int64)
        within = account_ids < len(self._lists)
        found[within] = self._lists[account_ids[within]]
        return found

    def remember(self, account_ids: Int64s, list_ids: Int64s) -> None:
        """From now on these accounts have these lists."""
        within = account_ids <= self._account_id_max
        account_ids, list_ids = account_ids[within], list_ids[within]
        highest = int(account_ids.max(initial=0))
        if highest >= len(self._lists):
            # Zeros take memory only where they are written over.
            more = np.zeros(min(max(highest + 1, 2 * len(self._lists)), self._account_id_max + 1), np.int64)
            more[: len(self._lists)] = self._lists
            self._lists = more
        self._lists[account_ids] = list_ids
