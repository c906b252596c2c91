"""Limits on calls: the type, the part of `Account` that shows it, and `setCallLimits`."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from resolvers.call_limits import call_limits, change_call_limits
from schema.account_row import HasAccountRow, LazyAccount, load_account
from schema.errors import UserError
from schema.info import Info
from schema.mutation import errors_field, mutation
from schema.node import number_of
from schema.scalars import Money


@strawberry.type(
    description="What an account may do with calls beyond what its credit allows; looked at when a call of it, or of "
    "an account below it, is authorised or extended."
)
class CallLimits:
    concurrent_calls_max: int | None = strawberry.field(description="How many calls may run at once; null: any number.")
    daily_spend_max: Money | None = strawberry.field(description="How much may be spent on a UTC day; null: no limit.")
    call_duration_seconds_max: int | None = strawberry.field(description="How long a call may last; null: no limit.")
    allowed_prefixes: list[str] = strawberry.field(description="Only numbers with these prefixes; empty: all numbers.")
    forbidden_prefixes: list[str] = strawberry.field(description="No numbers with these prefixes.")
    no_loss_calls: bool = strawberry.field(
        description="Whether calls are refused for which its customer would pay less than it does itself: per minute, "
        "or where that is the same, as the connection fee."
    )
    running_calls: int | None = strawberry.field(
        description="How many calls run now; null where their number is not limited."
    )
    spent_today: Money = strawberry.field(
        description="What it was charged for calls of this UTC day, and what is held."
    )


@strawberry.type
class AccountCallLimits(HasAccountRow):
    @strawberry.field(description="Its limits on calls, and how far they are used.")
    async def call_limits(self, info: Info) -> CallLimits:
        limits = await call_limits(info.context, self.row.id)
        spend = limits.daily_spend_max_units
        return CallLimits(
            concurrent_calls_max=limits.concurrent_calls_max,
            daily_spend_max=None if spend is None else Money(spend),
            call_duration_seconds_max=limits.call_duration_max_s,
            allowed_prefixes=list(limits.allowed_prefixes),
            forbidden_prefixes=list(limits.forbidden_prefixes),
            no_loss_calls=limits.no_loss_calls,
            running_calls=None if limits.concurrent_calls_max is None else limits.running_calls,
            spent_today=Money(limits.spent_today_units),
        )


@strawberry.input(description="Limits on calls. What is left out stays; null, or an empty list, lifts a limit.")
class SetCallLimitsInput:
    account_id: strawberry.ID = strawberry.field(description="The account to limit.")
    concurrent_calls_max: int | None = strawberry.field(default=UNSET, description="How many calls may run at once.")
    daily_spend_max: Money | None = strawberry.field(default=UNSET, description="How much may be spent on a UTC day.")
    call_duration_seconds_max: int | None = strawberry.field(default=UNSET, description="How long a call may last.")
    allowed_prefixes: list[str] | None = strawberry.field(
        default=UNSET, description="Only numbers with these prefixes, with the country code."
    )
    forbidden_prefixes: list[str] | None = strawberry.field(
        default=UNSET, description="No numbers with these prefixes, with the country code."
    )
    no_loss_calls: bool | None = strawberry.field(
        default=UNSET,
        description="Refuse calls for which its customer would pay less than it does itself. A reseller sets this for "
        "itself as well.",
    )


_COLUMNS = {
    "concurrent_calls_max": "concurrent_calls_max",
    "daily_spend_max": "daily_spend_max_units",
    "call_duration_seconds_max": "call_duration_max_s",
    "allowed_prefixes": "allowed_prefixes",
    "forbidden_prefixes": "forbidden_prefixes",
    "no_loss_calls": "no_loss_calls",
}


@strawberry.type(description="Payload of `setCallLimits`.")
class SetCallLimitsPayload:
    account: LazyAccount | None = strawberry.field(default=None, description="The account as it is now.")
    errors: list[UserError] = errors_field()


@strawberry.type
class CallLimitMutations:
    @mutation(description="Limit the calls of a direct customer. Running calls go on.")
    async def set_call_limits(
        self, info: Info, input: Annotated[SetCallLimitsInput, strawberry.argument(description="The limits.")]
    ) -> SetCallLimitsPayload:
        account_id = number_of("Account", input.account_id)
        given = {column: getattr(input, name) for name, column in _COLUMNS.items()}
        changes = {column: value for column, value in given.items() if value is not UNSET}
        await change_call_limits(info.context, account_id, changes)
        return SetCallLimitsPayload(account=await load_account(info.context, account_id))
