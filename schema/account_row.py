"""What the parts of the `Account` type share: the row behind it."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from resolvers.accounts import AccountRow, visible_account
from resolvers.context import RequestContext

if TYPE_CHECKING:
    from schema.account import Account

LazyAccount = Annotated["Account", strawberry.lazy("schema.account")]


@strawberry.type
class HasAccountRow:
    """Base of each part of `Account`; a part adds fields that need more than the row."""

    row: strawberry.Private[AccountRow]


async def load_account(context: RequestContext, account_id: int | None) -> "Account | None":
    """The `Account` of this number, or None where there is none or the viewer may not see it."""
    from schema.account import Account

    row = await visible_account(context, account_id)
    return None if row is None else Account.of(row)
