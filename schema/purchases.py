"""Purchases: the type, and the part of `Account` that lists them."""

from datetime import datetime

import strawberry

from resolvers.context import RequestContext
from resolvers.credit_transactions import transactions_by_id
from resolvers.purchases import PurchaseRow, purchases_of, purchases_page_request, visible_purchase
from schema.account_row import HasAccountRow, LazyAccount, load_account
from schema.credit_transaction import CreditTransaction
from schema.info import Info
from schema.node import Node, findable, global_id, whole_number
from schema.offers import Offer, load_offer
from schema.pagination import After, Before, Connection, First, Last, connection
from schema.scalars import Money, Payment


@strawberry.type(description="Credit that an account has bought under an offer, on the offer's terms of that time.")
class Purchase(Node):
    credit: Money = strawberry.field(description="The credit that was bought.")
    bonus: Money = strawberry.field(description="The credit that it earned on top; 0: none.")
    to_pay: Payment = strawberry.field(
        description="What it costs: worked out exactly, then rounded once, half up, to two decimals."
    )
    currency: str = strawberry.field(description="What is paid in: an ISO 4217 code.")
    credit_total: Money = strawberry.field(
        description="All that the account has bought under the offer, this purchase included, bonuses not."
    )
    created_at: datetime = strawberry.field(description="When it was booked.")
    row: strawberry.Private[PurchaseRow]

    @strawberry.field(description="The offer it was bought under, as it is now.")
    async def offer(self, info: Info) -> Offer:
        offer = await load_offer(info.context, self.row.offer_id)
        assert offer is not None, "whoever sees a purchase sees its offer"
        return offer

    @strawberry.field(description="The account that bought.")
    async def account(self, info: Info) -> LazyAccount:
        account = await load_account(info.context, self.row.account_id)
        assert account is not None, "whoever sees a purchase sees its account"
        return account

    @strawberry.field(description="What was booked: the credit, then the bonus if it earned one.")
    async def transactions(self, info: Info) -> list[CreditTransaction]:
        return await transactions_of(info.context, self.row)

    @strawberry.field(description="Who booked it; null where the viewer may not see that account.")
    async def created_by(self, info: Info) -> LazyAccount | None:
        return await load_account(info.context, self.row.created_by_id)

    @classmethod
    def of(cls, row: PurchaseRow) -> "Purchase":
        return cls(
            id=global_id("Purchase", row.id),
            credit=Money(row.credit_units),
            bonus=Money(row.earned_units),
            to_pay=Payment(row.to_pay_cents),
            currency=row.currency,
            credit_total=Money(row.total_units),
            created_at=row.created_at,
            row=row,
        )


async def transactions_of(context: RequestContext, row: PurchaseRow) -> list[CreditTransaction]:
    """The credit transactions of a purchase."""
    ids = [row.id] if row.bonus_id is None else [row.id, row.bonus_id]
    return [CreditTransaction.of(transaction) for transaction in await transactions_by_id(context, ids)]


@findable("Purchase")
async def _find(context: RequestContext, key: str) -> Purchase | None:
    number = whole_number(key)
    row = None if number is None else await visible_purchase(context, number)
    return None if row is None else Purchase.of(row)


@strawberry.type
class AccountPurchases(HasAccountRow):
    @strawberry.field(description="What it has bought, newest first.")
    async def purchases(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Purchase]:
        page = purchases_page_request(first=first, after=after, last=last, before=before)
        return connection(await purchases_of(info.context, self.row.id, page), page, Purchase.of)
