"""What viewers do to rate lists: the gate first, then the rules of `billing` in one transaction.

The mutation has checked that the viewer is signed in and not blocked.
"""

from collections.abc import Sequence

from billing import rate_lists
from billing.errors import NotAReseller
from billing.rate_changes import NewRate
from billing.set_rates import set_rates
from resolvers.access import Scope
from resolvers.context import RequestContext
from resolvers.rate_lists import RateListRow, require_changeable


async def create_rate_list(context: RequestContext, *, name: str, discount_e4: int) -> int:
    """A list of the viewer's own; its id. Raises: NotAReseller, InvalidInput, NameTaken."""
    viewer = context.require_viewer(Scope.MANAGE)
    if not viewer.is_reseller:
        raise NotAReseller("Only a reseller has rate lists.", account_id=viewer.account_id)
    async with context.transaction() as tx:
        return await rate_lists.create_rate_list(tx, owner_id=viewer.account_id, name=name, discount_e4=discount_e4)


async def update_rate_list(
    context: RequestContext, rate_list_id: int | None, *, name: str | None, discount_e4: int | None
) -> int:
    """Another name or percentage, in force at once. Raises: NotFound, NotAllowed, InvalidInput, NameTaken."""
    rate_list = await require_changeable(context, rate_list_id)
    async with context.transaction() as tx:
        await rate_lists.update_rate_list(tx, rate_list_id=rate_list.id, name=name, discount_e4=discount_e4)
    return rate_list.id


async def delete_rate_list(context: RequestContext, rate_list_id: int | None) -> RateListRow:
    """Delete a list that nobody has selected; what it was. Raises: NotFound, NotAllowed, RateListInUse."""
    rate_list = await require_changeable(context, rate_list_id)
    async with context.transaction() as tx:
        await rate_lists.delete_rate_list(tx, rate_list_id=rate_list.id)
    return rate_list


async def change_rates(
    context: RequestContext, rate_list_id: int | None, rates: Sequence[NewRate], *, replace: bool
) -> tuple[int, int]:
    """Set rates of a list, in force at once; its id and how many prefixes changed.

    Raises: NotFound, NotAllowed, InvalidRate.
    """
    rate_list = await require_changeable(context, rate_list_id)
    async with context.transaction() as tx:
        changed = await set_rates(tx, rate_list_id=rate_list.id, rates=rates, replace=replace)
    return rate_list.id, changed
