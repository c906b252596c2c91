"""The `CreditTransaction` type, and the part of `Account` that lists them."""

from datetime import datetime
from typing import Annotated

import strawberry

from billing import credit
from resolvers.context import RequestContext
from resolvers.credit_transactions import (
    CreditTransactionRow,
    TransactionsRequest,
    transactions_of,
    transactions_request,
    visible_transaction,
)
from schema.account_row import HasAccountRow, LazyAccount, load_account
from schema.enums import graphql_enum
from schema.info import Info
from schema.list_requests import asks
from schema.node import Node, findable, global_id, whole_number
from schema.pagination import After, Before, Connection, First, Last, connection
from schema.scalars import Money

CreditKind = graphql_enum(
    credit.CreditKind,
    name="CreditKind",
    description="How a credit transaction came about.",
    values={
        "CREDIT": "Given by hand, or, with a negative amount, taken back.",
        "OPENING": "What the account was created with.",
        "PURCHASE": "Bought under an offer, whose name is the remark.",
        "BONUS": "Earned by a purchase, on top of what was bought.",
    },
)


@strawberry.type(
    description="A change of one account's balance by a person. It is a promise of its reseller: nobody else's balance "
    "changes with it."
)
class CreditTransaction(Node):
    amount: Money = strawberry.field(description="What was added to the balance; negative where it was deducted.")
    balance_after: Money = strawberry.field(description="The balance right after it.")
    kind: CreditKind = strawberry.field(description="How it came about.")  # type: ignore[valid-type]
    remark: str | None = strawberry.field(description="The remark that the customer sees as well.")
    private_remark: str | None = strawberry.field(
        description="The remark for the author's side: null for the customer and for everybody else."
    )
    created_at: datetime = strawberry.field(description="When it was booked.")
    row: strawberry.Private[CreditTransactionRow]

    @strawberry.field(description="The account whose balance it changed.")
    async def account(self, info: Info) -> LazyAccount:
        account = await load_account(info.context, self.row.account_id)
        assert account is not None, "whoever sees a transaction sees its account"
        return account

    @strawberry.field(description="Who booked it; null where the viewer may not see that account.")
    async def created_by(self, info: Info) -> LazyAccount | None:
        return await load_account(info.context, self.row.created_by_id)

    @classmethod
    def of(cls, row: CreditTransactionRow) -> "CreditTransaction":
        return cls(
            id=global_id("CreditTransaction", row.id),
            amount=Money(row.amount_units),
            balance_after=Money(row.balance_after_units),
            kind=row.kind,
            remark=row.remark,
            private_remark=row.private_remark,
            created_at=row.created_at,
            row=row,
        )


@findable("CreditTransaction")
async def _find(context: RequestContext, key: str) -> CreditTransaction | None:
    number = whole_number(key)
    row = None if number is None else await visible_transaction(context, number)
    return None if row is None else CreditTransaction.of(row)


@asks("Account", "transactions")
def account_transactions_request(
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> TransactionsRequest:
    """What the arguments of `transactions` ask for. Raises: BadUserInput."""
    return transactions_request(first=first, after=after, last=last, before=before, since=since, until=until)


@strawberry.type
class AccountCredit(HasAccountRow):
    @strawberry.field(description="Its credit transactions, newest first.")
    async def transactions(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        since: Annotated[
            datetime | None, strawberry.argument(description="Only those booked at this time or later.")
        ] = None,
        until: Annotated[
            datetime | None, strawberry.argument(description="Only those booked before this time.")
        ] = None,
    ) -> Connection[CreditTransaction]:
        request = account_transactions_request(first, after, last, before, since, until)
        rows = await transactions_of(info.context, self.row.id, request)
        return connection(rows, request.page, CreditTransaction.of)
