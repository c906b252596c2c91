"""Lists of accounts: the customers of an account, and everything below it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import aliased

from billing.texts import is_storable
from models.tables import Account, AccountState
from resolvers.access import AccountPath
from resolvers.accounts import AccountRow, account_row, select_accounts
from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest, keyset, page_of, page_request, pages_of_each
from resolvers.request_errors import BadUserInput


class AccountOrderField(StrEnum):
    """What a list of accounts is ordered by."""

    USERNAME = "USERNAME"
    CREATED_AT = "CREATED_AT"
    PATH = "PATH"


@dataclass(frozen=True, slots=True)
class AccountOrder:
    """``descending`` turns the whole order round."""

    field: AccountOrderField
    descending: bool = False


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts of a list; None does not narrow. ``search`` is a part of the username, in any case.

    ``blocked`` means that the account cannot call: itself or one above it is blocked.
    """

    search: str | None = None
    is_reseller: bool | None = None
    blocked: bool | None = None


CUSTOMERS = "customers"
DESCENDANTS = "descendants"

# Accounts are numbered as they are made, so the number is their order in time, and what the indexes hold.
_COLUMNS: dict[AccountOrderField, tuple[tuple[ColumnElement[Any], ...], tuple[type, ...]]] = {
    AccountOrderField.USERNAME: ((func.lower(Account.username), Account.__table__.c.id), (str, int)),
    AccountOrderField.CREATED_AT: ((Account.__table__.c.id,), (int,)),
    AccountOrderField.PATH: ((Account.__table__.c.path,), (tuple,)),
}


def account_page_request(
    of: str,
    order: AccountOrder,
    *,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> PageRequest:
    """The page asked for of `CUSTOMERS` or `DESCENDANTS`. Raises: BadUserInput."""
    return page_request(
        f"{of}:{order.field}:{'DESC' if order.descending else 'ASC'}",
        _sort(of, order)[1],
        first=first,
        after=after,
        last=last,
        before=before,
    )


def _sort(of: str, order: AccountOrder) -> tuple[tuple[ColumnElement[Any], ...], tuple[type, ...]]:
    # The paths of siblings differ in the last number only, and there is an index on that.
    siblings_by_path = of == CUSTOMERS and order.field is AccountOrderField.PATH
    return _COLUMNS[AccountOrderField.CREATED_AT if siblings_by_path else order.field]


async def customers_of(
    context: RequestContext, account_id: int, page: PageRequest, order: AccountOrder, wanted: AccountFilter
) -> Page[AccountRow]:
    """One page of the account's direct customers, batched with the pages of its siblings. Raises: BadUserInput."""
    context.require_viewer()
    columns = _sort(CUSTOMERS, order)[0]
    conditions = _conditions(wanted)

    def customers(owner_id: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
        return select_accounts().where(Account.parent_id == owner_id, *conditions)

    async def load_many(owner_ids: Sequence[int]) -> dict[int, Page[AccountRow]]:
        # Whether to look for a part of a name or to walk through all depends on the name and on the account.
        db = context.services.db
        async with db.read_by_value() if wanted.search else db.read() as connection:
            return await pages_of_each(
                connection, owner_ids, page, customers, columns, account_row, descending=order.descending
            )

    found = await context.loaders.loader((CUSTOMERS, page, order, wanted), load_many).load(account_id)
    assert found is not None
    return found


async def descendants_of(
    context: RequestContext,
    account_id: int,
    page: PageRequest,
    order: AccountOrder,
    wanted: AccountFilter,
    *,
    depth_max: int | None = None,
) -> Page[AccountRow]:
    """One page of everything below the account, at most ``depth_max`` levels below it. Raises: BadUserInput."""
    if depth_max is not None and depth_max < 1:
        raise BadUserInput(f"`maxDepth` must be 1 or more, not {depth_max}.")
    context.require_viewer()
    columns = _sort(DESCENDANTS, order)[0]
    conditions = _conditions(wanted)

    def below_any(owner_id: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
        top = aliased(Account, name="top")
        statement = select_accounts().join(top, below(Account.path, top)).where(top.id == owner_id, *conditions)
        if depth_max is not None:
            statement = statement.where(func.cardinality(Account.path) <= func.cardinality(top.path) + depth_max)
        return statement

    def below_one(path: AccountPath) -> Select[*tuple[Any, ...]]:
        end = (*path[:-1], path[-1] + 1)
        statement = select_accounts().where(Account.path > list(path), Account.path < list(end), *conditions)
        if depth_max is not None:
            statement = statement.where(func.cardinality(Account.path) <= len(path) + depth_max)
        return statement

    async def load_many(owner_ids: Sequence[int]) -> dict[int, Page[AccountRow]]:
        db, descending = context.services.db, order.descending
        if len(owner_ids) > 1:
            async with db.read() as connection:
                return await pages_of_each(
                    connection, owner_ids, page, below_any, columns, account_row, descending=descending
                )
        # The range of paths as a value: only then the planner knows whether it holds ten accounts, which are best
        # sorted, or everybody, who are best read in the order of an index.
        (top,) = (await context.services.directory.by_id(owner_ids)).values()
        async with db.read_by_value() as connection:
            statement = keyset(below_one(top.path), page, columns, descending=descending)
            return {top.id: page_of((await connection.execute(statement)).all(), page, account_row)}

    found = await context.loaders.loader((DESCENDANTS, page, order, wanted, depth_max), load_many).load(account_id)
    assert found is not None
    return found


def below(path: Any, top: Any) -> ColumnElement[bool]:
    """Whether ``path`` belongs to an account below ``top``: one range of the index on paths."""
    result: ColumnElement[bool] = within(path, top) & (path > top.path)
    return result


def within(path: Any, top: Any) -> ColumnElement[bool]:
    """Whether ``path`` belongs to ``top`` itself or to an account below it."""
    end = func.trim_array(top.path, 1).op("||")(top.id + 1)
    result: ColumnElement[bool] = (path >= top.path) & (path < end)
    return result


def _conditions(wanted: AccountFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.search:
        if not is_storable(wanted.search):
            raise BadUserInput("`search` has characters that no username has.")
        # As LIKE, for which there is an index. Lowered by the database, as the index is.
        pattern = "%" + re.sub(r"([\\%_])", r"\\\1", wanted.search) + "%"
        conditions.append(func.lower(Account.username).like(func.lower(pattern)))
    if wanted.is_reseller is not None:
        # Not as IS TRUE, by which the index of resellers would not be recognised.
        conditions.append(Account.is_reseller.expression if wanted.is_reseller else ~Account.is_reseller)
    if wanted.blocked is not None:
        above = aliased(AccountState, name="above")
        blocked = exists(
            select(above.account_id).where(above.account_id == func.any(Account.path), above.blocked).correlate(Account)
        )
        conditions.append(blocked if wanted.blocked else ~blocked)
    return conditions
