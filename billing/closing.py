"""Closing a month: its calls leave the books, and what they came to stays.

In this order, so that charging is held up for a moment only and whoever reads sees the month whole or closed:

1. The month is marked CLOSING behind the operator's lock, which batches take as well, and its tables take no more rows.
   From then on orders for it are refused (`billing.closed_calls`), and what is in it can be summed in peace.
2. In one transaction the charges are compared with the running usage, their sums are written to `closed_usage`, and the
   tables are detached, and dropped unless they are to be kept.

A process that ends in between leaves the month CLOSING: closing it again goes on from there. Where the sums differ from
the usage, nothing is lost: the month is opened again.
"""

import asyncio
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import asyncpg

from billing import balances
from billing.charge_order import DURATION_S_MAX
from models.call_month import MONTHLY_TABLES, month_bounds, month_table
from models.database import Database
from models.usage import USAGE_OF_DAYS

# A call that began in the last second of the month may last so long, and is then reported.
REPORTED_AFTER_S_MAX = DURATION_S_MAX + 24 * 3600

# Shorter than PostgreSQL's deadlock_timeout (1 s): of those that wait for each other it is always the closing that
# gives way. While it waits everybody else who wants the table waits too.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"
_ATTEMPTS_MAX = 10
_PAUSE_S = 1
_SUMMING_S_MAX = 24 * 3600

# Like no row at all, and only for rows that come: those that are there are not looked at.
_FROZEN = "month_is_closed"

_TABLES_OF_MONTH = """
SELECT part.relname FROM pg_inherits JOIN pg_class AS part ON part.oid = pg_inherits.inhrelid
WHERE pg_inherits.inhparent = ANY($1::regclass[]) AND part.relname = ANY($2::text[])
"""

# By account and day, so that it can be compared with the usage.
_SUMS = """
CREATE TEMPORARY TABLE month_sums ON COMMIT DROP AS
SELECT account_id, day, sum(own_calls) AS own_calls, sum(calls) AS calls, sum(duration_s) AS duration_s,
       sum(charged_units) AS charged_units, sum(refunded_units) AS refunded_units,
       sum(given_back_units) AS given_back_units
FROM (
    SELECT charges.account_id, CAST(charges.started_at AT TIME ZONE 'UTC' AS date) AS day,
           count(*) FILTER (WHERE charges.account_id = charges.customer_id) AS own_calls,
           count(*) AS calls, sum(calls.duration_s) AS duration_s, sum(charges.amount_units) AS charged_units,
           0 AS refunded_units, 0 AS given_back_units
    FROM {charges} AS charges
    LEFT JOIN {calls} AS calls ON calls.account_id = charges.customer_id AND calls.started_at = charges.started_at
                              AND calls.call_no = charges.call_no
    GROUP BY 1, 2
    UNION ALL
    SELECT account_id, CAST(started_at AT TIME ZONE 'UTC' AS date), 0, 0, 0, 0,
           COALESCE(-sum(amount_units) FILTER (WHERE kind = 'REFUND'), 0),
           COALESCE(-sum(amount_units) FILTER (WHERE amount_units < 0), 0)
    FROM {call_adjustments} GROUP BY 1, 2
) AS figures
GROUP BY account_id, day
"""

_DIFFERENCES = f"""
SELECT (
    SELECT count(*) FROM month_sums AS sums
    FULL JOIN ({USAGE_OF_DAYS.format(of="day >= $1 AND day < $2")}) AS usage USING (account_id, day)
    WHERE (sums.calls, sums.duration_s, sums.charged_units, sums.refunded_units)
          IS DISTINCT FROM (usage.calls, usage.duration_s, usage.charged_units, usage.refunded_units)
) + (
    SELECT count(*) FROM (
        SELECT account_id, count(*) AS keys FROM call_keys
        WHERE started_at >= $3 AND started_at < $4 GROUP BY account_id
    ) AS keys
    FULL JOIN (SELECT account_id, sum(own_calls) AS calls FROM month_sums GROUP BY account_id) AS sums
    USING (account_id)
    WHERE COALESCE(keys.keys, 0) <> COALESCE(sums.calls, 0)
)
"""  # noqa: S608 - constants

_KEEP_SUMS = """
INSERT INTO closed_usage (account_id, month, own_calls, calls, duration_s, charged_units, refunded_units,
                          given_back_units)
SELECT account_id, $1, sum(own_calls), sum(calls), sum(duration_s), sum(charged_units), sum(refunded_units),
       sum(given_back_units)
FROM month_sums GROUP BY account_id
"""


class CannotClose(Exception):
    """The month stays as it is; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class MonthSums:
    """What a month comes to: its calls, and in how many places they differ from the running usage."""

    calls: int
    differences: int


async def look_at_month(database: Database, month: date) -> MonthSums:
    """What closing the month would find. Changes nothing. Raises: CannotClose."""
    async with database.charging_connection() as connection:
        await _check(connection, month)
        transaction = connection.transaction()
        await transaction.start()
        try:
            return await _sum_up(connection, month)
        finally:
            await transaction.rollback()


async def close_month(database: Database, month: date, *, keep: bool) -> MonthSums:
    """Take the month's calls out of the books; with ``keep`` its tables stay beside them. Raises: CannotClose."""
    async with database.charging_connection() as connection:
        await _check(connection, month)
        await _with_patience(connection, lambda: _freeze(connection, month))
        async with connection.transaction():
            sums = await _sum_up(connection, month)
            if not sums.differences:
                await connection.execute(_KEEP_SUMS, month)
                await _with_patience(connection, lambda: _detach(connection, month, keep=keep))
                await connection.execute(
                    "UPDATE closed_months SET state = $2, calls = $3, closed_at = now() WHERE month = $1",
                    *(month, "DETACHED" if keep else "DROPPED", sums.calls),
                )
                return sums
        await _with_patience(connection, lambda: _open_again(connection, month))
    raise CannotClose(
        f"the charges of {month:%Y-%m} differ from the running usage in {sums.differences:,} places, so nothing was "
        "closed: `tollpath audit` names them"
    )


async def _check(connection: "asyncpg.Connection[Any]", month: date) -> None:
    over_at = month_bounds(month)[1] + timedelta(seconds=REPORTED_AFTER_S_MAX)
    if not await connection.fetchval("SELECT now() >= $1", over_at):
        raise CannotClose(f"{month:%Y-%m} can be closed from {over_at:%Y-%m-%d} on, when no call of it is to come")
    state = await connection.fetchval("SELECT state FROM closed_months WHERE month = $1", month)
    if state not in (None, "CLOSING"):
        raise CannotClose(f"{month:%Y-%m} is closed already")
    if len(await _tables_of(connection, month)) < len(MONTHLY_TABLES):
        raise CannotClose(f"there are no calls of {month:%Y-%m}")


async def _tables_of(connection: "asyncpg.Connection[Any]", month: date) -> list[str]:
    names = [month_table(table, month) for table in MONTHLY_TABLES]
    return [row["relname"] for row in await connection.fetch(_TABLES_OF_MONTH, list(MONTHLY_TABLES), names)]


async def _with_patience(connection: "asyncpg.Connection[Any]", change: Any) -> None:
    """Make a change that needs tables for itself, giving way to whoever uses them. Raises: CannotClose."""
    for _ in range(_ATTEMPTS_MAX):
        try:
            async with connection.transaction():
                await connection.execute(_LOCK_TIMEOUT)
                await change()
                return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(_PAUSE_S)
    raise CannotClose("calls are being read for long (an audit, an export?): close the month again when that is over")


async def _freeze(connection: "asyncpg.Connection[Any]", month: date) -> None:
    await balances.lock_states(connection, [await balances.operator_id(connection)])
    added = await connection.fetchval(
        "INSERT INTO closed_months (month, state) VALUES ($1, 'CLOSING') ON CONFLICT DO NOTHING RETURNING month", month
    )
    if added is not None:
        for table in MONTHLY_TABLES:
            name = month_table(table, month)
            await connection.execute(f"ALTER TABLE {name} ADD CONSTRAINT {_FROZEN} CHECK (false) NOT VALID")


async def _open_again(connection: "asyncpg.Connection[Any]", month: date) -> None:
    for table in MONTHLY_TABLES:
        await connection.execute(f"ALTER TABLE {month_table(table, month)} DROP CONSTRAINT {_FROZEN}")
    await connection.execute("DELETE FROM closed_months WHERE month = $1", month)


async def _sum_up(connection: "asyncpg.Connection[Any]", month: date) -> MonthSums:
    # Millions of rows take their time, and the settings of charging are for a few.
    for setting in ("statement_timeout = 0", "enable_seqscan = on", "enable_hashjoin = on", "work_mem = '64MB'"):
        await connection.execute(f"SET LOCAL {setting}")
    names = {table: month_table(table, month) for table in MONTHLY_TABLES}
    await connection.execute(_SUMS.format(**names), timeout=_SUMMING_S_MAX)
    since, until = month_bounds(month)
    return MonthSums(
        await connection.fetchval("SELECT COALESCE(sum(own_calls), 0)::bigint FROM month_sums"),
        await connection.fetchval(_DIFFERENCES, since.date(), until.date(), since, until, timeout=_SUMMING_S_MAX),
    )


async def _detach(connection: "asyncpg.Connection[Any]", month: date, *, keep: bool) -> None:
    for table in MONTHLY_TABLES:
        name = month_table(table, month)
        await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {name}")
        await connection.execute(f"ALTER TABLE {name} DROP CONSTRAINT {_FROZEN}" if keep else f"DROP TABLE {name}")
