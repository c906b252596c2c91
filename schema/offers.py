"""Offers: the type, and the part of `Account` that shows what it may buy and what it sells."""

from datetime import datetime
from typing import Annotated

import strawberry

from billing import offer_terms
from resolvers.context import RequestContext
from resolvers.offers import OfferRow, offers_page_request, offers_to, own_offers_of, visible_offer
from schema.account_row import HasAccountRow, LazyAccount, load_account
from schema.enums import graphql_enum
from schema.info import Info
from schema.node import Node, findable, global_id, whole_number
from schema.pagination import After, Before, Connection, First, Last, connection
from schema.scalars import Money, Payment

BonusBasis = graphql_enum(
    offer_terms.BonusBasis,
    name="BonusBasis",
    description="What a bonus is earned by.",
    values={
        "ONE_PURCHASE": "By each single purchase of at least the threshold; once, however large it is.",
        "PURCHASES_ADDED_UP": "Each time that all purchases of an account under the offer add up to another threshold.",
    },
)


@strawberry.type(description="Credit that comes on top of what is bought. Bonuses themselves do not count as bought.")
class OfferBonus:
    credit: Money = strawberry.field(description="The credit on top.")
    threshold: Money = strawberry.field(description="How much is to be bought for it.")
    basis: BonusBasis = strawberry.field(  # type: ignore[valid-type]
        description="Whether it is to be bought in one purchase or adds up."
    )


@strawberry.type(
    description="On which terms a reseller sells credit to its direct customers. Payment itself happens elsewhere; the "
    "reseller then records the purchase."
)
class Offer(Node):
    name: str = strawberry.field(description="Its name, unique among its publisher's open offers.")
    currency: str = strawberry.field(description="What is paid in: an ISO 4217 code.")
    price: Payment = strawberry.field(description="What `perCredit` costs.")
    per_credit: Money = strawberry.field(description="How much credit `price` buys.")
    credit_min: Money = strawberry.field(description="The least credit of a purchase; 0: any.")
    bonus: OfferBonus | None = strawberry.field(description="What comes on top, and for what; null: nothing.")
    resale_price_min: Payment | None = strawberry.field(
        description="The least that `perCredit` may be sold on for, bonuses included, by anybody below the publisher; "
        "null: for anything."
    )
    closed_at: datetime | None = strawberry.field(description="Since when nothing can be bought under it; null: open.")
    created_at: datetime = strawberry.field(description="When it was published.")
    owner_id: strawberry.Private[int]

    @strawberry.field(description="Who publishes it; null where the viewer may not see that account.")
    async def owner(self, info: Info) -> LazyAccount | None:
        return await load_account(info.context, self.owner_id)

    @classmethod
    def of(cls, row: OfferRow) -> "Offer":
        terms, bonus, floor = row.terms, row.terms.bonus, row.terms.resale_price_min_cents
        return cls(
            id=global_id("Offer", row.id),
            name=row.name,
            currency=terms.currency,
            price=Payment(terms.price_cents),
            per_credit=Money(terms.per_credit_units),
            credit_min=Money(terms.credit_min_units),
            bonus=None
            if bonus is None
            else OfferBonus(credit=Money(bonus.units), threshold=Money(bonus.threshold_units), basis=bonus.basis),
            resale_price_min=None if floor is None else Payment(floor),
            closed_at=row.closed_at,
            created_at=row.created_at,
            owner_id=row.owner_id,
        )


async def load_offer(context: RequestContext, offer_id: int | None) -> Offer | None:
    """The `Offer` of this number, or None where there is none or the viewer may not see it."""
    row = await visible_offer(context, offer_id)
    return None if row is None else Offer.of(row)


@findable("Offer")
async def _find(context: RequestContext, key: str) -> Offer | None:
    return await load_offer(context, whole_number(key))


@strawberry.type
class AccountOffers(HasAccountRow):
    @strawberry.field(
        description="The offers it may buy credit under: the open ones of its reseller, by name. The operator has none."
    )
    async def offers(self, info: Info) -> list[Offer]:
        return [Offer.of(row) for row in await offers_to(info.context, self.row)]

    @strawberry.field(description="The offers that it publishes to its customers, newest first.")
    async def own_offers(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        closed: Annotated[
            bool | None, strawberry.argument(description="Only closed ones, or only open ones; both when left out.")
        ] = None,
    ) -> Connection[Offer]:
        page = offers_page_request(first=first, after=after, last=last, before=before)
        rows = await own_offers_of(info.context, self.row.id, page, closed=closed)
        return connection(rows, page, Offer.of)
