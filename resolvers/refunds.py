"""Refunding calls: the operator alone, since a refund moves the money of the whole path (docs/adr/0016)."""

from billing import refunds
from billing.charge_order import Booked
from billing.errors import NotFound, Refusal
from billing.texts import REMARK_LENGTH_MAX, check_text, is_storable
from resolvers.access import Scope, require_operator
from resolvers.calls import call_by_call_id
from resolvers.context import RequestContext


async def refund_call(context: RequestContext, call_id: str, reason: str) -> Booked:
    """Give back what every level pays for the call, once.

    Raises: NotFound; NotAllowed for anybody but the operator; InvalidInput for no reason; NothingToRefund;
    IdempotencyConflict; MonthClosed.
    """
    viewer = context.require_viewer(Scope.MANAGE)
    # Of a closed month the operator learns more than that there is no such call.
    seen = is_storable(call_id) if viewer.is_operator else await call_by_call_id(context, call_id) is not None
    if not seen:
        raise NotFound("There is no such call.", path=("callId",))
    require_operator(viewer, "refund a call: it gives back the charges of the whole path")
    reason = check_text(reason.strip(), length_min=1, length_max=REMARK_LENGTH_MAX, path=("reason",))
    async with context.services.db.charging_connection() as connection:
        outcome = await refunds.refund_call(connection, call_id=call_id, reason=reason, author_id=viewer.account_id)
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome
