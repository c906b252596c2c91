"""How many exports run at once: each keeps a processor busy, and calls have to be charged beside them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from resolvers.request_errors import TooManyAtOnce


class ExportSlots:
    """Of one process: ``total`` in all, so that one slow reader of ``per_account`` files cannot keep others waiting."""

    def __init__(self, total: int, per_account: int) -> None:
        self._total = total
        self._per_account = per_account
        self._taken: Counter[int] = Counter()

    @contextmanager
    def taken(self, account_id: int) -> Iterator[None]:
        """A slot of the account that asks, for as long as its export runs. Raises: TooManyAtOnce."""
        if self._taken[account_id] >= self._per_account:
            raise TooManyAtOnce(f"You have {self._per_account} exports running: wait until one has ended.")
        if self._taken.total() >= self._total:
            raise TooManyAtOnce("Others are exporting right now. Try again shortly.")
        self._taken[account_id] += 1
        try:
            yield
        finally:
            self._taken[account_id] -= 1
            if not self._taken[account_id]:
                del self._taken[account_id]
