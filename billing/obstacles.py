"""What keeps some calls of a batch from being charged together with the others, and which these are. Pure.

A call is kept back with every call that shares with it what stands in its way, so their sequence among each other is
kept, and in what they share with the others there is enough for all of them: whichever is charged first, each is
answered the same. Orders of calls that run are taken last: they came in requests of their own, which are answered at
the same time as those of finished calls, so nobody knows which was first.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from billing.batch_rating import Chosen, RatedTogether
from billing.call_rows import int64s, totals_of
from billing.charge_order import ChargeOrder
from billing.orders import Order
from billing.standing import Standing


class Obstacles(NamedTuple):
    """Accounts that are blocked, have another list than was thought or cannot pay for all, and ``callId``s of which
    something is kept.
    """

    account_ids: frozenset[int] = frozenset()
    call_ids: frozenset[str] = frozenset()


NOTHING = Obstacles()


class Parted(NamedTuple):
    """A batch in two: ``together`` can be charged at once, the orders ``kept_back`` have to be taken one by one.

    ``positions`` are where these are among the orders; ``reserved`` is what accounts that nothing is said against pay
    for them, as far as they could be rated.
    """

    together: RatedTogether
    kept_back: Sequence[Order]
    positions: Sequence[int]
    reserved: Mapping[int, int]
    obstacles: Obstacles

    def is_as_thought(
        self,
        selections: Mapping[int, int],
        selections_now: Mapping[int, int],
        standing: Mapping[int, Standing],
    ) -> bool:
        """Whether no more stands in the way of what is kept back than was seen, when the others have paid.

        ``selections`` are those by which the finished calls were rated, ``selections_now`` and ``standing`` of the
        accounts of what is kept back, behind their locks.
        """
        return all(
            selections[account_id] == list_id and standing[account_id].can_pay(self.reserved.get(account_id, 0))
            for account_id, list_id in selections_now.items()
            if account_id in selections and account_id not in self.obstacles.account_ids
        )


def part(orders: Sequence[Order], rated: RatedTogether, obstacles: Obstacles) -> Parted:
    """``rated`` are those of the finished calls among the orders that have a price on every level."""
    call_ids = obstacles.call_ids | _repeated(orders)
    in_the_way = _touched(rated, obstacles.account_ids)
    if call_ids:
        in_the_way |= np.array([order.call_id in call_ids for order in rated.orders])
    together, reserved = rated, {}
    if in_the_way.any():
        together, reserved = rated.only(~in_the_way), totals_of(rated.only(in_the_way).levels)
    is_finished = np.array([isinstance(order, ChargeOrder) for order in orders])
    stays = np.ones(len(orders), np.bool_)
    stays[np.flatnonzero(is_finished)[together.positions]] = False
    positions = [*np.flatnonzero(stays & is_finished).tolist(), *np.flatnonzero(~is_finished).tolist()]
    return Parted(
        together,
        [orders[position] for position in positions],
        positions,
        {account_id: units for account_id, units in reserved.items() if account_id not in obstacles.account_ids},
        obstacles,
    )


def _touched(rated: RatedTogether, account_ids: frozenset[int]) -> Chosen:
    """Of each call whether one of these accounts is on its path."""
    levels = rated.levels
    if not account_ids:
        return np.zeros(len(levels.depths), np.bool_)
    begins = np.cumsum(levels.depths) - levels.depths
    touched: Chosen = np.logical_or.reduceat(np.isin(levels.account_ids, int64s(list(account_ids))), begins)
    return touched


def _repeated(orders: Sequence[Order]) -> frozenset[str]:
    """The ``callId``s that more than one order has."""
    call_ids = [order.call_id for order in orders]
    if len(set(call_ids)) == len(call_ids):
        return frozenset()
    return frozenset(call_id for call_id, count in Counter(call_ids).items() if count > 1)
