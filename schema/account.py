"""The `Account` type: a node of the reseller tree. Its parts are in files of their own."""

from datetime import datetime
from typing import Annotated

import strawberry

from billing.texts import is_storable
from resolvers.accounts import NO_ACCOUNT, AccountRow, OneAccount, visible_account_by_username
from resolvers.context import RequestContext
from resolvers.request_errors import BadUserInput
from schema.account_calls import AccountCalls
from schema.account_row import load_account
from schema.account_tree import AccountTree
from schema.api_token import AccountApiTokens
from schema.branding import AccountBranding
from schema.call_limits import AccountCallLimits
from schema.credit_transaction import AccountCredit
from schema.hold import AccountHolds
from schema.info import Info
from schema.list_requests import asks
from schema.low_balance import AccountLowBalance
from schema.node import Node, findable, global_id, number_of, whole_number
from schema.offers import AccountOffers
from schema.purchases import AccountPurchases
from schema.rates import AccountRates
from schema.scalars import BigInt, Money
from schema.sip import AccountTelephone
from schema.usage import AccountUsage


@strawberry.type(description="A postal address.")
class Address:
    line1: str | None = strawberry.field(description="The first line: usually street and number.")
    line2: str | None = strawberry.field(description="The second line.")
    postal_code: str | None = strawberry.field(description="The postal code.")
    city: str | None = strawberry.field(description="The city.")
    country: str | None = strawberry.field(description="The country.")


@strawberry.type(description="An account of the reseller tree: a customer, a reseller, or the operator at the top.")
class Account(
    Node,
    AccountTree,
    AccountCredit,
    AccountCalls,
    AccountHolds,
    AccountCallLimits,
    AccountLowBalance,
    AccountUsage,
    AccountRates,
    AccountOffers,
    AccountPurchases,
    AccountBranding,
    AccountTelephone,
    AccountApiTokens,
):
    username: str = strawberry.field(description="The full username, `name*suffix`. It never changes.")
    depth: int = strawberry.field(description="How many levels it is below the operator, who is at 0.")
    is_reseller: bool = strawberry.field(description="Whether it may have customers. Once set, this stays.")
    held_to_own_credit: bool = strawberry.field(
        description="Whether what it promises its customers (balances and credit limits) may not exceed its own credit."
    )
    blocked: bool = strawberry.field(
        description="Whether it cannot start calls: it, or an account above it, is blocked."
    )
    balance: Money = strawberry.field(description="Its balance. It may be below zero, within the credit limit.")
    held: Money = strawberry.field(description="What is held of it for running calls.")
    available: Money | None = strawberry.field(
        description="Balance + credit limit - held: what new calls can cost. Null where credit is unlimited."
    )
    credit_limit: Money | None = strawberry.field(
        description="How far below zero the balance may go. Null where credit is unlimited: the operator's."
    )
    version: BigInt = strawberry.field(
        description="Grows with each change of balance, held amount or credit limit: the larger, the newer."
    )
    email_address: str | None = strawberry.field(description="Its e-mail address.")
    address: Address = strawberry.field(description="Its postal address.")
    telephone_numbers: list[str] = strawberry.field(description="Its telephone numbers, as typed.")
    other_details: str | None = strawberry.field(description="Whatever else is worth knowing of it.")
    created_at: datetime = strawberry.field(description="When it was created.")

    @strawberry.field(description="The currency of its amounts: one for the whole installation.")
    def currency(self, info: Info) -> str:
        return info.context.services.rules.currency

    @classmethod
    def of(cls, row: AccountRow) -> "Account":
        available, limit = row.available_units, row.credit_limit_units
        return cls(
            id=global_id("Account", row.id),
            username=row.username,
            depth=len(row.path) - 1,
            is_reseller=row.is_reseller,
            held_to_own_credit=row.credit_within_own,
            blocked=bool(row.blocked_ids),
            balance=Money(row.balance_units),
            held=Money(row.held_units),
            available=None if available is None else Money(available),
            credit_limit=None if limit is None else Money(limit),
            version=BigInt(row.version),
            email_address=row.email_address,
            address=Address(
                line1=row.address_line1,
                line2=row.address_line2,
                postal_code=row.postal_code,
                city=row.city,
                country=row.country,
            ),
            telephone_numbers=list(row.telephone_numbers),
            other_details=row.other_details,
            created_at=row.created_at,
            row=row,
        )


@findable("Account")
async def _find(context: RequestContext, key: str) -> Account | None:
    return await load_account(context, whole_number(key))


@asks("Query", "account")
def account_request(id: str | None = None, username: str | None = None) -> OneAccount:
    """What the arguments of `account` ask for. Raises: BadUserInput."""
    if (id is None) == (username is None):
        raise BadUserInput("Give `id` or `username`, one of them.")
    if username is not None and is_storable(username):
        return OneAccount(None, username)
    return OneAccount(number_of("Account", id) or NO_ACCOUNT, None)


@strawberry.type
class AccountQueries:
    @strawberry.field(description="The signed-in account; of an API token, its owner.")
    async def viewer(self, info: Info) -> Account:
        account = await load_account(info.context, info.context.require_viewer().account_id)
        assert account is not None, "every viewer sees itself"
        return account

    @strawberry.field(
        description="One account by its id or its full username; null where there is none, or not for this viewer."
    )
    async def account(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Its global id.")] = None,
        username: Annotated[str | None, strawberry.argument(description="Its full username, in any case.")] = None,
    ) -> Account | None:
        info.context.require_viewer()
        wanted = account_request(id, username)
        if wanted.username is None:
            return await load_account(info.context, wanted.account_id)
        row = await visible_account_by_username(info.context, wanted.username)
        return None if row is None else Account.of(row)
