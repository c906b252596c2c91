"""Making accounts: the operator, and customers below a reseller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.account_counts import count_account
from billing.account_details import checked_details
from billing.credit import CreditKind, book_credit
from billing.errors import InvalidAmount, NotAReseller, NotFound, TreeTooDeep, UsernameTaken
from billing.overcommit import check_promises, lock_promises
from billing.rate_choice import default_rate_list_id, lock_selectable_rate_list
from billing.usernames import check_bare_name, full_username
from models.tables import Account, AccountState, RateList

# The index on paths takes entries of at most 2,704 bytes: 24 and 8 for each level. See docs/adr.
DEPTH_MAX = 256


@dataclass(frozen=True, slots=True)
class CreatedAccount:
    """A new account. ``message`` is the answer to whoever created it; it ends with the full username."""

    id: int
    username: str
    message: str


async def create_operator(tx: AsyncConnection, *, username: str, password_hash: str) -> int:
    """Make the account at the top: unlimited credit, owner of the base rates. Returns its id.

    Raises: InvalidUsername; UsernameTaken where there is an operator already.
    """
    check_bare_name(username, suffix=None)
    account_id = await _insert_account(
        tx, username=username, parent_id=None, parent_path=(), password_hash=password_hash, is_reseller=True, details={}
    )
    base_id = (
        await tx.execute(update(RateList).where(RateList.is_base).values(owner_id=account_id).returning(RateList.id))
    ).scalar_one()
    await tx.execute(insert(AccountState).values(account_id=account_id, rate_list_id=base_id, credit_limit_units=None))
    await count_account(tx, account_id=account_id, parent_path=())
    return account_id


async def create_customer(
    tx: AsyncConnection,
    *,
    reseller_id: int,
    author_id: int,
    username: str,
    password_hash: str,
    rate_list_id: int | None = None,
    credit_units: int = 0,
    credit_limit_units: int = 0,
    blocked: bool = False,
    is_reseller: bool = False,
    details: Mapping[str, Any] | None = None,
) -> CreatedAccount:
    """Make a customer of a reseller, with its first credit as a credit transaction of ``author_id``.

    ``username`` is the bare name; the suffix is added here. Without ``rate_list_id`` it gets the predefined list of
    0 %. ``details`` are columns of `billing.account_details`.

    Raises: InvalidUsername, UsernameTaken, NotAReseller, TreeTooDeep, NotFound for the rate list, InvalidAmount,
    InvalidInput, InsufficientCredit where the reseller is held to its own credit and would promise more.
    """
    parent = (
        await tx.execute(
            select(Account.id, Account.username, Account.path, Account.is_reseller).where(Account.id == reseller_id)
        )
    ).one_or_none()
    if parent is None:
        raise NotFound("There is no such account.", path=("resellerId",))
    if not parent.is_reseller:
        raise NotAReseller("Only a reseller can have customers.", path=("resellerId",), account_id=reseller_id)
    if len(parent.path) >= DEPTH_MAX:
        raise TreeTooDeep(f"The tree has at most {DEPTH_MAX} levels.", account_id=reseller_id)
    full_name = full_username(username, parent.username)
    check_credit_limit(credit_limit_units)
    if credit_units < 0:
        raise InvalidAmount("A new account cannot begin with less than nothing.", path=("credit",))
    columns = checked_details(details or {})
    if rate_list_id is None:
        rate_list_id = await default_rate_list_id(tx)
    else:
        await lock_selectable_rate_list(tx, rate_list_id=rate_list_id, reseller_id=reseller_id)

    promised = bool(credit_units or credit_limit_units) and await lock_promises(tx, reseller_id=reseller_id)
    account_id = await _insert_account(
        tx,
        username=full_name,
        parent_id=parent.id,
        parent_path=parent.path,
        password_hash=password_hash,
        is_reseller=is_reseller,
        details=columns,
    )
    await tx.execute(
        insert(AccountState).values(
            account_id=account_id,
            rate_list_id=rate_list_id,
            credit_limit_units=credit_limit_units,
            blocked=blocked,
        )
    )
    if credit_units:
        await book_credit(
            tx, author_id=author_id, account_id=account_id, kind=CreditKind.OPENING, amount_units=credit_units
        )
    if promised:
        await check_promises(tx, reseller_id=reseller_id, path=("credit",))
    await count_account(tx, account_id=account_id, parent_path=parent.path)
    kind = "Reseller" if is_reseller else "Customer"
    return CreatedAccount(account_id, full_name, f"{kind} created: {full_name}")


def check_credit_limit(credit_limit_units: int | None) -> int:
    """The limit of an account that is not the operator, in whole units of 0.00001. Raises: InvalidAmount."""
    if credit_limit_units is None:
        raise InvalidAmount("Only the operator's credit is unlimited: give an amount.", path=("creditLimit",))
    if credit_limit_units < 0:
        raise InvalidAmount("A credit limit is not negative.", path=("creditLimit",))
    return credit_limit_units


async def _insert_account(
    tx: AsyncConnection,
    *,
    username: str,
    parent_id: int | None,
    parent_path: Sequence[int],
    password_hash: str,
    is_reseller: bool,
    details: Mapping[str, Any],
) -> int:
    # The path holds the id, so the id comes first.
    account_id = (
        await tx.execute(select(func.nextval(func.pg_get_serial_sequence(Account.__tablename__, "id"))))
    ).scalar_one()
    # No look-up beforehand: of two that race for a name the index lets one in and makes the other wait for it.
    inserted = await tx.execute(
        insert_or_not(Account)
        .values(
            id=account_id,
            username=username,
            parent_id=parent_id,
            path=[*parent_path, account_id],
            password_hash=password_hash,
            is_reseller=is_reseller,
            **details,
        )
        .on_conflict_do_nothing()
        .returning(Account.id)
    )
    if inserted.one_or_none() is None:
        raise UsernameTaken
    return int(account_id)
