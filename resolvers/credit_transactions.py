"""Credit transactions as the API reads them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Select, case, func, select

from billing.credit import BookedCredit, CreditKind
from models.tables import Account, CreditTransaction
from resolvers.access import AccountPath, may_see
from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest, page_request, pages_of_each
from resolvers.visibility import SqlViewer

SORT_COLUMNS = (CreditTransaction.__table__.c.created_at, CreditTransaction.__table__.c.id)
SORT_KINDS = (datetime, int)


@dataclass(frozen=True, slots=True)
class CreditTransactionRow:
    """A credit transaction as one viewer sees it. Amounts are whole units of 0.00001.

    ``account_path`` ends with the account. ``private_remark`` is None for whoever is not on its author's side.
    """

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


@dataclass(frozen=True, slots=True)
class TransactionsRequest:
    """One page of the transactions of any account, newest first, from ``since`` to before ``until``."""

    VALUES: ClassVar = ("since", "until")

    page: PageRequest
    since: datetime | None
    until: datetime | None


def transactions_request(
    *,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    since: datetime | None,
    until: datetime | None,
) -> TransactionsRequest:
    """The page asked for. Raises: BadUserInput."""
    page = page_request("transactions", SORT_KINDS, first=first, after=after, last=last, before=before)
    return TransactionsRequest(page, since, until)


async def transactions_of(
    context: RequestContext, account_id: int, request: TransactionsRequest
) -> Page[CreditTransactionRow]:
    """One page of the account's own credit transactions. Batched with the pages of its siblings."""
    viewer = SqlViewer.of(context.require_viewer())

    async def load_many(owner_ids: Sequence[int]) -> dict[int, Page[CreditTransactionRow]]:
        async with context.services.db.read() as connection:
            return await pages_of_each(
                connection,
                owner_ids,
                request.page,
                lambda owner_id: select_transactions_of(owner_id, request, viewer),
                SORT_COLUMNS,
                _row,
                descending=True,
            )

    found = await context.loaders.loader(request, load_many).load(account_id)
    assert found is not None
    return found


def select_transactions_of(
    owner_id: ColumnElement[int], request: TransactionsRequest, viewer: SqlViewer
) -> Select[*tuple[Any, ...]]:
    """The statement of one account's whole list, without the page's range and order."""
    statement = _select(viewer).where(CreditTransaction.account_id == owner_id)
    if request.since is not None:
        statement = statement.where(CreditTransaction.created_at >= request.since)
    if request.until is not None:
        statement = statement.where(CreditTransaction.created_at < request.until)
    return statement


async def booked_transaction(context: RequestContext, booked: BookedCredit) -> CreditTransactionRow:
    """The transaction that was just booked, or answered again."""
    statement = _select(SqlViewer.of(context.require_viewer(scope=None))).where(
        CreditTransaction.account_id == booked.account_id,
        CreditTransaction.created_at == booked.created_at,
        CreditTransaction.id == booked.id,
    )
    async with context.services.db.read() as connection:
        return _row((await connection.execute(statement)).one())


async def transactions_by_id(context: RequestContext, ids: Sequence[int]) -> list[CreditTransactionRow]:
    """These transactions, of accounts that the viewer is known to see, in the order of the ids. Batched."""
    viewer = SqlViewer.of(context.require_viewer(scope=None))

    async def load_many(wanted: Sequence[int]) -> dict[int, CreditTransactionRow]:
        async with context.services.db.read() as connection:
            rows = await connection.execute(_select(viewer).where(CreditTransaction.id.in_(wanted)))
            return {row.id: _row(row) for row in rows}

    loader = context.loaders.loader("transaction", load_many)
    found = await asyncio.gather(*(loader.load(id_) for id_ in ids))
    return [row for row in found if row is not None]


async def visible_transaction(context: RequestContext, transaction_id: int) -> CreditTransactionRow | None:
    """The transaction of this number, or None where the viewer may not see its account."""
    viewer = context.require_viewer()
    async with context.services.db.read() as connection:
        statement = _select(SqlViewer.of(viewer)).where(CreditTransaction.id == transaction_id)
        found = (await connection.execute(statement)).one_or_none()
    return _row(found) if found is not None and may_see(viewer, tuple(found.account_path)) else None


def _select(viewer: SqlViewer) -> Select[*tuple[Any, ...]]:
    # The private remark is for its author's side: the author and whoever is above it on the account's path.
    author_depth = func.array_position(Account.path, CreditTransaction.created_by_id)
    return (
        select(
            CreditTransaction.id,
            CreditTransaction.account_id,
            Account.path.label("account_path"),
            CreditTransaction.created_at,
            CreditTransaction.kind,
            CreditTransaction.amount_units,
            CreditTransaction.balance_after_units,
            CreditTransaction.remark,
            case((author_depth >= viewer.depth, CreditTransaction.private_remark)).label("private_remark"),
            CreditTransaction.created_by_id,
        )
        .select_from(CreditTransaction)
        .join(Account, Account.id == CreditTransaction.account_id)
    )


def _row(row: Any) -> CreditTransactionRow:
    fields = {name: row._mapping[name] for name in CreditTransactionRow.__slots__}
    fields["account_path"] = tuple(fields["account_path"])
    fields["kind"] = CreditKind(fields["kind"])
    return CreditTransactionRow(**fields)
