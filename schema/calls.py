"""Calls: the type, what each visible level paid, and how to find one."""

from datetime import datetime
from typing import Annotated

import strawberry

from billing import charge_order
from billing.charge_order import BookedCall
from billing.texts import is_storable
from resolvers import calls
from resolvers.call_adjustments import AdjustmentRow, refund_by_level, visible_adjustments
from resolvers.calls import NO_CALL, ChargeRow
from resolvers.context import RequestContext
from schema.account_row import LazyAccount, load_account
from schema.call_adjustment import CallAdjustment
from schema.enums import graphql_enum
from schema.info import Info
from schema.list_requests import asks
from schema.node import Node, findable, global_id
from schema.scalars import Money, Price

CallStatus = graphql_enum(
    charge_order.CallStatus,
    name="CallStatus",
    description="What became of a call.",
    values={
        "CHARGED": "Every level of the path was charged its own price; of a call of 0 seconds, nothing.",
        "UNRATED": "A level had no rate: the call is kept, nobody was charged.",
        "RELEASED": "The call was authorised and never answered: nobody was charged.",
        "REFUNDED": "The call was charged, and everything was given back on every level: nobody pays for it.",
    },
)


@strawberry.type(description="What one level of the path pays for a call.")
class Charge:
    amount: Money = strawberry.field(
        description="What is charged, rounded once, half up, to five decimals; 0 for a refunded call."
    )
    price_per_minute: Price = strawberry.field(description="The level's own price per minute at the call's start.")
    refunded: Money = strawberry.field(description="What the refund of the call gave back to the level, if it was.")
    account_id: strawberry.Private[int]

    @strawberry.field(description="The level: an account from the viewer down to the caller.")
    async def account(self, info: Info) -> LazyAccount:
        account = await load_account(info.context, self.account_id)
        assert account is not None, "only visible levels have a charge"
        return account

    @classmethod
    def of(cls, row: ChargeRow, refund: AdjustmentRow | None) -> "Charge":
        assert row.price_per_minute_e8 is not None
        return cls(
            account_id=row.account_id,
            amount=Money(row.amount_units),
            price_per_minute=Price(row.price_per_minute_e8),
            refunded=_given_back(refund),
        )


def _given_back(refund: AdjustmentRow | None) -> Money:
    return Money(0 if refund is None else -refund.amount_units)


@strawberry.type(description="One telephone call that is in the books.")
class Call(Node):
    row: strawberry.Private[BookedCall]
    call_id: str = strawberry.field(description="The switch's own id of the call, unique for ever.")
    number: str = strawberry.field(description="The called number: E.164 digits.")
    caller_number: str | None = strawberry.field(description="The number shown to the called party, as reported.")
    destination: str | None = strawberry.field(description="The name of the matched destination; null if unrated.")
    prefix: str | None = strawberry.field(description="The prefix that set the caller's price; null if unrated.")
    started_at: datetime = strawberry.field(description="When the call began.")
    duration_seconds: int = strawberry.field(description="Talked time in whole seconds.")
    billed_seconds: int = strawberry.field(description="Talked time raised to the caller's increments.")
    charged: Money = strawberry.field(
        description="What the account that made the call pays for it; 0 if it was refunded."
    )
    status: CallStatus = strawberry.field(description="What became of the call.")  # type: ignore[valid-type]
    unrated_reason: str | None = strawberry.field(description="Why an unrated call has no price; null if charged.")
    overdrawn: bool = strawberry.field(
        description="Whether a level's credit did not cover it (charged all the same: it had been carried)."
    )

    @strawberry.field(description="The account that made the call.")
    async def account(self, info: Info) -> LazyAccount:
        account = await load_account(info.context, self.row.account_id)
        assert account is not None, "only calls of visible accounts are shown"
        return account

    @strawberry.field(
        description="What each level pays, top down, from the viewer to the caller; empty if the call is unrated."
    )
    async def charges(self, info: Info) -> list[Charge]:
        charges = await calls.visible_charges(info.context, self.row)
        refunds = await refund_by_level(info.context, self.row)
        return [Charge.of(row, refunds.get(row.account_id)) for row in charges]

    @strawberry.field(description="What a refund gave back to the account that made the call; 0 if there was none.")
    async def refunded(self, info: Info) -> Money:
        refund = (await refund_by_level(info.context, self.row)).get(self.row.account_id)
        return _given_back(refund)

    @strawberry.field(description="Why the call was refunded; null if it was not.")
    async def refund_reason(self, info: Info) -> str | None:
        refund = (await refund_by_level(info.context, self.row)).get(self.row.account_id)
        return None if refund is None else refund.reason

    @strawberry.field(
        description="What changed about its charges after it was booked, the oldest first; only the levels from the "
        "viewer to the caller, and of those the ones that pay otherwise since."
    )
    async def adjustments(self, info: Info) -> list[CallAdjustment]:
        return [CallAdjustment.of(row) for row in await visible_adjustments(info.context, self.row)]

    @classmethod
    def of(cls, row: BookedCall) -> "Call":
        return cls(
            row=row,
            id=global_id("Call", row.call_id),
            call_id=row.call_id,
            number=row.number,
            caller_number=row.caller_number,
            destination=row.destination,
            prefix=row.prefix,
            started_at=row.started_at,
            duration_seconds=row.duration_s,
            billed_seconds=row.billed_s,
            charged=Money(row.charged_units),
            status=row.status,
            unrated_reason=row.unrated_reason,
            overdrawn=row.overdrawn,
        )


async def _load_call(context: RequestContext, call_id: str) -> Call | None:
    row = await calls.call_by_call_id(context, call_id)
    return None if row is None else Call.of(row)


findable("Call")(_load_call)


@asks("Query", "call")
def call_request(call_id: str) -> calls.OneCall:
    """What the arguments of `call` ask for."""
    return calls.OneCall(call_id if is_storable(call_id) else NO_CALL)


@strawberry.type
class CallQueries:
    @strawberry.field(description="A call by the switch's own id; null where the viewer sees none.")
    async def call(
        self,
        info: Info,
        call_id: Annotated[str, strawberry.argument(description="The `callId` it was reported with.")],
    ) -> Call | None:
        info.context.require_viewer()
        return await _load_call(info.context, call_id)
