"""The policy "promised credit may not exceed own credit" of a reseller that is held to it.

Promised is what its direct customers have between them: balance + credit limit of each, where that is above zero. Its
own is its balance + credit limit. The policy is looked at when something is promised; a reseller that has spent its
own credit since is not called back.
"""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from billing.balances import lock_states, operator_id
from billing.errors import InsufficientCredit
from billing.money import format_money
from models.database import driver_connection
from models.tables import Account, AccountState


async def lock_promises(tx: AsyncConnection, *, reseller_id: int) -> bool:
    """Whether the reseller is held to the policy; then its promises are locked until the transaction ends.

    Locks the operator's state row and the reseller's, in this order, before the caller locks any other.
    """
    held_to = select(Account.credit_within_own).where(Account.id == reseller_id)
    if not (await tx.execute(held_to)).scalar_one():
        return False
    connection = await driver_connection(tx)
    await lock_states(connection, {await operator_id(connection), reseller_id})
    return True


async def check_promises(tx: AsyncConnection, *, reseller_id: int, path: tuple[str, ...]) -> None:
    """Raises: InsufficientCredit where more is promised than the reseller has. The operator has without limit."""
    customer, state = aliased(Account), aliased(AccountState)
    credit = state.balance_units + state.credit_limit_units
    promised = (
        select(func.coalesce(func.sum(func.greatest(credit, 0)), 0))
        .join(customer, customer.id == state.account_id)
        .where(customer.parent_id == reseller_id)
        .scalar_subquery()
    )
    own = AccountState.balance_units + AccountState.credit_limit_units
    found = (
        await tx.execute(
            select(own.label("own"), promised.label("promised")).where(AccountState.account_id == reseller_id)
        )
    ).one()
    if found.own is not None and found.promised > found.own:
        raise InsufficientCredit(
            f"A reseller held to its own credit has {format_money(found.own)} and would have promised "
            f"{format_money(int(found.promised))}.",
            path=path,
            account_id=reseller_id,
        )


async def reseller_of(tx: AsyncConnection, account_id: int) -> int | None:
    """The account above; None for the operator."""
    found: int | None = (await tx.execute(select(Account.parent_id).where(Account.id == account_id))).scalar_one()
    return found
