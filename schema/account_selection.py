"""Arguments of lists of accounts: which ones, in which order."""

from typing import Annotated

import strawberry

from resolvers import account_lists
from schema.enums import graphql_enum

AccountOrderField = graphql_enum(
    account_lists.AccountOrderField,
    name="AccountOrderField",
    description="What a list of accounts is ordered by.",
    values={
        "USERNAME": "By full username, whatever the case.",
        "CREATED_AT": "In the order they were created.",
        "PATH": "In tree order: each account right before everything below it.",
    },
)


@strawberry.input(description="Which accounts of a list. What is left out does not narrow it.")
class AccountFilter:
    search: str | None = strawberry.field(default=None, description="A part of the username, in any case.")
    is_reseller: bool | None = strawberry.field(default=None, description="Only resellers, or only customers.")
    blocked: bool | None = strawberry.field(
        default=None, description="Only accounts that are blocked by themselves or from above, or only the others."
    )


@strawberry.input(description="The order of a list of accounts.")
class AccountOrder:
    field: AccountOrderField = strawberry.field(description="What to order by.")  # type: ignore[valid-type]
    descending: bool = strawberry.field(default=False, description="The other way round.")


Filter = Annotated[AccountFilter | None, strawberry.argument(description="Which accounts; all of them when left out.")]
OrderBy = Annotated[AccountOrder | None, strawberry.argument(description="The order of the accounts.")]


def chosen_filter(wanted: AccountFilter | None) -> account_lists.AccountFilter:
    """The filter as the resolvers take it."""
    if wanted is None:
        return account_lists.AccountFilter()
    return account_lists.AccountFilter(wanted.search or None, wanted.is_reseller, wanted.blocked)


def chosen_order(wanted: AccountOrder | None, default: account_lists.AccountOrderField) -> account_lists.AccountOrder:
    """The order as the resolvers take it."""
    if wanted is None:
        return account_lists.AccountOrder(default)
    return account_lists.AccountOrder(wanted.field, wanted.descending)
