"""What viewers do to offers and purchases: the gate first, then the rules of `billing` in one transaction.

The mutation has checked that the viewer is signed in and not blocked.
"""

from collections.abc import Mapping
from typing import Any

from billing import offers, purchases
from billing.credit import BookedCredit
from billing.errors import NotAReseller, NotFound
from billing.offer_terms import OfferTerms
from resolvers.access import Scope, require_manages
from resolvers.accounts import visible_account
from resolvers.context import RequestContext
from resolvers.offers import require_changeable_offer, visible_offer


async def create_offer(context: RequestContext, *, name: str, terms: OfferTerms) -> int:
    """An offer of the viewer to its customers; its id. Raises: NotAReseller, and as `offers.create_offer`."""
    viewer = context.require_viewer(Scope.MANAGE)
    if not viewer.is_reseller:
        raise NotAReseller("Only a reseller has customers to make an offer to.", account_id=viewer.account_id)
    async with context.transaction() as tx:
        return await offers.create_offer(tx, owner_id=viewer.account_id, name=name, terms=terms)


async def update_offer(
    context: RequestContext, offer_id: int | None, *, name: str | None, terms: Mapping[str, Any], closed: bool | None
) -> int:
    """Other terms, in force for purchases from now on; the offer's id. Raises: as `offers.update_offer`; NotAllowed."""
    offer = await require_changeable_offer(context, offer_id)
    async with context.transaction() as tx:
        await offers.update_offer(tx, offer_id=offer.id, name=name, terms=terms, closed=closed)
    return offer.id


async def record_purchase(
    context: RequestContext, *, offer_id: int | None, account_id: int | None, credit_units: int, idempotency_key: str
) -> BookedCredit:
    """Credit that a customer has paid for, booked by its reseller. Raises: as `purchases.record_purchase`."""
    viewer = context.require_viewer(Scope.MANAGE)
    account = await visible_account(context, account_id)
    require_manages(viewer, None if account is None else account.path)
    offer = await visible_offer(context, offer_id)
    if account is None or offer is None:
        raise NotFound("There is no such offer.", path=("offerId",))
    async with context.transaction() as tx:
        return await purchases.record_purchase(
            tx,
            author_id=viewer.account_id,
            offer_id=offer.id,
            account_id=account.id,
            credit_units=credit_units,
            idempotency_key=idempotency_key,
        )
