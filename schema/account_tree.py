"""The part of `Account` that is its place in the tree: what is above it, what is below it."""

import asyncio
from typing import Annotated

import strawberry

from resolvers.access import visible_path
from resolvers.account_figures import customer_count, descendant_count
from resolvers.account_lists import (
    CUSTOMERS,
    DESCENDANTS,
    AccountOrderField,
    AccountsRequest,
    accounts_of,
    accounts_request,
)
from schema.account_row import HasAccountRow, LazyAccount, load_account
from schema.account_selection import Filter, OrderBy, chosen_filter, chosen_order
from schema.info import Info
from schema.list_requests import asks
from schema.pagination import After, Before, Connection, First, Last, connection


@asks("Account", "customers")
def customers_request(
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: Filter = None,
    order_by: OrderBy = None,
) -> AccountsRequest:
    """What the arguments of `customers` ask for. Raises: BadUserInput."""
    order = chosen_order(order_by, AccountOrderField.USERNAME)
    wanted = chosen_filter(filter)
    return accounts_request(CUSTOMERS, order, wanted, first=first, after=after, last=last, before=before)


@asks("Account", "descendants")
def descendants_request(
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    max_depth: int | None = None,
    filter: Filter = None,
    order_by: OrderBy = None,
) -> AccountsRequest:
    """What the arguments of `descendants` ask for. Raises: BadUserInput."""
    order = chosen_order(order_by, AccountOrderField.PATH)
    wanted = chosen_filter(filter)
    return accounts_request(
        DESCENDANTS, order, wanted, first=first, after=after, last=last, before=before, depth_max=max_depth
    )


@strawberry.type
class AccountTree(HasAccountRow):
    @strawberry.field(description="The reseller that created it; null for the operator and for the viewer itself.")
    async def parent(self, info: Info) -> LazyAccount | None:
        return await load_account(info.context, self.row.parent_id)

    @strawberry.field(description="The accounts from the viewer down to this one, itself included.")
    async def path(self, info: Info) -> list[LazyAccount]:
        visible = visible_path(info.context.require_viewer(scope=None), self.row.path)
        accounts = await asyncio.gather(*(load_account(info.context, account_id) for account_id in visible))
        return [account for account in accounts if account is not None]

    @strawberry.field(
        description="The topmost blocked account on its path that the viewer may see; null where there is none, "
        "or where the block is above the viewer."
    )
    async def blocked_by(self, info: Info) -> LazyAccount | None:
        visible = visible_path(info.context.require_viewer(scope=None), self.row.path)
        return await load_account(info.context, next((id_ for id_ in self.row.blocked_ids if id_ in visible), None))

    @strawberry.field(description="Its direct customers. A customer that is no reseller has none.")
    async def customers(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Filter = None,
        order_by: OrderBy = None,
    ) -> Connection[LazyAccount]:
        from schema.account import Account

        request = customers_request(first, after, last, before, filter, order_by)
        return connection(await accounts_of(info.context, self.row.id, request), request.page, Account.of)

    @strawberry.field(
        description="Every account below it, at any depth; in tree order unless `orderBy` says otherwise."
    )
    async def descendants(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        max_depth: Annotated[
            int | None, strawberry.argument(description="At most so many levels below: 1 is its direct customers.")
        ] = None,
        filter: Filter = None,
        order_by: OrderBy = None,
    ) -> Connection[LazyAccount]:
        from schema.account import Account

        request = descendants_request(first, after, last, before, max_depth, filter, order_by)
        return connection(await accounts_of(info.context, self.row.id, request), request.page, Account.of)

    @strawberry.field(description="How many direct customers it has.")
    async def customer_count(self, info: Info) -> int:
        return await customer_count(info.context, self.row.id)

    @strawberry.field(description="How many accounts are below it, at any depth.")
    async def descendant_count(self, info: Info) -> int:
        return await descendant_count(info.context, self.row.id)
