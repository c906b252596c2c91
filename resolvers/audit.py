"""The audit: every figure that is kept is worked out again from the rows it stands for, and compared.

    balance          credit transactions - charges; of closed months the sum that was kept of them
    held             what is set aside on its level by the holds of calls that run, none of which has ended
    usage of a day   the account's charges of that day, with the talked time of their calls
    calls            one key each, and one charge on each level of the caller's path; the last is the call's own amount
    balance after    the account's balance before it + its amount, less what calls may have taken in between
    purchases        the price, the running total and the bonus by their terms; the credit and the bonus were booked
    adjustments      each goes on from the one before it, and the last left the charge as it is; a refund is the end
    closed months    the running usage is the sum that was kept, and each call still has its key
    tree             a path is the parent's and the own id; a username ends with the parent's bare name; as many
                     accounts are below each as is kept

It reads one snapshot, so it may run while calls are charged, and changes nothing.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import asyncpg
from sqlalchemy import text

from billing.money import format_money, format_payment, format_rate
from models.call_month import MONTHLY_TABLES
from models.database import Database, driver_connection
from resolvers.audit_adjustments import ADJUSTMENTS
from resolvers.audit_purchases import PURCHASES
from resolvers.audit_statements import BOOKS, CALLS_OF_SUSPECTS, COUNTS, TREE, USERNAMES

_STATEMENT_S_MAX = 24 * 3600


class Check(StrEnum):
    """What is compared; the subject of a difference is in brackets."""

    BALANCE = "BALANCE"
    HELD = "HELD"
    HOLD_PATH = "HOLD_PATH"  # callId
    HOLD_OF_ENDED_CALL = "HOLD_OF_ENDED_CALL"  # callId
    HOLD_EXPIRED = "HOLD_EXPIRED"  # callId
    EARLY_END_OF_ENDED_CALL = "EARLY_END_OF_ENDED_CALL"  # callId; the account is its reporter
    BALANCE_AFTER = "BALANCE_AFTER"  # id of the credit transaction
    CREDIT_KEY = "CREDIT_KEY"  # the idempotency key
    PURCHASE_CREDIT = "PURCHASE_CREDIT"  # id of the purchase
    PURCHASE_BONUS = "PURCHASE_BONUS"  # id of the purchase
    PURCHASE_EARNED = "PURCHASE_EARNED"  # id of the purchase
    PURCHASE_TOTAL = "PURCHASE_TOTAL"  # id of the purchase
    PURCHASE_TO_PAY = "PURCHASE_TO_PAY"  # id of the purchase
    SOLD_WITHOUT_PURCHASE = "SOLD_WITHOUT_PURCHASE"  # id of the credit transaction
    USAGE_CALLS = "USAGE_CALLS"  # UTC day, or a closed month
    USAGE_DURATION = "USAGE_DURATION"  # UTC day, or a closed month
    USAGE_CHARGED = "USAGE_CHARGED"  # UTC day, or a closed month
    USAGE_REFUNDED = "USAGE_REFUNDED"  # UTC day, or a closed month
    CLOSED_CALL_KEYS = "CLOSED_CALL_KEYS"  # calls of closed months, and their keys
    CALL_KEY = "CALL_KEY"  # callId
    KEY_WITHOUT_CALL = "KEY_WITHOUT_CALL"  # callId
    CHARGE_ROWS = "CHARGE_ROWS"  # callId
    CHARGE_ROWS_ELSEWHERE = "CHARGE_ROWS_ELSEWHERE"  # callId
    CALL_CHARGED = "CALL_CHARGED"  # callId
    CALL_BILLED = "CALL_BILLED"  # callId
    CALL_STATUS = "CALL_STATUS"  # callId
    REFUND_ROWS = "REFUND_ROWS"  # callId
    ADJUSTMENT = "ADJUSTMENT"  # id of the adjustment
    AFTER_REFUND = "AFTER_REFUND"  # id of the refund; changes after it
    ADJUSTED_AMOUNT = "ADJUSTED_AMOUNT"  # id of the last adjustment
    ADJUSTED_PRICE = "ADJUSTED_PRICE"  # id of the last adjustment
    ADJUSTED_BILLED = "ADJUSTED_BILLED"  # id of the last adjustment
    PATH = "PATH"
    USERNAME = "USERNAME"
    RESELLER = "RESELLER"
    CUSTOMER_COUNT = "CUSTOMER_COUNT"
    DESCENDANT_COUNT = "DESCENDANT_COUNT"
    STATE = "STATE"


_OF_MONEY = frozenset(
    {
        *(Check.BALANCE, Check.HELD, Check.BALANCE_AFTER, Check.USAGE_CHARGED, Check.USAGE_REFUNDED),
        *(Check.CALL_CHARGED, Check.CALL_STATUS, Check.ADJUSTMENT, Check.ADJUSTED_AMOUNT),
        *(Check.PURCHASE_CREDIT, Check.PURCHASE_BONUS, Check.PURCHASE_EARNED, Check.PURCHASE_TOTAL),
        Check.SOLD_WITHOUT_PURCHASE,
    }
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure that is not what the rows say. ``username`` is None where the rows name an account there is not."""

    check: Check
    account_id: int
    username: str | None
    subject: str | None
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was read, and what differs.

    ``differences_in_all`` may be more than ``differences``, which has at most 1,000 of each check.
    """

    accounts: int
    credit_transactions: int
    holds: int
    calls: int
    charges: int
    usage_days: int
    differences: tuple[Difference, ...]
    differences_in_all: int


async def audit(db: Database) -> AuditReport:
    """Compare the whole books in one REPEATABLE READ snapshot. Keeps months from being closed, and nothing else."""
    async with db.transaction() as tx:
        await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        # Millions of rows take their time, and this connection alone may have it.
        await tx.execute(text("SET LOCAL statement_timeout = 0"))
        await tx.execute(text("SET LOCAL work_mem = '64MB'"))
        # The driver itself, because only there a statement may be waited for longer than any request.
        connection = await driver_connection(tx)
        # A month that is closed is gone for every snapshot, also for one that does not see its sums yet: as long as
        # these are read none is closed. Before the snapshot, which begins with the first query.
        tables = ", ".join(MONTHLY_TABLES)
        await connection.execute(f"LOCK TABLE {tables} IN ACCESS SHARE MODE", timeout=_STATEMENT_S_MAX)

        async def read(statement: str, *arguments: Any) -> list[asyncpg.Record]:
            return await connection.fetch(statement, *arguments, timeout=_STATEMENT_S_MAX)

        (counts,) = await read(COUNTS)
        rows = [*await read(TREE), *await read(BOOKS), *await read(ADJUSTMENTS), *await read(PURCHASES)]
        suspects = [row["account_id"] for row in rows if row["check_name"] == "SUSPECT"]
        if suspects:
            rows += await read(CALLS_OF_SUSPECTS, suspects)
        read_in_passing = {row["check_name"]: int(row["found"]) for row in rows if row["check_name"].endswith("_READ")}
        found = [row for row in rows if row["check_name"] in Check.__members__]
        account_ids = list({row["account_id"] for row in found})
        names = {row["id"]: row["username"] for row in await read(USERNAMES, account_ids)}
    return AuditReport(
        accounts=counts["accounts"],
        credit_transactions=counts["credit"],
        holds=counts["holds"],
        calls=read_in_passing["CALLS_READ"],
        charges=read_in_passing["CHARGES_READ"],
        usage_days=counts["usage_days"],
        differences=tuple(_difference(row, names) for row in found),
        differences_in_all=sum({row["check_name"]: row["found_in_all"] for row in found}.values()),
    )


def _difference(row: asyncpg.Record, names: dict[int, str]) -> Difference:
    check = Check(row["check_name"])
    expected = _shown(check, row["expected"])
    if row["expected_max"] is not None and row["expected_max"] != row["expected"]:
        expected = f"{expected} to {_shown(check, row['expected_max'])}"
    username = names.get(row["account_id"])
    return Difference(check, row["account_id"], username, row["subject"], expected, _shown(check, row["found"]))


def _shown(check: Check, value: str | int | Decimal | None) -> str:
    if value is None or isinstance(value, str):
        return value or "none"
    if check is Check.ADJUSTED_PRICE:
        return format_rate(int(value))
    if check is Check.PURCHASE_TO_PAY:
        return format_payment(int(value))
    return format_money(int(value)) if check in _OF_MONEY else str(int(value))
