"""Purchases: credit that was bought under an offer, and the bonus that it earned, booked in one transaction."""

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.balances import fits_a_balance
from billing.credit import BookedCredit, CreditKind, book_credit, book_once
from billing.errors import InvalidAmount, NotAllowed, NotFound, OfferClosed
from billing.money import PAYMENT_CENTS_MAX, format_money
from billing.offer_terms import earned_units, to_pay_cents
from billing.offers import terms_of
from models.tables import Account, Offer, Purchase


async def record_purchase(
    tx: AsyncConnection,
    *,
    author_id: int,
    offer_id: int,
    account_id: int,
    credit_units: int,
    idempotency_key: str,
) -> BookedCredit:
    """Book credit that was bought and the bonus it earns, once for each key of an author; the credit's key.

    Locks the account's state row, so its purchases come one after the other and each bonus of a running total is
    booked once; then the offer, whose terms stay as they are until the transaction ends.

    Raises: NotFound; NotAllowed where the offer is not made to this account; OfferClosed; InvalidAmount below the
    offer's least credit or beyond what can be kept; what `book_once` raises.
    """

    async def book() -> BookedCredit:
        return await _book(tx, author_id, offer_id, account_id, credit_units)

    return await book_once(
        tx,
        author_id=author_id,
        account_id=account_id,
        idempotency_key=idempotency_key,
        content=["purchase", offer_id, account_id, credit_units],
        adds_credit=True,
        amount_path=("credit",),
        book=book,
    )


async def _book(tx: AsyncConnection, author_id: int, offer_id: int, account_id: int, credit_units: int) -> BookedCredit:
    found = await tx.execute(select(Offer.__table__).where(Offer.id == offer_id).with_for_update(read=True))
    offer = found.one_or_none()
    if offer is None:
        raise NotFound("There is no such offer.", path=("offerId",))
    seller = await tx.execute(select(Account.parent_id).where(Account.id == account_id))
    if offer.owner_id != seller.scalar_one():
        raise NotAllowed("An account buys under an offer of its own reseller.", path=("offerId",))
    if offer.closed_at is not None:
        raise OfferClosed("This offer is closed.", path=("offerId",))
    terms = terms_of(offer)
    if credit_units <= 0 or credit_units < terms.credit_min_units:
        raise InvalidAmount(
            f"Under this offer one buys at least {format_money(max(terms.credit_min_units, 1))}.", path=("credit",)
        )
    last = (
        select(Purchase.total_units)
        .where(Purchase.account_id == account_id, Purchase.offer_id == offer_id)
        .order_by(Purchase.id.desc())
        .limit(1)
    )
    total_before_units = (await tx.execute(last)).scalar_one_or_none() or 0
    bonus_units = earned_units(terms.bonus, total_before_units=total_before_units, credit_units=credit_units)
    to_pay = to_pay_cents(terms, credit_units)
    if to_pay > PAYMENT_CENTS_MAX or not fits_a_balance(total_before_units + credit_units):
        raise InvalidAmount("This is more than one can buy.", path=("credit",))

    async def credit(kind: CreditKind, amount_units: int) -> BookedCredit:
        return await book_credit(
            tx,
            author_id=author_id,
            account_id=account_id,
            kind=kind,
            amount_units=amount_units,
            remark=offer.name,
            amount_path=("credit",),
        )

    booked = await credit(CreditKind.PURCHASE, credit_units)
    bonus = await credit(CreditKind.BONUS, bonus_units) if bonus_units else None
    await tx.execute(
        insert(Purchase).values(
            account_id=account_id,
            created_at=booked.created_at,
            id=booked.id,
            offer_id=offer_id,
            credit_units=credit_units,
            total_units=total_before_units + credit_units,
            earned_units=bonus_units,
            to_pay_cents=to_pay,
            currency=terms.currency,
            price_cents=terms.price_cents,
            per_credit_units=terms.per_credit_units,
            bonus_units=offer.bonus_units,
            bonus_threshold_units=offer.bonus_threshold_units,
            bonus_basis=offer.bonus_basis,
            bonus_created_at=None if bonus is None else bonus.created_at,
            bonus_id=None if bonus is None else bonus.id,
            created_by_id=author_id,
        )
    )
    return booked
