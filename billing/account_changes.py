"""Changing accounts: details, rate list, reseller mark, block, credit limit, password."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing import tokens
from billing.account_details import checked_details
from billing.accounts import check_credit_limit
from billing.balances import set_credit_limit_of
from billing.errors import NotAllowed, ResellerIsPermanent
from billing.overcommit import check_promises, lock_promises
from billing.rate_choice import lock_selectable_rate_list
from models.database import driver_connection
from models.tables import Account, AccountState


async def update_details(tx: AsyncConnection, *, account_id: int, details: Mapping[str, Any]) -> None:
    """Change the named columns of `billing.account_details`; None clears one. Raises: InvalidInput."""
    columns = checked_details(details)
    if columns:
        await tx.execute(update(Account).where(Account.id == account_id).values(columns))


async def select_rate_list(tx: AsyncConnection, *, account_id: int, rate_list_id: int) -> None:
    """Give the account another rate list. Calls charged from then on are priced by it.

    No pricing epoch is taken: charging reads the choice from the state row that it locks. Raises: NotFound where
    the list is neither predefined nor one of the account's own reseller; NotAllowed for the operator.
    """
    parent_id = (await tx.execute(select(Account.parent_id).where(Account.id == account_id))).scalar_one()
    if parent_id is None:
        raise NotAllowed("The operator's rates are the base rates.", path=("rateListId",), account_id=account_id)
    await lock_selectable_rate_list(tx, rate_list_id=rate_list_id, reseller_id=parent_id)
    await tx.execute(
        update(AccountState).where(AccountState.account_id == account_id).values(rate_list_id=rate_list_id)
    )


async def set_reseller(tx: AsyncConnection, *, account_id: int, is_reseller: bool) -> None:
    """Set the reseller mark; to set it once more changes nothing. Raises: ResellerIsPermanent for undoing it."""
    if is_reseller:
        await tx.execute(update(Account).where(Account.id == account_id).values(is_reseller=True))
        return
    # Locked, so that "it is no reseller" is still true when the transaction commits.
    marked = await tx.execute(select(Account.is_reseller).where(Account.id == account_id).with_for_update(read=True))
    if marked.scalar_one():
        raise ResellerIsPermanent(
            "The reseller mark cannot be undone once set.", path=("isReseller",), account_id=account_id
        )


async def set_blocked(tx: AsyncConnection, *, account_id: int, blocked: bool) -> None:
    """Block or unblock one account: calls of it and of everything below it. Its balance and version stay.

    Locks the state row; a batch that holds it is charged before, one that comes later sees the block.
    """
    await tx.execute(update(AccountState).where(AccountState.account_id == account_id).values(blocked=blocked))


async def set_credit_limit(tx: AsyncConnection, *, account_id: int, credit_limit_units: int | None) -> None:
    """Set how far below zero the account may go, in whole units of 0.00001.

    A limit below what is used already is taken: nothing more is available then. Raises: InvalidAmount for None or
    below zero; NotAllowed for the operator; InsufficientCredit where the account's reseller is held to its own credit
    and would promise more.
    """
    checked = check_credit_limit(credit_limit_units)
    parent_id = (await tx.execute(select(Account.parent_id).where(Account.id == account_id))).scalar_one()
    if parent_id is None:
        raise NotAllowed("The operator's credit is unlimited.", path=("accountId",), account_id=account_id)
    promised = await lock_promises(tx, reseller_id=parent_id)
    limit = select(AccountState.credit_limit_units).where(AccountState.account_id == account_id)
    raised = checked > ((await tx.execute(limit)).scalar_one() or 0)
    await set_credit_limit_of(await driver_connection(tx), account_id, checked)
    if promised and raised:
        await check_promises(tx, reseller_id=parent_id, path=("creditLimit",))


async def hold_to_own_credit(tx: AsyncConnection, *, account_id: int, held_to: bool) -> None:
    """Hold a reseller to the policy of `billing.overcommit`, or no more. What is promised already stays."""
    await tx.execute(update(Account).where(Account.id == account_id).values(credit_within_own=held_to))


async def set_password(
    tx: AsyncConnection, *, account_id: int, password_hash: str, kept_token_id: int | None = None
) -> None:
    """Replace the password and end the account's sessions, but for the one that asked. API tokens go on."""
    await tx.execute(update(Account).where(Account.id == account_id).values(password_hash=password_hash))
    await tokens.end_sessions(tx, account_id=account_id, except_token_id=kept_token_id)
