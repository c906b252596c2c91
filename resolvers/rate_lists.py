"""Rate lists as the API reads them, and who may see and change which.

Predefined lists are everybody's to see. A reseller's own list is seen by it and by everybody above it, and changed by
it and by the operator. The list that its reseller chose for the viewer is not shown to it: a percentage would tell
what the reseller pays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, or_, select

from billing.errors import NotAllowed, NotFound
from models.tables import Account, RateList
from resolvers.access import AccountPath, Scope
from resolvers.accounts import AccountRow
from resolvers.context import RequestContext
from resolvers.visibility import SqlViewer, sees

_IS_PREDEFINED = and_(RateList.owner_id.is_(None), ~RateList.is_base)


@dataclass(frozen=True, slots=True)
class RateListRow:
    """A rate list that is not deleted; predefined ones are the percentages that every reseller may choose.

    ``owner_path`` ends with its owner and is empty for a predefined list.
    """

    id: int
    name: str
    discount_e4: int
    is_base: bool
    owner_id: int | None
    owner_path: AccountPath

    is_predefined: bool


async def visible_rate_list(context: RequestContext, rate_list_id: int | None) -> RateListRow | None:
    """The list, or None where there is none, it was deleted, or the viewer may not see it. Batched."""
    if rate_list_id is None or context.viewer is None:
        return None
    visible = visible_list(SqlViewer.of(context.viewer))

    async def load_many(rate_list_ids: Sequence[int]) -> dict[int, RateListRow]:
        async with context.services.db.read() as connection:
            rows = await connection.execute(select_rate_lists().where(RateList.id.in_(rate_list_ids), visible))
            return {row.id: _row(row) for row in rows}

    return await context.loaders.loader("rate list", load_many).load(rate_list_id)


def visible_list(viewer: SqlViewer) -> ColumnElement[bool]:
    """Whether a list of `select_rate_lists` exists for the viewer."""
    return or_(_IS_PREDEFINED, sees(viewer, Account.path))


async def selected_rate_list(context: RequestContext, account: AccountRow) -> RateListRow | None:
    """The account's selected list; None for the viewer's own, which is its reseller's affair, unless the operator's."""
    viewer = context.require_viewer()
    if account.id == viewer.account_id and not viewer.is_operator:  # in SQL: `selection_is_shown`
        return None
    return await visible_rate_list(context, account.rate_list_id)


def selection_is_shown(viewer: SqlViewer, account_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether the viewer may know which list the account has: the rule of `selected_rate_list`."""
    return or_(account_id != viewer.account_id, viewer.depth == 1)


async def rate_lists_of(context: RequestContext, account: AccountRow) -> Sequence[RateListRow]:
    """The lists that the account chooses from for its customers: the base rates of the operator, the predefined ones
    by percentage, its own by name. None for a customer. Batched; their number is limited when they are made.
    """

    async def load_many(owner_ids: Sequence[int]) -> dict[int, list[RateListRow]]:
        async with context.services.db.read() as connection:
            found = await connection.execute(select_lists_to_choose(RateList.owner_id.in_(owner_ids)))
            rows = [_row(row) for row in found]
        return {owner_id: [row for row in rows if row.owner_id in (None, owner_id)] for owner_id in owner_ids}

    if not account.is_reseller:
        return ()
    return await context.loaders.loader("rate lists", load_many).load(account.id) or ()


async def require_changeable(context: RequestContext, rate_list_id: int | None) -> RateListRow:
    """The list, if the viewer may change it: its owner, or the operator.

    Raises: NotFound where it does not exist for the viewer; NotAllowed where it is predefined or somebody else's.
    """
    viewer = context.require_viewer(Scope.MANAGE)
    rate_list = await visible_rate_list(context, rate_list_id)
    if rate_list is None:
        raise NotFound("There is no such rate list.", path=("rateListId",))
    if rate_list.is_predefined:
        raise NotAllowed("The predefined lists are everybody's and cannot be changed.", path=("rateListId",))
    if rate_list.owner_id != viewer.account_id and not viewer.is_operator:
        raise NotAllowed("Only the reseller whose list it is can change it.", path=("rateListId",))
    return rate_list


def select_lists_to_choose(is_own: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """The base rates where they are own, the predefined lists by percentage, own lists by name."""
    percentage = case((RateList.owner_id.is_(None), RateList.discount_e4), else_=0)
    return (
        select_rate_lists()
        .where(or_(RateList.owner_id.is_(None), is_own))
        .order_by(RateList.is_base.desc(), _IS_PREDEFINED.desc(), percentage, RateList.name, RateList.id)
    )


def select_rate_lists() -> Select[*tuple[Any, ...]]:
    """The statement behind `RateListRow`, to be narrowed by the caller."""
    return (
        select(
            RateList.id,
            RateList.name,
            RateList.discount_e4,
            RateList.is_base,
            RateList.owner_id,
            Account.path.label("owner_path"),
            _IS_PREDEFINED.label("is_predefined"),
        )
        .select_from(RateList)
        .outerjoin(Account, Account.id == RateList.owner_id)
        .where(RateList.deleted_at.is_(None))
    )


def _row(row: Any) -> RateListRow:
    owner_path = tuple(row.owner_path or ())
    return RateListRow(row.id, row.name, row.discount_e4, row.is_base, row.owner_id, owner_path, row.is_predefined)
