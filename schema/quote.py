"""`quote`: what a call would cost on each level."""

from datetime import datetime
from typing import Annotated

import strawberry

from resolvers import quotes
from resolvers.quotes import QuotedLevel
from schema.account_row import LazyAccount, load_account
from schema.errors import UserError
from schema.info import Info
from schema.node import number_of
from schema.scalars import Money, Price


@strawberry.type(description="What one level of the path would pay for a call.")
class QuoteLevel:
    prefix: str = strawberry.field(description="The prefix that sets the price.")
    destination: str | None = strawberry.field(description="The name of the destination.")
    price_per_minute: Price = strawberry.field(description="The price of sixty billed seconds.")
    connection_fee: Price = strawberry.field(description="What the call costs besides, once.")
    billed_seconds: int = strawberry.field(description="The duration raised to the level's increments.")
    amount: Money = strawberry.field(description="What would be charged, rounded once, half up, to five decimals.")
    account_id: strawberry.Private[int]

    @strawberry.field(description="The level: an account from the viewer down to the caller.")
    async def account(self, info: Info) -> LazyAccount:
        account = await load_account(info.context, self.account_id)
        assert account is not None, "only visible levels are quoted"
        return account

    @classmethod
    def of(cls, level: QuotedLevel) -> "QuoteLevel":
        return cls(
            account_id=level.account_id,
            prefix=level.price.prefix,
            destination=level.price.destination,
            price_per_minute=Price(level.price.price_per_minute_e8),
            connection_fee=Price(level.price.connection_fee_e8),
            billed_seconds=level.billed_s,
            amount=Money(level.amount_units),
        )


@strawberry.type(description="What a call would cost. Nothing is charged or held.")
class Quote:
    number: str | None = strawberry.field(description="The number as E.164 digits; null where it is none.")
    duration_seconds: int = strawberry.field(description="The duration asked for.")
    at: datetime = strawberry.field(description="The time whose prices these are.")
    levels: list[QuoteLevel] = strawberry.field(
        description="From the viewer down to the caller; empty where a level of the path has no usable rate."
    )
    refusal: UserError | None = strawberry.field(
        description="Why `chargeCall` would refuse the call now; null where it would charge it."
    )


@strawberry.type
class QuoteQueries:
    @strawberry.field(
        description="What a call of an account would cost each level that the viewer may see; null where the viewer "
        "may not see the account."
    )
    async def quote(
        self,
        info: Info,
        account_id: Annotated[strawberry.ID, strawberry.argument(description="Who would call.")],
        number: Annotated[
            str, strawberry.argument(description="The number called: `+`, `00` or the country code first.")
        ],
        duration_seconds: Annotated[int, strawberry.argument(description="Talked seconds, at most a week.")],
        at: Annotated[datetime | None, strawberry.argument(description="When it would begin; by default now.")] = None,
    ) -> Quote | None:
        found = await quotes.quote(info.context, number_of("Account", account_id), number, duration_seconds, at)
        if found is None:
            return None
        return Quote(
            number=found.number,
            duration_seconds=found.duration_s,
            at=found.at,
            levels=[QuoteLevel.of(level) for level in found.levels],
            refusal=None if found.refusal is None else UserError.of(found.refusal),
        )
