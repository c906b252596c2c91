"""The counter of changes of rates and lists (see `models.rate.PricingEpoch`)."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from models.tables import PricingEpoch


async def lock_pricing(tx: AsyncConnection) -> None:
    """Let no other change of rates or lists come between, until the transaction ends.

    It is the first lock of every such change: they come one after the other, and none can wait for another's rows.
    """
    await tx.execute(select(PricingEpoch.epoch).with_for_update())


async def take_epoch(tx: AsyncConnection) -> int:
    """The next epoch, to be stamped on every row that this transaction changes."""
    statement = update(PricingEpoch).values(epoch=PricingEpoch.epoch + 1).returning(PricingEpoch.epoch)
    return (await tx.execute(statement)).scalar_one()
