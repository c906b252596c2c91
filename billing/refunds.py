"""Giving a call's charges back along its whole path, once."""

from datetime import timedelta
from typing import Any

import asyncpg

from billing import balances
from billing.call_adjustments import (
    Adjustment,
    AdjustmentKind,
    CallPlace,
    ChargedCall,
    read_charged_calls,
    write_adjustments,
)
from billing.call_months import closed_refusal_between
from billing.charge_order import Booked, CallStatus, Outcome
from billing.errors import IdempotencyConflict, NotFound, NothingToRefund

_PATH = """
SELECT call_keys.account_id, call_keys.started_at, call_keys.call_no, accounts.path
FROM call_keys JOIN accounts ON accounts.id = call_keys.account_id
WHERE call_keys.call_id = $1
"""

_REASON = """
SELECT reason FROM call_adjustments
WHERE account_id = $1 AND started_at = $2 AND call_no = $3 AND kind = 'REFUND'
"""

_INSTANT = timedelta(microseconds=1)


async def refund_call(connection: "asyncpg.Connection[Any]", *, call_id: str, reason: str, author_id: int) -> Outcome:
    """Give back what every level pays for the call, and mark it REFUNDED; all in one transaction of its own.

    The same refund again answers the refunded call as a duplicate. Refusals are answered, not raised: NOT_FOUND;
    NOTHING_TO_REFUND where nobody was charged; IDEMPOTENCY_CONFLICT where the call was refunded for another reason;
    MONTH_CLOSED.
    Locks the states of the path, which begins with the operator's.
    """
    found = await connection.fetchrow(_PATH, call_id)
    if found is None:
        return NotFound("There is no such call.", path=("callId",))
    *place, path = found
    started_at = found["started_at"]
    async with connection.transaction():
        await balances.lock_states(connection, path)
        # Behind the operator's lock: no month is being closed meanwhile.
        closed = await closed_refusal_between(connection, started_at, started_at + _INSTANT)
        if closed is not None:
            return closed
        (charged,) = await read_charged_calls(connection, [CallPlace(*place)])
        if charged.call.status == CallStatus.REFUNDED:
            if await connection.fetchval(_REASON, *place) != reason:
                return IdempotencyConflict("This call was refunded before, for another reason.", path=("callId",))
            return Booked(charged.call, duplicate=True)
        if not any(charged.amounts):
            return NothingToRefund("Nobody was charged for this call.", path=("callId",))
        refunded = without_charges(charged)
        balance_changes = await write_adjustments(
            connection,
            AdjustmentKind.REFUND,
            [Adjustment(charged, refunded)],
            reason=reason,
            author_id=author_id,
        )
        await balances.apply_to_locked(connection, balance_changes, balances.Cause.REFUND)
    return Booked(refunded.call, duplicate=False)


def without_charges(charged: ChargedCall) -> ChargedCall:
    """The call as it is when refunded: nobody pays; prices and billed seconds stay, as what had been charged for."""
    call = charged.call._replace(charged_units=0, status=CallStatus.REFUNDED)
    return charged._replace(call=call, amounts=(0,) * len(charged.path))
