"""Credit transactions as the API reads them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from billing.credit import BookedCredit, CreditKind
from models.tables import Account, CreditTransaction
from resolvers.access import AccountPath, Viewer, may_see
from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest, page_request, pages_of_each

_COLUMNS = (CreditTransaction.__table__.c.created_at, CreditTransaction.__table__.c.id)


@dataclass(frozen=True, slots=True)
class CreditTransactionRow:
    """A credit transaction. Amounts are whole units of 0.00001. ``account_path`` ends with the account."""

    id: int
    account_id: int
    account_path: AccountPath
    created_at: datetime
    kind: CreditKind
    amount_units: int
    balance_after_units: int
    remark: str | None
    private_remark: str | None
    created_by_id: int

    def private_remark_for(self, viewer: Viewer) -> str | None:
        """The private remark for its author's side: the author and whoever is above it on the account's path."""
        if self.created_by_id not in self.account_path or viewer.account_id not in self.account_path:
            return None
        above = self.account_path.index(viewer.account_id) <= self.account_path.index(self.created_by_id)
        return self.private_remark if above else None


def transactions_page_request(
    *, first: int | None, after: str | None, last: int | None, before: str | None
) -> PageRequest:
    """The page asked for, newest first. Raises: BadUserInput."""
    return page_request("transactions", (datetime, int), first=first, after=after, last=last, before=before)


async def transactions_of(
    context: RequestContext, account_id: int, page: PageRequest, *, since: datetime | None, until: datetime | None
) -> Page[CreditTransactionRow]:
    """One page of the account's own credit transactions, newest first, from ``since`` to before ``until``."""
    context.require_viewer()

    def transactions(owner_id: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
        statement = _select().where(CreditTransaction.account_id == owner_id)
        if since is not None:
            statement = statement.where(CreditTransaction.created_at >= since)
        if until is not None:
            statement = statement.where(CreditTransaction.created_at < until)
        return statement

    async def load_many(owner_ids: Sequence[int]) -> dict[int, Page[CreditTransactionRow]]:
        async with context.services.db.read() as connection:
            return await pages_of_each(connection, owner_ids, page, transactions, _COLUMNS, _row, descending=True)

    found = await context.loaders.loader(("transactions", page, since, until), load_many).load(account_id)
    assert found is not None
    return found


async def booked_transaction(context: RequestContext, booked: BookedCredit) -> CreditTransactionRow:
    """The transaction that was just booked, or answered again."""
    statement = _select().where(
        CreditTransaction.account_id == booked.account_id,
        CreditTransaction.created_at == booked.created_at,
        CreditTransaction.id == booked.id,
    )
    async with context.services.db.read() as connection:
        return _row((await connection.execute(statement)).one())


async def transactions_by_id(context: RequestContext, ids: Sequence[int]) -> list[CreditTransactionRow]:
    """These transactions, of accounts that the viewer is known to see, in the order of the ids. Batched."""

    async def load_many(wanted: Sequence[int]) -> dict[int, CreditTransactionRow]:
        async with context.services.db.read() as connection:
            rows = await connection.execute(_select().where(CreditTransaction.id.in_(wanted)))
            return {row.id: _row(row) for row in rows}

    loader = context.loaders.loader("transaction", load_many)
    found = await asyncio.gather(*(loader.load(id_) for id_ in ids))
    return [row for row in found if row is not None]


async def visible_transaction(context: RequestContext, transaction_id: int) -> CreditTransactionRow | None:
    """The transaction of this number, or None where the viewer may not see its account."""
    viewer = context.require_viewer()
    async with context.services.db.read() as connection:
        found = (await connection.execute(_select().where(CreditTransaction.id == transaction_id))).one_or_none()
    return _row(found) if found is not None and may_see(viewer, tuple(found.account_path)) else None


def _select() -> Select[*tuple[Any, ...]]:
    return select(
        CreditTransaction.id,
        CreditTransaction.account_id,
        Account.path.label("account_path"),
        CreditTransaction.created_at,
        CreditTransaction.kind,
        CreditTransaction.amount_units,
        CreditTransaction.balance_after_units,
        CreditTransaction.remark,
        CreditTransaction.private_remark,
        CreditTransaction.created_by_id,
    ).join(Account, Account.id == CreditTransaction.account_id)


def _row(row: Any) -> CreditTransactionRow:
    fields = {name: row._mapping[name] for name in CreditTransactionRow.__slots__}
    fields["account_path"] = tuple(fields["account_path"])
    fields["kind"] = CreditKind(fields["kind"])
    return CreditTransactionRow(**fields)
