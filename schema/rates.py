"""Rate lists and rates, and the parts of `Account` that show them."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from billing.rate_lists import losing_price_warning, losing_warning
from resolvers import rates
from resolvers.context import RequestContext
from resolvers.losing_prices import losing_price
from resolvers.prices import table_of_list, tables_of_path
from resolvers.rate_lists import (
    RateListRow,
    rate_lists_of,
    selected_rate_list,
    visible_rate_list,
)
from resolvers.rates import RateRow, rate_filter, rates_page_request
from schema.account_row import HasAccountRow, LazyAccount, load_account
from schema.info import Info
from schema.node import Node, findable, global_id, whole_number
from schema.pagination import After, Before, Connection, First, Last, connection
from schema.scalars import Percent, Price

PrefixArgument = Annotated[str | None, strawberry.argument(description="Only prefixes that begin with these digits.")]
SearchArgument = Annotated[
    str | None,
    strawberry.argument(
        description="Digits: prefixes that begin with them. Else: names of destinations with this text."
    ),
]
AtArgument = Annotated[
    datetime | None, strawberry.argument(description="As it holds at this time, such as a planned one; by default now.")
]


@strawberry.type(description="What calls to numbers with a prefix cost. A call of 0 seconds costs nothing.")
class Rate:
    prefix: str = strawberry.field(description="The first digits of the number, country code first. The longest wins.")
    destination: str | None = strawberry.field(description="The name of the destination, such as `Austria mobile`.")
    price_per_minute: Price = strawberry.field(description="The price of sixty billed seconds.")
    connection_fee: Price = strawberry.field(description="What a call costs besides, once.")
    first_increment_seconds: int = strawberry.field(description="The least that is billed of a call.")
    next_increment_seconds: int = strawberry.field(description="Beyond the first, whole increments of this are billed.")
    effective_from: datetime | None = strawberry.field(description="Since when it holds; null: since ever.")
    blocked: bool = strawberry.field(description="Whether calls there are refused.")

    @classmethod
    def of(cls, row: RateRow) -> "Rate":
        price = row.price
        return cls(
            prefix=price.prefix,
            destination=price.destination,
            price_per_minute=Price(price.price_per_minute_e8),
            connection_fee=Price(price.connection_fee_e8),
            first_increment_seconds=price.first_increment_s,
            next_increment_seconds=price.next_increment_s,
            effective_from=row.effective_from,
            blocked=price.blocked,
        )


@strawberry.type(
    description="What makes an account's price out of its reseller's: a percentage off, and prices of its own for "
    "chosen prefixes. The operator's deck, from which every price starts, is a list as well."
)
class RateList(Node):
    name: str = strawberry.field(description="Its name, unique among its owner's lists.")
    predefined: bool = strawberry.field(description="Whether it is one of the percentages that everybody may choose.")
    is_base: bool = strawberry.field(description="Whether it is the operator's deck, from which every price starts.")
    discount_percent: Percent = strawberry.field(
        description="How much less than the reseller itself its customers pay; negative: a markup."
    )
    warning: str | None = strawberry.field(
        description="What a reseller should know before it selects the list: that it loses on each minute."
    )
    row: strawberry.Private[RateListRow]

    @strawberry.field(description="Whose list it is; null for a predefined one.")
    async def owner(self, info: Info) -> LazyAccount | None:
        return await load_account(info.context, self.row.owner_id)

    @strawberry.field(description="Its own rates in the order of prefixes; a percentage is not applied to them.")
    async def rates(
        self,
        info: Info,
        prefix: PrefixArgument = None,
        search: SearchArgument = None,
        at: AtArgument = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Rate]:
        page = rates_page_request(first=first, after=after, last=last, before=before)
        chosen = rate_filter(prefix, search)
        read = await table_of_list(info.context, self.row.id)
        return connection(await rates.rates_of_list(read, page, chosen, at), page, Rate.of)

    @classmethod
    def of(cls, row: RateListRow) -> "RateList":
        return cls(
            id=global_id("RateList", row.id),
            name=row.name,
            predefined=row.is_predefined,
            is_base=row.is_base,
            discount_percent=Percent(row.discount_e4),
            warning=losing_warning(row.discount_e4),
            row=row,
        )


async def load_rate_list(context: RequestContext, rate_list_id: int | None) -> RateList | None:
    """The `RateList` of this number, or None where there is none or the viewer may not see it."""
    row = await visible_rate_list(context, rate_list_id)
    return None if row is None else RateList.of(row)


def warnings_of(rate_list: RateList | None) -> list[str]:
    """What a payload says of a list that was made, changed or selected."""
    return [rate_list.warning] if rate_list is not None and rate_list.warning is not None else []


async def warnings_of_selection(
    context: RequestContext, account: HasAccountRow | None, rate_list_id: int | None
) -> list[str]:
    """What a payload says of the list that it has selected for the account, if it has: where the reseller loses."""
    rate_list = await load_rate_list(context, rate_list_id)
    if account is None or rate_list is None:
        return []
    losing = await losing_price(context, account.row.path, rate_list.row.id)
    return [*warnings_of(rate_list), *([] if losing is None else [losing_price_warning(losing)])]


def warnings_field() -> Any:
    """The `warnings` of a payload."""
    return strawberry.field(
        default_factory=list,
        description="What to think over though it was done: that the reseller loses with this rate list.",
    )


@findable("RateList")
async def _find(context: RequestContext, key: str) -> RateList | None:
    return await load_rate_list(context, whole_number(key))


@strawberry.type
class AccountRates(HasAccountRow):
    @strawberry.field(
        description="The list that its reseller has selected for it; null for the viewer itself, whose reseller's "
        "prices it would give away."
    )
    async def rate_list(self, info: Info) -> RateList | None:
        row = await selected_rate_list(info.context, self.row)
        return None if row is None else RateList.of(row)

    @strawberry.field(
        description="The lists it chooses from for its customers: the predefined ones and its own. A customer has none."
    )
    async def rate_lists(self, info: Info) -> list[RateList]:
        info.context.require_viewer()
        return [RateList.of(row) for row in await rate_lists_of(info.context, self.row)]

    @strawberry.field(
        description="What this account pays for each destination, in the order of prefixes: exactly what it is charged."
    )
    async def rates(
        self,
        info: Info,
        prefix: PrefixArgument = None,
        search: SearchArgument = None,
        at: AtArgument = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Rate]:
        info.context.require_viewer()
        page = rates_page_request(first=first, after=after, last=last, before=before)
        chosen = rate_filter(prefix, search)
        read = await tables_of_path(info.context, self.row.path)
        return connection(await rates.rates_of_path(read, page, chosen, at), page, Rate.of)
