"""`viewer`: the account whose token the request carries."""

import strawberry

from resolvers.accounts import visible_account
from schema.account import Account
from schema.info import Info


@strawberry.type
class ViewerQueries:
    @strawberry.field(description="The signed-in account; of an API token, its owner.")
    async def viewer(self, info: Info) -> Account:
        row = await visible_account(info.context, info.context.require_viewer().account_id)
        assert row is not None
        return Account.of(row)
