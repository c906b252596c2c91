"""Making the months that calls are kept by, before anything is written into them; knowing which are closed.

A month's tables are made beside the monthly tables and then attached, which lets running batches go on: CREATE TABLE
... PARTITION OF would wait for every reader and keep everybody else waiting meanwhile. There is no table for whatever
has no month: it would have to be searched whenever a month is made, and would take the calls of closed months.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import asyncpg

from billing.errors import MonthClosed
from models.call_month import MONTHLY_TABLES, month_bounds, month_of, month_table, next_month
from models.database import Database

# The present month and those after it, made whenever a process starts; any other is made when a call needs it.
_COMING_MONTHS = 3

# One process at a time makes months.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('tollpath call months'))"

_CLOSED = "SELECT month FROM closed_months"

_CLOSED_BETWEEN = """
SELECT min(month) FROM closed_months
WHERE month < $2::timestamptz AT TIME ZONE 'UTC' AND month + interval '1 month' > $1::timestamptz AT TIME ZONE 'UTC'
"""

_ATTACHED = """
SELECT part.relname FROM pg_inherits
JOIN pg_class AS part ON part.oid = pg_inherits.inhrelid
WHERE pg_inherits.inhparent = ANY($1::regclass[])
"""


class CallMonths:
    """One process's memory of the months there are."""

    def __init__(self) -> None:
        self._open: set[date] = set()
        self.closed: frozenset[date] = frozenset()

    async def make_for(self, connection: "asyncpg.Connection[Any]", starts: Iterable[datetime]) -> bool:
        """See to it that calls with these starts can be written; answers whether one starts in a closed month.

        A month that is missing is made in a transaction of its own, or, within a transaction, as a part of it.
        """
        instants = list(starts)
        if not instants:
            return False
        # Mostly a batch lies within a month or two, and comparing is the least work.
        first, last = month_of(min(instants)), month_of(max(instants))
        if {first, last} <= self._open and last in (first, next_month(first)):
            return False
        months = {month_of(instant) for instant in instants}
        missing = months - self._open - self.closed
        if missing:
            await self.see_closed(connection)
            await _make(connection, missing - self.closed)
            self._open |= missing - self.closed
        return not months.isdisjoint(self.closed)

    async def see_closed(self, connection: "asyncpg.Connection[Any]") -> None:
        """Ask which months are closed. Behind the operator's lock none is being closed meanwhile."""
        self.closed = frozenset(row["month"] for row in await connection.fetch(_CLOSED))
        self._open -= self.closed

    def forget(self) -> None:
        """Something was not as remembered: ask anew."""
        self._open.clear()


async def closed_refusal_between(
    connection: "asyncpg.Connection[Any]", since: datetime, until: datetime
) -> MonthClosed | None:
    """Why calls that began at ``since`` or later and before ``until`` cannot be changed; None where all are open."""
    month: date | None = await connection.fetchval(_CLOSED_BETWEEN, since, until)
    if month is None:
        return None
    return MonthClosed(f"The calls of {month:%Y-%m} cannot be changed any more: the month is closed.")


async def make_coming_months(database: Database) -> None:
    """Make the present month, by the database's clock, and the next ones."""
    async with database.charging_connection() as connection:
        months = [month_of(await connection.fetchval("SELECT now()"))]
        while len(months) < _COMING_MONTHS:
            months.append(next_month(months[-1]))
        await _make(connection, set(months))


async def _make(connection: "asyncpg.Connection[Any]", months: set[date]) -> None:
    """Make the tables of these months that there are not yet."""
    if not months or not await _missing(connection, months):
        return
    async with connection.transaction():
        await connection.execute(_LOCK)
        for table, month in await _missing(connection, months):
            await _make_table(connection, table, month)


async def _missing(connection: "asyncpg.Connection[Any]", months: set[date]) -> list[tuple[str, date]]:
    attached = {row["relname"] for row in await connection.fetch(_ATTACHED, list(MONTHLY_TABLES))}
    return [
        (table, month)
        for month in sorted(months)
        for table in MONTHLY_TABLES
        if month_table(table, month) not in attached
    ]


async def _make_table(connection: "asyncpg.Connection[Any]", table: str, month: date) -> None:
    since, until = month_bounds(month)
    name, bounds = month_table(table, month), f"('{since.isoformat()}') TO ('{until.isoformat()}')"
    await connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)")
    await connection.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM {bounds}")
