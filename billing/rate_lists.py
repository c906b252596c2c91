"""Rate lists: making, renaming, deleting, selecting. Their rates are changed in `billing.set_rates`.

Whether the list is the viewer's own is the caller's question (the gate); that a predefined list never changes and a
deleted one is gone is decided here, under the list's lock.
"""

from typing import Any

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import InvalidInput, NameTaken, NotAllowed, NotFound, RateListInUse
from billing.money import format_percent
from billing.pricing_epoch import lock_pricing, take_epoch
from billing.rating import Price
from billing.texts import check_name
from models.tables import AccountState, RateList

# A back office shows all lists of a reseller at once.
LISTS_OF_A_RESELLER_MAX = 200


async def create_rate_list(tx: AsyncConnection, *, owner_id: int, name: str, discount_e4: int) -> int:
    """A list of the reseller ``owner_id``, without rates; its id. Locks: pricing.

    Raises: InvalidInput, NameTaken.
    """
    name = _checked_name(name)
    await lock_pricing(tx)
    own = select(func.count()).where(RateList.owner_id == owner_id, RateList.deleted_at.is_(None))
    if (await tx.execute(own)).scalar_one() >= LISTS_OF_A_RESELLER_MAX:
        raise InvalidInput(f"A reseller has at most {LISTS_OF_A_RESELLER_MAX} rate lists: delete one first.")
    statement = insert(RateList).values(
        owner_id=owner_id, name=name, discount_e4=discount_e4, epoch=await take_epoch(tx)
    )
    try:
        rate_list_id: int = (await tx.execute(statement.returning(RateList.id))).scalar_one()
    except IntegrityError as error:
        raise _name_taken(error) from error
    return rate_list_id


async def update_rate_list(
    tx: AsyncConnection, *, rate_list_id: int, name: str | None = None, discount_e4: int | None = None
) -> None:
    """Rename a list or change its percentage, which holds at once; None leaves as it is. Locks: pricing, the list.

    Raises: NotFound, NotAllowed (predefined), InvalidInput, NameTaken.
    """
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = _checked_name(name)
    if discount_e4 is not None:
        changes["discount_e4"] = discount_e4
    rate_list = await lock_changeable(tx, rate_list_id)
    if rate_list.is_base:
        raise NotAllowed("The base rates have neither another name nor a percentage.", path=("rateListId",))
    changes = {key: value for key, value in changes.items() if value != rate_list._mapping[key]}
    if not changes:
        return
    statement = update(RateList).where(RateList.id == rate_list_id).values(**changes, epoch=await take_epoch(tx))
    try:
        await tx.execute(statement)
    except IntegrityError as error:
        raise _name_taken(error) from error


async def delete_rate_list(tx: AsyncConnection, *, rate_list_id: int) -> None:
    """Make a list unselectable for ever; its row stays, for the calls rated with it. Locks: pricing, the list.

    Raises: NotFound, NotAllowed (predefined, base), RateListInUse.
    """
    rate_list = await lock_changeable(tx, rate_list_id)
    if rate_list.is_base:
        raise NotAllowed("The base rates cannot be deleted: every price starts there.", path=("rateListId",))
    if await tx.scalar(select(exists().where(AccountState.rate_list_id == rate_list_id))):
        raise RateListInUse("Accounts have this rate list selected: give them another one first.", path=("rateListId",))
    await tx.execute(
        update(RateList)
        .where(RateList.id == rate_list_id)
        .values(deleted_at=func.clock_timestamp(), epoch=await take_epoch(tx))
    )


async def base_rate_list_id(tx: AsyncConnection) -> int:
    """The id of the operator's deck, which every price starts from."""
    return (await tx.execute(select(RateList.id).where(RateList.is_base))).scalar_one()


async def lock_changeable(tx: AsyncConnection, rate_list_id: int) -> Any:
    """The list's row (id, owner_id, name, discount_e4, is_base), locked together with all pricing.

    Raises: NotFound: there is none, or it was deleted. NotAllowed: it is predefined.
    """
    await lock_pricing(tx)
    statement = (
        select(RateList.id, RateList.owner_id, RateList.name, RateList.discount_e4, RateList.is_base)
        .where(RateList.id == rate_list_id, RateList.deleted_at.is_(None))
        .with_for_update()
    )
    rate_list = (await tx.execute(statement)).one_or_none()
    if rate_list is None:
        raise NotFound("There is no such rate list.", path=("rateListId",))
    if rate_list.owner_id is None and not rate_list.is_base:
        raise NotAllowed("The predefined lists are everybody's and cannot be changed.", path=("rateListId",))
    return rate_list


def losing_warning(discount_e4: int) -> str | None:
    """What to tell a reseller whose customers would pay less than itself; None where they do not."""
    if discount_e4 <= 0:
        return None
    return (
        f"Customers with this list pay {format_percent(discount_e4)} % less than you do: "
        "you lose on each minute that they talk, except where the list has a higher price of its own."
    )


def losing_price_warning(price: Price) -> str:
    """What to tell a reseller that pays more than this price of a list which it selects for a customer."""
    destination = f" ({price.destination})" if price.destination else ""
    return f"With this list the customer pays less than you do for {price.prefix}{destination}: you lose there."


def _checked_name(name: str) -> str:
    name = check_name(name)
    if name.lower().startswith("(predefined)") or name.lower() == "base rates":
        raise InvalidInput(f"{name!r} is a name of the system's own lists.", path=("name",))
    return name


def _name_taken(error: IntegrityError) -> NameTaken:
    if "uq_rate_lists_owner_id_name" in str(error.orig):
        return NameTaken("You have a rate list of this name already.", path=("name",))
    raise error
