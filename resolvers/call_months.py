"""The months that calls are kept by, open and closed, with what they hold."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text

from models.call_month import MONTHLY_TABLES
from models.database import Database

# The operator's usage is that of all calls, so no call is counted. A month that was detached still takes room.
_MONTHS = text(
    "WITH attached AS ("
    "SELECT DISTINCT to_date(right(part.relname, 7), 'YYYY_MM') AS month "
    "FROM pg_inherits JOIN pg_class AS part ON part.oid = pg_inherits.inhrelid "
    "WHERE pg_inherits.inhparent = ANY(CAST(CAST(:tables AS text[]) AS regclass[]))), "
    "used AS ("
    "SELECT CAST(date_trunc('month', CAST(day AS timestamp)) AS date) AS month, sum(calls) AS calls FROM usage_parts "
    "WHERE account_id = (SELECT id FROM accounts WHERE parent_id IS NULL) GROUP BY 1) "
    "SELECT month, COALESCE(used.calls, 0) AS calls, COALESCE(closed.state, 'OPEN') AS state, closed.closed_at, ("
    "SELECT COALESCE(sum(pg_total_relation_size(to_regclass(name || to_char(month, '_YYYY_MM')))), 0) "
    "FROM unnest(CAST(:tables AS text[])) AS name) AS size_bytes "
    "FROM attached FULL JOIN closed_months AS closed USING (month) LEFT JOIN used USING (month) ORDER BY month"
)


@dataclass(frozen=True, slots=True)
class MonthRow:
    """A month; ``state`` is OPEN or one of `models.call_month.ClosedMonth`, ``size_bytes`` what its tables take."""

    month: date
    calls: int
    size_bytes: int
    state: str
    closed_at: datetime | None


async def call_months(db: Database) -> list[MonthRow]:
    """Every month that there is or was, the oldest first."""
    async with db.read() as connection:
        rows = await connection.execute(_MONTHS, {"tables": list(MONTHLY_TABLES)})
        return [MonthRow(row.month, int(row.calls), int(row.size_bytes), row.state, row.closed_at) for row in rows]
