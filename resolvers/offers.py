"""Offers as the API reads them, and who may see and change which.

An offer is seen by whoever sees its publisher, and by those it is made to: the publisher's direct customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from billing.errors import NotAllowed, NotFound
from billing.offer_terms import OfferTerms
from billing.offers import terms_of
from models.tables import Account, Offer
from resolvers.access import AccountPath, Scope, Viewer, may_see
from resolvers.accounts import AccountRow
from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest, page_request, pages_of_each

_COLUMNS = (Offer.__table__.c.id,)


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An offer. ``owner_path`` ends with its publisher."""

    id: int
    owner_id: int
    owner_path: AccountPath
    name: str
    terms: OfferTerms
    closed_at: datetime | None
    created_at: datetime

    def visible_to(self, viewer: Viewer) -> bool:
        """Whether it exists for the viewer."""
        return may_see(viewer, self.owner_path) or self.owner_path == viewer.path[:-1]


async def visible_offer(context: RequestContext, offer_id: int | None) -> OfferRow | None:
    """The offer, open or closed, or None where there is none or the viewer may not see it. Batched."""
    if offer_id is None or context.viewer is None:
        return None

    async def load_many(offer_ids: Sequence[int]) -> dict[int, OfferRow]:
        async with context.services.db.read() as connection:
            rows = await connection.execute(_select().where(Offer.id.in_(offer_ids)))
            return {row.id: _row(row) for row in rows}

    row = await context.loaders.loader("offer", load_many).load(offer_id)
    return row if row is not None and row.visible_to(context.viewer) else None


async def offers_to(context: RequestContext, account: AccountRow) -> Sequence[OfferRow]:
    """The open offers that the account may buy under, by name: those of its reseller. Batched.

    Their number is limited when they are published.
    """
    context.require_viewer()

    async def load_many(owner_ids: Sequence[int]) -> dict[int, list[OfferRow]]:
        statement = _select().where(Offer.owner_id.in_(owner_ids), Offer.closed_at.is_(None))
        offers: dict[int, list[OfferRow]] = {}
        async with context.services.db.read() as connection:
            for row in await connection.execute(statement.order_by(func.lower(Offer.name), Offer.id)):
                offers.setdefault(row.owner_id, []).append(_row(row))
        return offers

    if account.parent_id is None:
        return ()
    return await context.loaders.loader("offers to", load_many).load(account.parent_id) or ()


def offers_page_request(*, first: int | None, after: str | None, last: int | None, before: str | None) -> PageRequest:
    """The page asked for of an account's own offers, newest first. Raises: BadUserInput."""
    return page_request("offers", (int,), first=first, after=after, last=last, before=before)


async def own_offers_of(
    context: RequestContext, account_id: int, page: PageRequest, *, closed: bool | None
) -> Page[OfferRow]:
    """One page of the offers that the account publishes, newest first; only closed ones, only open ones, or both."""
    context.require_viewer()

    def offers(owner_id: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
        statement = _select().where(Offer.owner_id == owner_id)
        if closed is not None:
            statement = statement.where(Offer.closed_at.is_not(None) if closed else Offer.closed_at.is_(None))
        return statement

    async def load_many(owner_ids: Sequence[int]) -> dict[int, Page[OfferRow]]:
        async with context.services.db.read() as connection:
            return await pages_of_each(connection, owner_ids, page, offers, _COLUMNS, _row, descending=True)

    found = await context.loaders.loader(("own offers", page, closed), load_many).load(account_id)
    assert found is not None
    return found


async def require_changeable_offer(context: RequestContext, offer_id: int | None) -> OfferRow:
    """The offer, if the viewer may change it: its publisher, or the operator.

    Raises: NotFound where it does not exist for the viewer; NotAllowed where it is somebody else's.
    """
    viewer = context.require_viewer(Scope.MANAGE)
    offer = await visible_offer(context, offer_id)
    if offer is None:
        raise NotFound("There is no such offer.", path=("offerId",))
    if offer.owner_id != viewer.account_id and not viewer.is_operator:
        raise NotAllowed("Only the reseller whose offer it is can change it.", path=("offerId",))
    return offer


def _select() -> Select[*tuple[Any, ...]]:
    return select(*Offer.__table__.c, Account.path.label("owner_path")).join(Account, Account.id == Offer.owner_id)


def _row(row: Any) -> OfferRow:
    return OfferRow(
        id=row.id,
        owner_id=row.owner_id,
        owner_path=tuple(row.owner_path),
        name=row.name,
        terms=terms_of(row),
        closed_at=row.closed_at,
        created_at=row.created_at,
    )
