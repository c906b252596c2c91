"""Credit transactions: a person changes one account's balance, by a promise. Nobody else's balance moves."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.balances import Cause, apply_to_locked, available_units, fits_a_balance, lock_states
from billing.errors import IdempotencyConflict, InsufficientCredit, InvalidAmount, NotFound
from billing.money import format_money
from billing.overcommit import check_promises, lock_promises, reseller_of
from billing.texts import REMARK_LENGTH_MAX, check_optional_text, check_text
from models.database import driver_connection
from models.tables import CreditTransaction, IdempotencyKey

IDEMPOTENCY_KEY_LENGTH_MAX = 255


class CreditKind(StrEnum):
    """How a credit transaction came about."""

    CREDIT = "CREDIT"
    OPENING = "OPENING"
    PURCHASE = "PURCHASE"
    BONUS = "BONUS"


@dataclass(frozen=True, slots=True)
class BookedCredit:
    """The key of a credit transaction. ``duplicate`` says that an earlier request had booked it."""

    account_id: int
    created_at: datetime
    id: int
    duplicate: bool = False


async def create_credit_transaction(
    tx: AsyncConnection,
    *,
    author_id: int,
    account_id: int,
    amount_units: int,
    remark: str | None,
    private_remark: str | None,
    idempotency_key: str,
) -> BookedCredit:
    """`book_credit`, once for each key of an author.

    The same key with the same content answers what was booked first, also while that is still being booked.

    Raises: what `book_credit` raises; IdempotencyConflict for other content; InvalidInput; InsufficientCredit where
    the account's reseller is held to its own credit and would promise more.
    """
    remark = check_optional_text(remark, length_max=REMARK_LENGTH_MAX, path=("remark",))
    private_remark = check_optional_text(private_remark, length_max=REMARK_LENGTH_MAX, path=("privateRemark",))

    async def book() -> BookedCredit:
        return await book_credit(
            tx,
            author_id=author_id,
            account_id=account_id,
            kind=CreditKind.CREDIT,
            amount_units=amount_units,
            remark=remark,
            private_remark=private_remark,
        )

    return await book_once(
        tx,
        author_id=author_id,
        account_id=account_id,
        idempotency_key=idempotency_key,
        content=["credit", account_id, amount_units, remark, private_remark],
        adds_credit=amount_units > 0,
        amount_path=("amount",),
        book=book,
    )


async def book_once(
    tx: AsyncConnection,
    *,
    author_id: int,
    account_id: int,
    idempotency_key: str,
    content: Sequence[Any],
    adds_credit: bool,
    amount_path: tuple[str, ...],
    book: Callable[[], Awaitable[BookedCredit]],
) -> BookedCredit:
    """What ``book`` books on the account, once for each key of an author. ``content`` is all that was asked for.

    ``book`` is called with the account's state row locked, and behind the promises of its reseller where it
    ``adds_credit``. What it answers is kept under the key.

    Raises: what ``book`` raises; IdempotencyConflict, InvalidInput, NotFound; InsufficientCredit at ``amount_path``
    where the account's reseller is held to its own credit and would promise more.
    """
    check_text(idempotency_key, length_min=1, length_max=IDEMPOTENCY_KEY_LENGTH_MAX, path=("idempotencyKey",))
    digest = hashlib.sha256(orjson.dumps(content)).digest()
    booked = await _booked_before(tx, author_id, idempotency_key, digest)
    reseller_id = await reseller_of(tx, account_id) if booked is None and adds_credit else None
    is_promise = reseller_id is not None and await lock_promises(tx, reseller_id=reseller_id)
    if booked is None:
        await _lock_balance(tx, account_id)
        # Whoever held the lock may have booked under this very key.
        booked = await _booked_before(tx, author_id, idempotency_key, digest)
    if booked is not None:
        return booked
    booked = await book()
    if is_promise and reseller_id is not None:
        await check_promises(tx, reseller_id=reseller_id, path=amount_path)
    kept = await tx.execute(
        insert_or_not(IdempotencyKey)
        .values(
            author_id=author_id,
            key=idempotency_key,
            content_digest=digest,
            account_id=account_id,
            transaction_created_at=booked.created_at,
            transaction_id=booked.id,
        )
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.key)
    )
    if kept.one_or_none() is None:
        raise _conflict()  # taken meanwhile for another account: this one's lock would have kept others out
    return booked


async def book_credit(
    tx: AsyncConnection,
    *,
    author_id: int,
    account_id: int,
    kind: CreditKind,
    amount_units: int,
    remark: str | None = None,
    private_remark: str | None = None,
    amount_path: tuple[str, ...] = ("amount",),
) -> BookedCredit:
    """Add ``amount_units`` (whole units of 0.00001, negative to deduct) to one account's balance, and keep a record.

    Locks the account's state row until the transaction ends, so the records of an account are in the order of its
    balances. The texts are stored as they are. ``amount_path`` names the amount in the input.

    Raises: InvalidAmount for zero or beyond what a balance holds; InsufficientCredit where a deduction is more than
    what is available (balance + credit limit - held).
    """
    if amount_units == 0:
        raise InvalidAmount("The amount is zero: there is nothing to book.", path=amount_path)
    balance_units, available = await _lock_balance(tx, account_id)
    balance_after_units = balance_units + amount_units
    if amount_units < 0 and available is not None and available + amount_units < 0:
        raise InsufficientCredit(
            f"Only {format_money(max(available, 0))} can be deducted.", path=amount_path, account_id=account_id
        )
    if not fits_a_balance(balance_after_units):
        raise InvalidAmount("The balance would become larger than can be kept.", path=amount_path)
    record = (
        await tx.execute(
            insert(CreditTransaction)
            .values(
                account_id=account_id,
                kind=kind.value,
                amount_units=amount_units,
                balance_after_units=balance_after_units,
                remark=remark,
                private_remark=private_remark,
                created_by_id=author_id,
            )
            .returning(CreditTransaction.created_at, CreditTransaction.id)
        )
    ).one()
    await apply_to_locked(await driver_connection(tx), {account_id: amount_units}, Cause.CREDIT)
    return BookedCredit(account_id, record.created_at, record.id)


async def _lock_balance(tx: AsyncConnection, account_id: int) -> tuple[int, int | None]:
    """Balance and available amount (None: unlimited) of the account, locked until the transaction ends."""
    # SQLAlchemy begins the transaction with the first statement that it sends itself; a lock before that is lost.
    await tx.execute(select(1))
    connection = await driver_connection(tx)
    states = await lock_states(connection, [account_id])
    if not states:
        raise NotFound("There is no such account.", path=("accountId",))
    return states[0]["balance_units"], available_units(states[0])


async def _booked_before(tx: AsyncConnection, author_id: int, key: str, digest: bytes) -> BookedCredit | None:
    """What an earlier request booked under the key. Raises: IdempotencyConflict where it was something else."""
    kept = (
        await tx.execute(
            select(
                IdempotencyKey.content_digest,
                IdempotencyKey.account_id,
                IdempotencyKey.transaction_created_at,
                IdempotencyKey.transaction_id,
            ).where(IdempotencyKey.author_id == author_id, IdempotencyKey.key == key)
        )
    ).one_or_none()
    if kept is None:
        return None
    if kept.content_digest != digest:
        raise _conflict()
    return BookedCredit(kept.account_id, kept.transaction_created_at, kept.transaction_id, duplicate=True)


def _conflict() -> IdempotencyConflict:
    return IdempotencyConflict(
        "This key was used before for another transaction: take a new key.", path=("idempotencyKey",)
    )
