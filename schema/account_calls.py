"""The part of `Account` that is its calls."""

from datetime import datetime
from typing import Annotated

import strawberry

from billing import charge_order
from resolvers import call_filter
from resolvers import calls as call_reads
from resolvers.accounts import NO_ACCOUNT
from schema.account_row import HasAccountRow
from schema.calls import Call, CallStatus
from schema.enums import graphql_enum
from schema.info import Info
from schema.list_requests import asks
from schema.node import number_of
from schema.pagination import After, Before, Connection, First, Last, connection, page_request

SortDirection = graphql_enum(
    call_filter.SortDirection,
    name="SortDirection",
    description="Which end of a list in time comes first.",
    values={"ASC": "The oldest first.", "DESC": "The newest first."},
)


@asks("Account", "calls")
def calls_request(
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    number: str | None = None,
    direction: call_filter.SortDirection = call_filter.SortDirection.DESC,
    destination: str | None = None,
    account: str | None = None,
    status: charge_order.CallStatus | None = None,
) -> call_reads.CallsRequest:
    """What the arguments of `calls` ask for. Raises: BadUserInput."""
    chosen = call_filter.call_filter(
        since,
        until,
        number,
        direction,
        destination=destination,
        status=status,
        account_id=None if account is None else number_of("Account", account) or NO_ACCOUNT,
    )
    page = page_request(
        chosen.order,
        call_filter.CALL_SORT_KINDS,
        first=first,
        after=after,
        last=last,
        before=before,
        size_max=call_reads.CALLS_PAGE_SIZE_MAX,
    )
    return call_reads.CallsRequest(page, chosen)


@strawberry.type
class AccountCalls(HasAccountRow):
    @strawberry.field(
        description="The calls of the account and of everything below it, by their start; pages of up to 500."
    )
    async def calls(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        since: Annotated[
            datetime | None, strawberry.argument(description="Only calls that began then or later.")
        ] = None,
        until: Annotated[datetime | None, strawberry.argument(description="Only calls that began before then.")] = None,
        number: Annotated[
            str | None, strawberry.argument(description="Only calls to numbers that begin like this.")
        ] = None,
        direction: Annotated[
            SortDirection,  # type: ignore[valid-type]
            strawberry.argument(description="Which end comes first."),
        ] = call_filter.SortDirection.DESC,
        destination: Annotated[
            str | None,
            strawberry.argument(description="Only calls to destinations with this text in their name, in any case."),
        ] = None,
        account: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="Only calls of this account, below the one that is asked or itself, and of everything "
                "below it; none where it is elsewhere."
            ),
        ] = None,
        status: Annotated[
            CallStatus | None,  # type: ignore[valid-type]
            strawberry.argument(description="Only calls of which this became."),
        ] = None,
    ) -> Connection[Call]:
        info.context.require_viewer()
        request = calls_request(
            first, after, last, before, since, until, number, direction, destination, account, status
        )
        rows = await call_reads.calls_page(info.context, self.row.id, request.chosen, request.page)
        return connection(rows, request.page, Call.of)
