"""Giving credit."""

import strawberry

from resolvers import account_actions
from resolvers.credit_transactions import booked_transaction
from schema.account import Account
from schema.account_row import load_account
from schema.credit_transaction import CreditTransaction
from schema.errors import UserError
from schema.info import Info
from schema.mutation import Input, errors_field, mutation
from schema.node import number_of
from schema.scalars import Money


@strawberry.input(description="Credit for a customer.")
class CreateCreditTransactionInput:
    account_id: strawberry.ID = strawberry.field(description="Whose balance changes; nobody else's does.")
    amount: Money = strawberry.field(description="What to add; a negative amount deducts.")
    idempotency_key: strawberry.ID = strawberry.field(
        description="Any text of the caller's own, new for each transaction. The same key again books nothing and "
        "answers the first transaction."
    )
    remark: str | None = strawberry.field(default=None, description="A remark that the customer sees as well.")
    private_remark: str | None = strawberry.field(default=None, description="A remark that the customer never sees.")


@strawberry.type(description="The answer to `createCreditTransaction`.")
class CreateCreditTransactionPayload:
    transaction: CreditTransaction | None = strawberry.field(default=None, description="What was booked.")
    account: Account | None = strawberry.field(default=None, description="The account as it is now.")
    duplicate: bool = strawberry.field(
        default=False, description="Whether an earlier request with this key had booked it."
    )
    errors: list[UserError] = errors_field()


@strawberry.type
class CreditMutations:
    @mutation(
        description="Give a customer credit, or deduct some. It is a promise, not a payment: the reseller's own "
        "balance stays as it is."
    )
    async def create_credit_transaction(
        self, info: Info, input: Input[CreateCreditTransactionInput]
    ) -> CreateCreditTransactionPayload:
        booked = await account_actions.create_credit_transaction(
            info.context,
            number_of("Account", input.account_id),
            amount_units=input.amount,
            remark=input.remark,
            private_remark=input.private_remark,
            idempotency_key=input.idempotency_key,
        )
        return CreateCreditTransactionPayload(
            transaction=CreditTransaction.of(await booked_transaction(info.context, booked)),
            account=await load_account(info.context, booked.account_id),
            duplicate=booked.duplicate,
        )
