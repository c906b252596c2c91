"""What is answered to an order about a call whose month is closed. Pure but for `find_closed_calls`.

A closed month keeps only the ``callId``s of its calls, whose they are and when they began: enough to know a call again
that is reported once more, not enough to answer it.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

import asyncpg

from billing.call_batch import CallBatch, other_content
from billing.charge_order import ChargeOrder
from billing.errors import CallEnded, InvalidCall, MonthClosed, Refusal
from billing.hold_order import AuthorizeOrder, ExtendOrder, SettleOrder
from models.call_month import month_of

_FIND = """
SELECT call_id, account_id, started_at
FROM call_keys
JOIN closed_months ON closed_months.month = CAST(date_trunc('month', started_at AT TIME ZONE 'UTC') AS date)
WHERE call_id = ANY($1::text[])
"""


class ClosedCall(NamedTuple):
    """What is still known of a call of a closed month."""

    call_id: str
    account_id: int
    started_at: datetime


async def find_closed_calls(connection: "asyncpg.Connection[Any]", call_ids: Iterable[str]) -> dict[str, ClosedCall]:
    """The calls among these ``callId``s that began in a month that is closed."""
    rows = await connection.fetch(_FIND, list(call_ids))
    return {row["call_id"]: ClosedCall(*row) for row in rows}


def closed_refusal(
    order: ChargeOrder | AuthorizeOrder | ExtendOrder | SettleOrder,
    batch: CallBatch,
    months: frozenset[date],
    calls: Mapping[str, ClosedCall],
) -> Refusal | None:
    """Why the order cannot be carried out; None where it has nothing to do with ``months``, the closed ones.

    ``calls`` are the orders' calls that began in them.
    """
    if not months or order.call_id in batch.booked:
        return None
    if (known := calls.get(order.call_id)) is not None:
        return _refusal_of_known(order, known)
    closed = next((month for month in map(month_of, _starts(order, batch)) if month in months), None)
    if closed is None:
        return None
    return InvalidCall(
        f"Calls that began in {closed:%Y-%m} are not taken any more: the month is closed.", path=("startedAt",)
    )


def _refusal_of_known(order: ChargeOrder | AuthorizeOrder | ExtendOrder | SettleOrder, known: ClosedCall) -> Refusal:
    match order:
        case AuthorizeOrder() | ExtendOrder():
            return CallEnded(known.account_id)
        case ChargeOrder() if (order.path[-1], order.started_at) != (known.account_id, known.started_at):
            return other_content()
    return MonthClosed(
        "This call is in the books; its month is closed, and its details are not kept any more.",
        path=("callId",),
        caller_id=known.account_id,
    )


def _starts(order: ChargeOrder | AuthorizeOrder | ExtendOrder | SettleOrder, batch: CallBatch) -> list[datetime]:
    """When the call began that the order books or will lead to."""
    hold = batch.holds.get(order.call_id)
    match order:
        case ChargeOrder():
            return [order.started_at]
        case ExtendOrder():
            return [hold.at] if hold is not None else []
        case SettleOrder():
            start = order.started_at or (hold.at if hold is not None else None)
            return [start] if start is not None else []
        case AuthorizeOrder():
            ends = batch.early_ends.get(order.call_id, {}).values()
            starts = [hold.at if hold is not None else order.at, *(end.started_at for end in ends)]
            return [start for start in starts if start is not None]
