"""The `Account` type: a node of the reseller tree."""

import strawberry

from resolvers.accounts import AccountRow
from schema.node import Node, global_id


@strawberry.type(description="An account of the reseller tree: a customer, a reseller, or the operator at the top.")
class Account(Node):
    username: str = strawberry.field(description="The full username, `name*suffix`. It never changes.")
    row: strawberry.Private[AccountRow]

    @classmethod
    def of(cls, row: AccountRow) -> "Account":
        return cls(id=global_id("Account", row.id), username=row.username, row=row)
