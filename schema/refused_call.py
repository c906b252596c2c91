"""What the mutations of switches share: refusals of single calls, and whose call it is."""

import strawberry

from billing.errors import Refusal
from resolvers.accounts import NO_ACCOUNT
from schema.account_row import LazyAccount, load_account
from schema.errors import ErrorCode
from schema.info import Info
from schema.node import number_of


@strawberry.type(description="A call of a request of many that was refused. It changed nothing.")
class RefusedCall:
    index: int = strawberry.field(description="Its position in `calls`, from 0.")
    call_id: str = strawberry.field(description="Its `callId`.")
    code: ErrorCode = strawberry.field(description="The stable reason, for programs.")  # type: ignore[valid-type]
    message: str = strawberry.field(description="The reason in words, for people.")
    account_id: strawberry.Private[int | None] = None

    @strawberry.field(description="The account it concerns, where there is one and the viewer may see it.")
    async def account(self, info: Info) -> LazyAccount | None:
        return await load_account(info.context, self.account_id)

    @classmethod
    def of(cls, index: int, call_id: str, refusal: Refusal) -> "RefusedCall":
        return cls(
            index=index,
            call_id=call_id,
            code=refusal.code,
            message=refusal.message,
            account_id=refusal.account_id,
        )


def account_number(account_id: str | None) -> int | None:
    """The number behind a global id; None only where none was given."""
    return None if account_id is None else number_of("Account", account_id) or NO_ACCOUNT
