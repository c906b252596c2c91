"""Which rate list an account may be given: a predefined one, or one of its own reseller."""

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import NotFound
from models.tables import RateList


async def default_rate_list_id(tx: AsyncConnection) -> int:
    """The predefined list of 0 %: its accounts pay exactly what their reseller pays."""
    statement = select(RateList.id).where(
        RateList.owner_id.is_(None), RateList.discount_e4 == 0, RateList.is_base.is_(False)
    )
    return (await tx.execute(statement)).scalar_one()


async def lock_selectable_rate_list(tx: AsyncConnection, *, rate_list_id: int, reseller_id: int) -> None:
    """Check that customers of the reseller may be given the list.

    Locks the list's row (FOR SHARE), so that it is not deleted before this transaction ends: whoever deletes a list
    locks it first and then looks who uses it. Raises: NotFound.
    """
    statement = (
        select(RateList.id)
        .where(
            RateList.id == rate_list_id,
            RateList.deleted_at.is_(None),
            or_(RateList.owner_id == reseller_id, RateList.owner_id.is_(None) & RateList.is_base.is_(False)),
        )
        .with_for_update(read=True)
    )
    if (await tx.execute(statement)).one_or_none() is None:
        raise NotFound("There is no such rate list.", path=("rateListId",))
