"""What the mutations of switches share: refusals of single calls, and whose call it is."""

import strawberry

from billing.errors import Refusal
from schema.errors import ErrorCode
from schema.node import number_of

# No account has it, so an id that names no account is refused as such and not as missing.
_NO_ACCOUNT = 0


@strawberry.type(description="A call of a request of many that was refused. It changed nothing.")
class RefusedCall:
    index: int = strawberry.field(description="Its position in `calls`, from 0.")
    call_id: str = strawberry.field(description="Its `callId`.")
    code: ErrorCode = strawberry.field(description="The stable reason, for programs.")  # type: ignore[valid-type]
    message: str = strawberry.field(description="The reason in words, for people.")

    @classmethod
    def of(cls, index: int, call_id: str, refusal: Refusal) -> "RefusedCall":
        return cls(index=index, call_id=call_id, code=refusal.code, message=refusal.message)


def account_number(account_id: str | None) -> int | None:
    """The number behind a global id; None only where none was given."""
    return None if account_id is None else number_of("Account", account_id) or _NO_ACCOUNT
