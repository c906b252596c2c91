"""Offers: publishing, changing, closing. What is bought under them is in `billing.purchases`.

Whether the offer is the viewer's own is the caller's question (the gate); that nobody sells below what those above it
allow is decided here, behind a lock on what they allow.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, any_, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from billing.errors import InvalidOffer, NameTaken, NotFound
from billing.offer_terms import Bonus, BonusBasis, Floor, OfferTerms, check_floors, check_terms
from billing.texts import check_name
from models.tables import Account, Offer

# A customer is shown all offers that it may buy under at once.
OPEN_OFFERS_OF_A_RESELLER_MAX = 200


async def create_offer(tx: AsyncConnection, *, owner_id: int, name: str, terms: OfferTerms) -> int:
    """Publish an offer to the direct customers of the reseller ``owner_id``; its id.

    Locks: the floors above, the owner. Raises: InvalidInput, InvalidOffer, PriceTooLow, NameTaken.
    """
    name = check_name(name)
    check_terms(terms)
    await _check_floors_above(tx, owner_id, terms)
    await _check_room(tx, owner_id)
    try:
        created = await tx.execute(
            insert(Offer).values(owner_id=owner_id, name=name, **_columns(terms)).returning(Offer.id)
        )
    except IntegrityError as error:
        raise _name_taken(error) from error
    offer_id: int = created.scalar_one()
    return offer_id


async def update_offer(
    tx: AsyncConnection,
    *,
    offer_id: int,
    terms: Mapping[str, Any],
    name: str | None = None,
    closed: bool | None = None,
) -> None:
    """Change the named fields of `OfferTerms`, for purchases from then on; close or open again; None leaves as it is.

    An offer that stays closed is held to no floor. Locks: the offer, the floors above, the owner where it is opened.

    Raises: NotFound, InvalidInput, InvalidOffer, PriceTooLow, NameTaken.
    """
    statement = select(Offer.__table__).where(Offer.id == offer_id).with_for_update()
    offer = (await tx.execute(statement)).one_or_none()
    if offer is None:
        raise NotFound("There is no such offer.", path=("offerId",))
    changed = replace(terms_of(offer), **terms)
    check_terms(changed)
    values: dict[str, Any] = _columns(changed)
    if name is not None:
        values["name"] = check_name(name)
    was_closed = offer.closed_at is not None
    is_closed = was_closed if closed is None else closed
    if is_closed != was_closed:
        values["closed_at"] = func.clock_timestamp() if is_closed else None
    if not is_closed:
        await _check_floors_above(tx, offer.owner_id, changed)
        if was_closed:
            await _check_room(tx, offer.owner_id)
    try:
        await tx.execute(update(Offer).where(Offer.id == offer_id).values(values))
    except IntegrityError as error:
        raise _name_taken(error) from error


def terms_of(offer: Row[Any]) -> OfferTerms:
    """The terms in a row with the columns of `Offer`."""
    bonus = None
    if offer.bonus_units is not None:
        bonus = Bonus(offer.bonus_units, offer.bonus_threshold_units, BonusBasis(offer.bonus_basis))
    return OfferTerms(
        currency=offer.currency,
        price_cents=offer.price_cents,
        per_credit_units=offer.per_credit_units,
        credit_min_units=offer.credit_min_units,
        bonus=bonus,
        resale_price_min_cents=offer.resale_price_min_cents,
    )


def _columns(terms: OfferTerms) -> dict[str, Any]:
    bonus = terms.bonus
    return {
        "currency": terms.currency,
        "price_cents": terms.price_cents,
        "per_credit_units": terms.per_credit_units,
        "credit_min_units": terms.credit_min_units,
        "bonus_units": None if bonus is None else bonus.units,
        "bonus_threshold_units": None if bonus is None else bonus.threshold_units,
        "bonus_basis": None if bonus is None else bonus.basis.value,
        "resale_price_min_cents": terms.resale_price_min_cents,
    }


async def _check_floors_above(tx: AsyncConnection, owner_id: int, terms: OfferTerms) -> None:
    seller = aliased(Account)
    statement = (
        select(Offer.resale_price_min_cents, Offer.per_credit_units)
        .join(seller, Offer.owner_id == any_(seller.path))
        .where(
            seller.id == owner_id,
            Offer.owner_id != owner_id,
            Offer.currency == terms.currency,
            Offer.closed_at.is_(None),
            Offer.resale_price_min_cents.is_not(None),
        )
        # Nobody changes such a floor before this transaction ends. Locked from an account's own offers upwards, always.
        .order_by(Offer.id)
        .with_for_update(read=True, of=Offer)
    )
    rows = await tx.execute(statement)
    check_floors(terms, [Floor(row.resale_price_min_cents, row.per_credit_units) for row in rows])


async def _check_room(tx: AsyncConnection, owner_id: int) -> None:
    # One at a time counts and publishes for this owner.
    await tx.execute(select(Account.id).where(Account.id == owner_id).with_for_update(key_share=True))
    own = select(func.count()).where(Offer.owner_id == owner_id, Offer.closed_at.is_(None))
    if (await tx.execute(own)).scalar_one() >= OPEN_OFFERS_OF_A_RESELLER_MAX:
        raise InvalidOffer(f"A reseller has at most {OPEN_OFFERS_OF_A_RESELLER_MAX} open offers: close one first.")


def _name_taken(error: IntegrityError) -> NameTaken:
    if "uq_offers_owner_id_name" in str(error.orig):
        return NameTaken("You have an open offer of this name already.", path=("name",))
    raise error
