"""What has changed about the charges of a call: the type."""

from datetime import datetime

import strawberry

from billing import call_adjustments
from resolvers.call_adjustments import AdjustmentRow
from schema.account_row import LazyAccount, load_account
from schema.enums import graphql_enum
from schema.info import Info
from schema.scalars import Money, Price

CallAdjustmentKind = graphql_enum(
    call_adjustments.AdjustmentKind,
    name="CallAdjustmentKind",
    description="Why the charge of a call changed.",
    values={
        "REFUND": "All that was charged was given back (`refundCall`).",
        "RERATE": "The call was rated anew, after a rate was mended (`rerateCalls`).",
    },
)


@strawberry.type(description="A change of what one level of the path pays for a call, after it was booked.")
class CallAdjustment:
    row: strawberry.Private[AdjustmentRow]
    kind: CallAdjustmentKind = strawberry.field(description="Why it changed.")  # type: ignore[valid-type]
    amount: Money = strawberry.field(description="The change of the charge: negative where the level was given back.")
    price_per_minute_before: Price | None = strawberry.field(
        description="The level's price per minute until then; null where the call had none."
    )
    price_per_minute_after: Price | None = strawberry.field(description="The level's price per minute since then.")
    reason: str | None = strawberry.field(description="Why, in the words of whoever refunded the call.")
    created_at: datetime = strawberry.field(description="When it changed.")

    @strawberry.field(description="The level: an account from the viewer down to the caller.")
    async def account(self, info: Info) -> LazyAccount:
        account = await load_account(info.context, self.row.account_id)
        assert account is not None, "only visible levels are shown"
        return account

    @strawberry.field(description="Who changed it; null where the viewer may not see that account.")
    async def created_by(self, info: Info) -> LazyAccount | None:
        return await load_account(info.context, self.row.created_by_id)

    @classmethod
    def of(cls, row: AdjustmentRow) -> "CallAdjustment":
        return cls(
            row=row,
            kind=call_adjustments.AdjustmentKind(row.kind),
            amount=Money(row.amount_units),
            price_per_minute_before=None if row.price_before_e8 is None else Price(row.price_before_e8),
            price_per_minute_after=None if row.price_after_e8 is None else Price(row.price_after_e8),
            reason=row.reason,
            created_at=row.created_at,
        )
