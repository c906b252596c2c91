"""Rate lists as the API reads them, and who may see and change which.

Predefined lists are everybody's to see. A reseller's own list is seen by it and by everybody above it, and changed by
it and by the operator. The list that its reseller chose for the viewer is not shown to it: a percentage would tell
what the reseller pays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, or_, select

from billing.errors import NotAllowed, NotFound
from models.tables import Account, RateList
from resolvers.access import AccountPath, Scope, Viewer, may_see
from resolvers.accounts import AccountRow
from resolvers.context import RequestContext


@dataclass(frozen=True, slots=True)
class RateListRow:
    """A rate list that is not deleted. ``owner_path`` ends with its owner and is empty for a predefined list."""

    id: int
    name: str
    discount_e4: int
    is_base: bool
    owner_id: int | None
    owner_path: AccountPath

    @property
    def is_predefined(self) -> bool:
        """One of the percentages that every reseller may choose."""
        return self.owner_id is None and not self.is_base

    def visible_to(self, viewer: Viewer) -> bool:
        """Whether it exists for the viewer."""
        return self.is_predefined or may_see(viewer, self.owner_path)


async def visible_rate_list(context: RequestContext, rate_list_id: int | None) -> RateListRow | None:
    """The list, or None where there is none, it was deleted, or the viewer may not see it. Batched."""
    if rate_list_id is None or context.viewer is None:
        return None

    async def load_many(rate_list_ids: Sequence[int]) -> dict[int, RateListRow]:
        async with context.services.db.read() as connection:
            rows = await connection.execute(_select().where(RateList.id.in_(rate_list_ids)))
            return {row.id: _row(row) for row in rows}

    row = await context.loaders.loader("rate list", load_many).load(rate_list_id)
    return row if row is not None and row.visible_to(context.viewer) else None


async def selected_rate_list(context: RequestContext, account: AccountRow) -> RateListRow | None:
    """The account's selected list; None for the viewer's own, which is its reseller's affair, unless the operator's."""
    viewer = context.require_viewer()
    if account.id == viewer.account_id and not viewer.is_operator:
        return None
    return await visible_rate_list(context, account.rate_list_id)


async def rate_lists_of(context: RequestContext, account: AccountRow) -> Sequence[RateListRow]:
    """The lists that the account chooses from for its customers: the base rates of the operator, the predefined ones
    by percentage, its own by name. None for a customer. Batched; their number is limited when they are made.
    """

    async def load_many(owner_ids: Sequence[int]) -> dict[int, list[RateListRow]]:
        wanted = or_(RateList.owner_id.is_(None), RateList.owner_id.in_(owner_ids))
        percentage = case((RateList.owner_id.is_(None), RateList.discount_e4), else_=0)
        async with context.services.db.read() as connection:
            found = await connection.execute(_select().where(wanted).order_by(percentage, RateList.name, RateList.id))
            rows = [_row(row) for row in found]
        lists: dict[int | None, list[RateListRow]] = {}
        for row in rows:
            lists.setdefault(row.owner_id, []).append(row)
        predefined = lists.get(None, [])
        return {
            owner_id: sorted(
                predefined + lists.get(owner_id, []), key=lambda row: (not row.is_base, not row.is_predefined)
            )
            for owner_id in owner_ids
        }

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


def _select() -> Select[*tuple[Any, ...]]:
    return (
        select(
            RateList.id,
            RateList.name,
            RateList.discount_e4,
            RateList.is_base,
            RateList.owner_id,
            Account.path.label("owner_path"),
        )
        .outerjoin(Account, Account.id == RateList.owner_id)
        .where(RateList.deleted_at.is_(None))
    )


def _row(row: Any) -> RateListRow:
    return RateListRow(row.id, row.name, row.discount_e4, row.is_base, row.owner_id, tuple(row.owner_path or ()))
