"""The `Usage` type, and the part of `Account` that shows it."""

from datetime import date
from typing import Annotated

import strawberry

from resolvers.account_figures import UsageRequest, usage, usage_request
from schema.account_row import HasAccountRow
from schema.info import Info
from schema.list_requests import asks
from schema.scalars import BigInt, Money


@strawberry.type(description="What was called in a span of days, by an account and by everything below it.")
class Usage:
    calls: BigInt = strawberry.field(description="How many calls.")
    duration_seconds: BigInt = strawberry.field(description="Talked seconds, summed over the calls.")
    charged: Money = strawberry.field(description="What the account itself pays for these calls, less refunds.")
    refunded: Money = strawberry.field(description="What refunds of these calls gave back to the account itself.")


@asks("Account", "usage", lasting=False)
def account_usage_request(since: date | None = None, until: date | None = None) -> UsageRequest:
    """What the arguments of `usage` ask for, as of today. Raises: BadUserInput."""
    return usage_request(since, until)


@strawberry.type
class AccountUsage(HasAccountRow):
    @strawberry.field(description="Calls of it and of everything below it in whole UTC days; by default the last 28.")
    async def usage(
        self,
        info: Info,
        since: Annotated[
            date | None, strawberry.argument(description="The first day; by default 27 days before the last.")
        ] = None,
        until: Annotated[date | None, strawberry.argument(description="The last day; by default today.")] = None,
    ) -> Usage:
        found = await usage(info.context, self.row.id, account_usage_request(since, until))
        return Usage(
            calls=BigInt(found.calls),
            duration_seconds=BigInt(found.duration_s),
            charged=Money(found.charged_units),
            refunded=Money(found.refunded_units),
        )
