"""What a caller can mend, as data: the `errors` of every payload."""

import strawberry

from billing import errors as catalogue
from billing.errors import Refusal
from schema.account_row import LazyAccount, load_account
from schema.enums import graphql_enum
from schema.info import Info

ErrorCode = graphql_enum(
    catalogue.ErrorCode,
    name="ErrorCode",
    description="Why a mutation was refused. Codes are only ever added.",
    values={
        "NOT_FOUND": "There is no such thing, or not for this viewer: the two are never told apart.",
        "NOT_A_RESELLER": "The account is no reseller and cannot have customers or price lists of its own.",
        "RESELLER_IS_PERMANENT": "The reseller mark cannot be undone once set.",
        "NOT_ALLOWED": "The viewer sees the account but may not do this to it.",
        "ACCOUNT_BLOCKED": "The account, or one above it, is blocked.",
        "TREE_TOO_DEEP": "The account would be more levels below the operator than the installation can keep.",
        "INVALID_CREDENTIALS": "The username or the password is wrong.",
        "PASSWORD_TOO_SHORT": "The password has fewer characters than the installation asks for.",
        "INVALID_USERNAME": "The typed name cannot be a name; the suffix is added by the system.",
        "USERNAME_TAKEN": "Another account has this full username, whatever its case.",
        "NAME_TAKEN": "Another thing of the same owner has this name.",
        "INVALID_INPUT": "A text that is too long, empty, or of the wrong form.",
        "INVALID_AMOUNT": "An amount that cannot be booked: zero, or beyond what a balance holds.",
        "INSUFFICIENT_CREDIT": "An account cannot pay: `account` says which, where the viewer may see it.",
        "IDEMPOTENCY_CONFLICT": "The same key was used before with other content.",
        "NO_RATE": "The number has no usable price: none matches, or the destination is blocked.",
        "INVALID_RATE": "A prefix, price or increment that cannot be.",
        "RATE_LIST_IN_USE": "The list is selected by accounts and cannot be deleted.",
        "INVALID_NUMBER": "The number is no telephone number with its country code.",
        "INVALID_CALL": "The call's identity, start or duration cannot be.",
        "CALL_ENDED": "The call is in the books already: nothing more can be held for it.",
        "LIMIT_REACHED": "A limit on calls, of an account on the path or of the installation, does not allow it.",
        "CALL_FAILED": "The call could not be booked because of a fault of ours; it may be sent again.",
        "NOTHING_TO_REFUND": "Nobody was charged for the call: it has no rate, was never answered, or cost nothing.",
        "INVALID_OFFER": "Terms of an offer that cannot be: a price, amount or currency that is none.",
        "PRICE_TOO_LOW": "The offer would sell credit below the lowest price that somebody above allows for it.",
        "OFFER_CLOSED": "Nothing more can be bought under this offer.",
        "MONTH_CLOSED": "The call is in the books, in a month that is closed: its details are not kept any more.",
    },
)


@strawberry.type(description="Something the caller can mend. Nothing was changed.")
class UserError:
    code: ErrorCode = strawberry.field(description="The stable reason, for programs.")  # type: ignore[valid-type]
    message: str = strawberry.field(description="The reason in words, for people.")
    path: list[str] = strawberry.field(description="Where in `input` the mistake is; empty where it is in no field.")
    account_id: strawberry.Private[int | None] = None

    @strawberry.field(description="The account it concerns, where there is one and the viewer may see it.")
    async def account(self, info: Info) -> LazyAccount | None:
        return await load_account(info.context, self.account_id)

    @classmethod
    def of(cls, refusal: Refusal) -> "UserError":
        return cls(code=refusal.code, message=refusal.message, path=list(refusal.path), account_id=refusal.account_id)
