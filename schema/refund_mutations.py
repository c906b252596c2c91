"""`refundCall`."""

import strawberry

from resolvers.refunds import refund_call
from schema.calls import Call
from schema.errors import UserError
from schema.info import Info
from schema.mutation import Input, errors_field, mutation


@strawberry.input(description="A call whose charges are to be given back.")
class RefundCallInput:
    call_id: str = strawberry.field(description="The `callId` it was reported with: the idempotency key.")
    reason: str = strawberry.field(description="Why, for everybody who sees the call; 1 to 1,000 characters.")


@strawberry.type(description="Payload of `refundCall`.")
class RefundCallPayload:
    call: Call | None = strawberry.field(default=None, description="The refunded call.")
    duplicate: bool = strawberry.field(
        default=False, description="Whether it had been refunded for this reason already; nothing changed then."
    )
    errors: list[UserError] = errors_field()


@strawberry.type
class RefundMutations:
    @mutation(
        description="Give back all that a call cost, on every level of its path, once; the operator alone may. A "
        "reseller that wants to be generous gives its customer credit (`createCreditTransaction`). A call that nobody "
        "was charged for is refused with NOTHING_TO_REFUND, a refunded one with another reason with "
        "IDEMPOTENCY_CONFLICT."
    )
    async def refund_call(self, info: Info, input: Input[RefundCallInput]) -> RefundCallPayload:
        booked = await refund_call(info.context, input.call_id, input.reason)
        return RefundCallPayload(call=Call.of(booked.call), duplicate=booked.duplicate)
