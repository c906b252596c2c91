"""Lists of accounts: the customers of an account, and everything below it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from billing.accounts import DEPTH_MAX
from billing.texts import is_storable
from models.tables import Account, AccountState
from resolvers.accounts import AccountRow, account_row, is_blocked, select_accounts, visible_account
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

    VALUES: ClassVar = ()

    field: AccountOrderField
    descending: bool = False


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts of a list; None does not narrow. ``search`` is a part of the username, in any case.

    ``blocked`` means that the account cannot call: itself or one above it is blocked.
    """

    VALUES: ClassVar = ("search",)

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


@dataclass(frozen=True, slots=True)
class AccountsRequest:
    """One page of `CUSTOMERS` or `DESCENDANTS` of any account; of these at most ``depth_max`` levels below it."""

    VALUES: ClassVar = ()

    of: str
    page: PageRequest
    order: AccountOrder
    wanted: AccountFilter
    depth_max: int | None = None

    @property
    def columns(self) -> tuple[ColumnElement[Any], ...]:
        """The sort values of the list, unique together."""
        return _sort(self.of, self.order)[0]

    @property
    def kinds(self) -> tuple[type, ...]:
        """The types of the sort values, as for `page_request`."""
        return _sort(self.of, self.order)[1]


def accounts_request(
    of: str,
    order: AccountOrder,
    wanted: AccountFilter,
    *,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    depth_max: int | None = None,
) -> AccountsRequest:
    """The page asked for of `CUSTOMERS` or `DESCENDANTS`. Raises: BadUserInput."""
    page = page_request(
        f"{of}:{order.field}:{'DESC' if order.descending else 'ASC'}",
        _sort(of, order)[1],
        first=first,
        after=after,
        last=last,
        before=before,
    )
    if depth_max is not None and depth_max < 1:
        raise BadUserInput(f"`maxDepth` must be 1 or more, not {depth_max}.")
    if wanted.search is not None and not is_storable(wanted.search):
        raise BadUserInput("`search` has characters that no username has.")
    # No path is longer; what is larger would not fit the sum with the account's own depth.
    return AccountsRequest(of, page, order, wanted, None if depth_max is None else min(depth_max, DEPTH_MAX))


def _sort(of: str, order: AccountOrder) -> tuple[tuple[ColumnElement[Any], ...], tuple[type, ...]]:
    # The paths of siblings differ in the last number only, and there is an index on that.
    siblings_by_path = of == CUSTOMERS and order.field is AccountOrderField.PATH
    return _COLUMNS[AccountOrderField.CREATED_AT if siblings_by_path else order.field]


async def accounts_of(context: RequestContext, account_id: int, request: AccountsRequest) -> Page[AccountRow]:
    """One page of the account's customers or descendants, batched with the pages of its siblings."""
    context.require_viewer()
    if request.of == CUSTOMERS and request.wanted.blocked is not None:
        owner = await visible_account(context, account_id)
        if owner is not None and owner.blocked_ids:
            if not request.wanted.blocked:
                return page_of([], request.page, account_row)
            request = replace(request, wanted=replace(request.wanted, blocked=None))
    page, columns, descending = request.page, request.columns, request.order.descending

    async def load_many(owner_ids: Sequence[int]) -> dict[int, Page[AccountRow]]:
        db = context.services.db
        if request.of == DESCENDANTS and len(owner_ids) == 1:
            # The range of paths as a value: only then the planner knows whether it holds ten accounts, which are
            # best sorted, or everybody, who are best read in the order of an index.
            (top,) = (await context.services.directory.by_id(owner_ids)).values()
            owner = _Owner(literal(top.id, BigInteger), literal(list(top.path), ARRAY(BigInteger)))
            statement = keyset(select_accounts_of(owner, request), page, columns, descending=descending)
            async with db.read_by_value() as connection:
                return {top.id: page_of((await connection.execute(statement)).all(), page, account_row)}
        # Whether to look for a part of a name, or for who is blocked, or to walk through all depends on the name and on
        # the account.
        wanted = request.wanted
        by_value = wanted.search is not None or wanted.blocked is not None
        async with db.read_by_value() if by_value else db.read() as connection:
            return await pages_of_each(
                connection,
                owner_ids,
                page,
                lambda owner_id: select_accounts_of(_owner(owner_id), request),
                columns,
                account_row,
                descending=descending,
            )

    found = await context.loaders.loader(request, load_many).load(account_id)
    assert found is not None
    return found


def select_accounts_of(owner: Any, request: AccountsRequest) -> Select[*tuple[Any, ...]]:
    """The statement of the whole list of one owner, without the page's range and order.

    ``owner`` has ``id`` and ``path``: values, or a row around the statement; they then bound the range of an index. (As
    a table inside it would only be joined, from one end of the index to the other.)

    Customers narrowed by ``blocked`` are so by their own mark: that of the owner's path is the caller's to look at.
    """
    statement = select_accounts().where(*_conditions(request))
    if request.of == CUSTOMERS:
        return statement.where(Account.parent_id == owner.id)
    statement = statement.where(below(Account.path, owner))
    if request.depth_max is not None:
        statement = statement.where(func.cardinality(Account.path) <= func.cardinality(owner.path) + request.depth_max)
    return statement


class _Owner(NamedTuple):
    id: ColumnElement[int]
    path: Any


def _owner(account_id: ColumnElement[int]) -> _Owner:
    named = aliased(Account, name="owner")
    # `account_id` may be a column of a table further out than the statement around this one.
    path = select(named.path).where(named.id == account_id).correlate_except(named).scalar_subquery()
    return _Owner(account_id, path)


def below(path: Any, top: Any) -> ColumnElement[bool]:
    """Whether ``path`` belongs to an account below ``top``: one range of the index on paths."""
    result: ColumnElement[bool] = (path > top.path) & _before_next_sibling(path, top)
    return result


def within(path: Any, top: Any) -> ColumnElement[bool]:
    """Whether ``path`` belongs to ``top`` itself or to an account below it."""
    result: ColumnElement[bool] = (path >= top.path) & _before_next_sibling(path, top)
    return result


def _before_next_sibling(path: Any, top: Any) -> ColumnElement[bool]:
    """Whether ``path`` comes before every path that begins after ``top`` and all that is below it."""
    end = func.trim_array(top.path, 1).op("||")(top.id + 1)
    result: ColumnElement[bool] = path < end
    return result


def _conditions(request: AccountsRequest) -> list[ColumnElement[bool]]:
    wanted = request.wanted
    conditions: list[ColumnElement[bool]] = []
    if wanted.search is not None:
        # As LIKE, for which there is an index. Lowered by the database, as the index is.
        pattern = "%" + re.sub(r"([\\%_])", r"\\\1", wanted.search) + "%"
        conditions.append(func.lower(Account.username).like(func.lower(pattern)))
    if wanted.is_reseller is not None:
        # Not as IS TRUE, by which the index of resellers would not be recognised.
        conditions.append(Account.is_reseller.expression if wanted.is_reseller else ~Account.is_reseller)
    if wanted.blocked is not None:
        # No index of the marks: the planner would take it for the few accounts of a path as well, by whatever number of
        # marks there was when it last looked.
        blocked = AccountState.blocked.expression if request.of == CUSTOMERS else is_blocked()
        conditions.append(blocked if wanted.blocked else ~blocked)
    return conditions
