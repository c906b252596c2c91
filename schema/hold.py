"""Holds: what is set aside while calls run."""

from datetime import datetime

import strawberry

from billing import hold_order
from resolvers.holds import HOLD_SORT_KINDS, HoldRow, holds_page
from resolvers.pages import PageRequest
from schema.account_row import HasAccountRow, LazyAccount, load_account
from schema.info import Info
from schema.list_requests import asks
from schema.pagination import After, Before, Connection, First, Last, connection, page_request
from schema.scalars import Money, Price


@strawberry.type(description="The answer to a switch: how long a call may last, and how much of that is paid for.")
class Authorization:
    call_id: str = strawberry.field(description="The switch's own id of the call.")
    max_duration_seconds: int = strawberry.field(
        description="The longest the call may last, from its start, as far as every level can pay now. 0: it has "
        "ended before its authorisation arrived, and must not start."
    )
    held_seconds: int = strawberry.field(description="How many seconds from the start of the call are held so far.")
    held_until: datetime = strawberry.field(description="When the hold frees itself unless it is extended or settled.")
    ask_again_at: datetime | None = strawberry.field(
        description="When to extend, well before the held seconds end; null if there is nothing more to ask for."
    )
    price_per_minute: Price = strawberry.field(
        description="What the account that calls pays per minute; 0 where the call had ended before it was authorised."
    )
    destination: str | None = strawberry.field(description="The name of the matched destination.")

    @classmethod
    def of(cls, answer: hold_order.Authorization) -> "Authorization":
        return cls(
            call_id=answer.call_id,
            max_duration_seconds=answer.max_duration_s,
            held_seconds=answer.held_s,
            held_until=answer.held_until,
            ask_again_at=answer.ask_again_at,
            price_per_minute=Price(answer.price_per_minute_e8),
            destination=answer.destination,
        )


@strawberry.type(description="What is held of an account for one call, of its own or of an account below it.")
class Hold:
    call_id: str = strawberry.field(description="The switch's own id of the call.")
    number: str = strawberry.field(description="The called number: E.164 digits.")
    started_at: datetime = strawberry.field(description="When the call was authorised to start; it sets its rates.")
    held: Money = strawberry.field(description="How much is held of the account that was asked for its holds.")
    held_seconds: int = strawberry.field(description="How many seconds from the start of the call that pays for.")
    held_until: datetime = strawberry.field(description="When the hold frees itself unless it is extended or settled.")
    customer_id: strawberry.Private[int]

    @strawberry.field(description="The account that calls.")
    async def account(self, info: Info) -> LazyAccount:
        account = await load_account(info.context, self.customer_id)
        assert account is not None, "only holds of visible accounts are shown"
        return account

    @classmethod
    def of(cls, row: HoldRow) -> "Hold":
        return cls(
            call_id=row.call_id,
            number=row.number,
            started_at=row.at,
            held=Money(row.held_units),
            held_seconds=row.held_s,
            held_until=row.expires_at,
            customer_id=row.customer_id,
        )


@asks("Account", "holds")
def holds_request(
    first: int | None = None, after: str | None = None, last: int | None = None, before: str | None = None
) -> PageRequest:
    """What the arguments of `holds` ask for. Raises: BadUserInput."""
    return page_request("holds", HOLD_SORT_KINDS, first=first, after=after, last=last, before=before)


@strawberry.type
class AccountHolds(HasAccountRow):
    @strawberry.field(description="What is held of it for running calls, of its own and below it; the oldest first.")
    async def holds(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Hold]:
        page = holds_request(first, after, last, before)
        return connection(await holds_page(info.context, self.row.id, page), page, Hold.of)
