"""Purchases as the API reads them. Whoever sees an account sees what it has bought."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from billing.credit import BookedCredit
from models.tables import Account, Purchase
from resolvers.access import may_see
from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest, page_request, pages_of_each

_COLUMNS = (Purchase.__table__.c.created_at, Purchase.__table__.c.id)


@dataclass(frozen=True, slots=True)
class PurchaseRow:
    """A purchase. ``id`` is that of its credit transaction, ``bonus_id`` that of its bonus, if it earned one."""

    id: int
    account_id: int
    created_at: datetime
    offer_id: int
    credit_units: int
    total_units: int
    earned_units: int
    to_pay_cents: int
    currency: str
    bonus_id: int | None
    created_by_id: int


def purchases_page_request(
    *, first: int | None, after: str | None, last: int | None, before: str | None
) -> PageRequest:
    """The page asked for, newest first. Raises: BadUserInput."""
    return page_request("purchases", (datetime, int), first=first, after=after, last=last, before=before)


async def purchases_of(context: RequestContext, account_id: int, page: PageRequest) -> Page[PurchaseRow]:
    """One page of what the account has bought, newest first."""
    context.require_viewer()

    def purchases(owner_id: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
        return _select().where(Purchase.account_id == owner_id)

    async def load_many(owner_ids: Sequence[int]) -> dict[int, Page[PurchaseRow]]:
        async with context.services.db.read() as connection:
            return await pages_of_each(connection, owner_ids, page, purchases, _COLUMNS, _row, descending=True)

    found = await context.loaders.loader(("purchases", page), load_many).load(account_id)
    assert found is not None
    return found


async def booked_purchase(context: RequestContext, booked: BookedCredit) -> PurchaseRow:
    """The purchase that was just booked, or answered again, by the key of its credit transaction."""
    statement = _select().where(
        Purchase.account_id == booked.account_id, Purchase.created_at == booked.created_at, Purchase.id == booked.id
    )
    async with context.services.db.read() as connection:
        return _row((await connection.execute(statement)).one())


async def visible_purchase(context: RequestContext, purchase_id: int) -> PurchaseRow | None:
    """The purchase of this number, or None where the viewer may not see its account."""
    viewer = context.require_viewer()
    statement = (
        _select()
        .add_columns(Account.path)
        .join(Account, Account.id == Purchase.account_id)
        .where(Purchase.id == purchase_id)
    )
    async with context.services.db.read() as connection:
        found = (await connection.execute(statement)).one_or_none()
    return _row(found) if found is not None and may_see(viewer, tuple(found.path)) else None


def _select() -> Select[*tuple[Any, ...]]:
    return select(*(getattr(Purchase, name) for name in PurchaseRow.__slots__))


def _row(row: Any) -> PurchaseRow:
    return PurchaseRow(**{name: row._mapping[name] for name in PurchaseRow.__slots__})
