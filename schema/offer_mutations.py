"""Publishing offers, and recording what was bought under them."""

from typing import Any

import strawberry
from strawberry import UNSET

from billing.offer_terms import Bonus, OfferTerms
from resolvers import offer_actions
from resolvers.purchases import booked_purchase
from schema.account import Account
from schema.account_row import load_account
from schema.credit_transaction import CreditTransaction
from schema.errors import UserError
from schema.info import Info
from schema.mutation import Input, errors_field, mutation
from schema.node import number_of
from schema.offers import BonusBasis, Offer, load_offer
from schema.purchases import Purchase, transactions_of
from schema.scalars import Money, Payment


@strawberry.input(description="Credit that comes on top of what is bought.")
class OfferBonusInput:
    credit: Money = strawberry.field(description="The credit on top.")
    threshold: Money = strawberry.field(description="How much is to be bought for it.")
    basis: BonusBasis = strawberry.field(  # type: ignore[valid-type]
        description="Whether it is to be bought in one purchase or adds up."
    )


@strawberry.input(description="A new offer of the viewer to its customers.")
class CreateOfferInput:
    name: str = strawberry.field(description="Its name, unique among the viewer's open offers whatever the case.")
    currency: str = strawberry.field(description="What is paid in: an ISO 4217 code, such as CNY.")
    price: Payment = strawberry.field(description="What `perCredit` costs.")
    per_credit: Money = strawberry.field(
        default=Money(100_000), description="How much credit `price` buys: 90 CNY per 10 EUR are `90` per `10`."
    )
    credit_min: Money = strawberry.field(default=Money(0), description="The least credit of a purchase.")
    bonus: OfferBonusInput | None = strawberry.field(default=None, description="What comes on top, and for what.")
    resale_price_min: Payment | None = strawberry.field(
        default=None, description="The least that `perCredit` may be sold on for, bonuses included."
    )


@strawberry.input(
    description="Changes of an offer, for purchases from now on. What is left out stays; null takes a bonus, or a "
    "lowest resale price, away."
)
class UpdateOfferInput:
    offer_id: strawberry.ID = strawberry.field(description="The offer to change.")
    name: str | None = strawberry.field(default=UNSET, description="Another name.")
    currency: str | None = strawberry.field(default=UNSET, description="What is paid in: an ISO 4217 code.")
    price: Payment | None = strawberry.field(default=UNSET, description="What `perCredit` costs.")
    per_credit: Money | None = strawberry.field(default=UNSET, description="How much credit `price` buys.")
    credit_min: Money | None = strawberry.field(default=UNSET, description="The least credit of a purchase.")
    bonus: OfferBonusInput | None = strawberry.field(default=UNSET, description="What comes on top, and for what.")
    resale_price_min: Payment | None = strawberry.field(
        default=UNSET, description="The least that `perCredit` may be sold on for, bonuses included."
    )
    closed: bool | None = strawberry.field(
        default=UNSET, description="True: nothing can be bought under it any more. False opens it again."
    )


@strawberry.input(description="Credit that a customer has paid for.")
class RecordPurchaseInput:
    offer_id: strawberry.ID = strawberry.field(description="An open offer of the account's own reseller.")
    account_id: strawberry.ID = strawberry.field(description="Who has bought.")
    credit: Money = strawberry.field(description="The credit that was bought, without any bonus.")
    idempotency_key: strawberry.ID = strawberry.field(
        description="Any text of the caller's own, new for each purchase and each credit transaction. The same key "
        "again books nothing and answers the first purchase."
    )


@strawberry.type(description="The answer to `createOffer`.")
class CreateOfferPayload:
    offer: Offer | None = strawberry.field(default=None, description="The new offer.")
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `updateOffer`.")
class UpdateOfferPayload:
    offer: Offer | None = strawberry.field(default=None, description="The changed offer.")
    errors: list[UserError] = errors_field()


@strawberry.type(description="The answer to `recordPurchase`.")
class RecordPurchasePayload:
    purchase: Purchase | None = strawberry.field(default=None, description="What was bought.")
    transactions: list[CreditTransaction] = strawberry.field(
        default_factory=list, description="What was booked: the credit, then the bonus if it earned one."
    )
    account: Account | None = strawberry.field(default=None, description="The account as it is now.")
    duplicate: bool = strawberry.field(
        default=False, description="Whether an earlier request with this key had booked it."
    )
    errors: list[UserError] = errors_field()


def _bonus(bonus: OfferBonusInput | None) -> Bonus | None:
    return None if bonus is None else Bonus(bonus.credit, bonus.threshold, bonus.basis)


def _changed_terms(input: UpdateOfferInput) -> dict[str, Any]:
    """The terms that were given, by field. Of those that an offer must have, null changes nothing."""
    needed = {
        "currency": input.currency,
        "price_cents": input.price,
        "per_credit_units": input.per_credit,
        "credit_min_units": input.credit_min,
    }
    terms: dict[str, Any] = {name: value for name, value in needed.items() if value is not UNSET and value is not None}
    if input.bonus is not UNSET:
        terms["bonus"] = _bonus(input.bonus)
    if input.resale_price_min is not UNSET:
        terms["resale_price_min_cents"] = input.resale_price_min
    return terms


@strawberry.type
class OfferMutations:
    @mutation(description="Publish an offer to one's direct customers.")
    async def create_offer(self, info: Info, input: Input[CreateOfferInput]) -> CreateOfferPayload:
        terms = OfferTerms(
            currency=input.currency,
            price_cents=input.price,
            per_credit_units=input.per_credit,
            credit_min_units=input.credit_min,
            bonus=_bonus(input.bonus),
            resale_price_min_cents=input.resale_price_min,
        )
        offer_id = await offer_actions.create_offer(info.context, name=input.name, terms=terms)
        return CreateOfferPayload(offer=await load_offer(info.context, offer_id))

    @mutation(description="Change an offer, for purchases from now on, or close it. What was bought stays as it was.")
    async def update_offer(self, info: Info, input: Input[UpdateOfferInput]) -> UpdateOfferPayload:
        offer_id = await offer_actions.update_offer(
            info.context,
            number_of("Offer", input.offer_id),
            name=None if input.name is UNSET else input.name,
            terms=_changed_terms(input),
            closed=None if input.closed is UNSET else input.closed,
        )
        return UpdateOfferPayload(offer=await load_offer(info.context, offer_id))

    @mutation(
        description="Book credit that a customer has paid for under an offer, and the bonus that it earns as a second "
        "credit transaction: both or neither."
    )
    async def record_purchase(self, info: Info, input: Input[RecordPurchaseInput]) -> RecordPurchasePayload:
        booked = await offer_actions.record_purchase(
            info.context,
            offer_id=number_of("Offer", input.offer_id),
            account_id=number_of("Account", input.account_id),
            credit_units=input.credit,
            idempotency_key=input.idempotency_key,
        )
        row = await booked_purchase(info.context, booked)
        return RecordPurchasePayload(
            purchase=Purchase.of(row),
            transactions=await transactions_of(info.context, row),
            account=await load_account(info.context, booked.account_id),
            duplicate=booked.duplicate,
        )
