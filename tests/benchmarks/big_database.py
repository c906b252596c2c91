"""A database of a size that few installations reach: 1,000,000 accounts and 10,000,000 calls, made set by set.

    python -m tests.benchmarks.big_database FOLDER [--accounts N] [--calls N] [--months N]

operator ▶ one reseller with a fifth of all accounts as direct customers; a chain of resellers twelve levels deep with
customers on each; the rest spread over 1,000 resellers in four levels. Everything follows from the numbers of rows, so
it is the same each time; balances, usage and counts are worked out from the rows, so the audit finds the books right.
"""

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from billing.call_months import CallMonths
from models.call_month import month_bounds, month_of
from models.migrations.run import migrate
from server.embedded_postgres import EmbeddedPostgres
from tests.raw_connection import Connection, connected

# Numbers of the accounts that reads begin at.
OPERATOR, WIDE, CHAIN = 1, 2, 3
# The chain goes on to the deepest level; its last account is a customer.
_CHAIN_LEVELS = 11
_SPREAD = MIDDLE = 14
_RESELLERS = 1000
_CREDIT_UNITS = 100_000_000_000
PREFIXES = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is. ``now`` is the end of the last month's calls."""

    accounts: int
    calls: int
    months: int
    now: datetime

    def months_of_calls(self) -> list[date]:
        """The months of calls, the oldest first."""
        last = self.now.year * 12 + self.now.month - 1
        return [date(month // 12, month % 12 + 1, 1) for month in range(last - self.months + 1, last + 1)]


# (number, parent) of every account but the operator, parents before children.
_TREE = f"""
CREATE TEMPORARY TABLE plan AS
SELECT {WIDE} AS id, {OPERATOR} AS parent_id, true AS is_reseller
UNION ALL SELECT {CHAIN} + level, CASE level WHEN 0 THEN {OPERATOR} ELSE {CHAIN} + level - 1 END,
    level < {_CHAIN_LEVELS - 1}
FROM generate_series(0, {_CHAIN_LEVELS} - 1) AS level
-- 10 resellers of the operator, 10 each below them, 9 each below those
UNION ALL SELECT {_SPREAD} + n, CASE WHEN n < 10 THEN {OPERATOR} ELSE {_SPREAD} + (n - 10) / 10 END, true
FROM generate_series(0, {_RESELLERS} - 1) AS n
-- customers: a fifth of WIDE, a hundredth on the chain, the rest of the resellers below the first ten
UNION ALL SELECT {_SPREAD + _RESELLERS} + n,
    CASE WHEN n < $1 / 5 THEN {WIDE}
         WHEN n < $1 / 5 + $1 / 100 THEN {CHAIN} + n % {_CHAIN_LEVELS - 1}
         ELSE {_SPREAD} + 10 + n % ({_RESELLERS} - 10) END, false
FROM generate_series(0, $1 - {_SPREAD + _RESELLERS}) AS n
"""

_ACCOUNTS = """
WITH RECURSIVE tree AS (
    SELECT plan.id, plan.parent_id, plan.is_reseller, ARRAY[1, plan.id]::bigint[] AS path
    FROM plan WHERE parent_id = 1
    UNION ALL
    SELECT plan.id, plan.parent_id, plan.is_reseller, tree.path || plan.id::bigint
    FROM plan JOIN tree ON tree.id = plan.parent_id
)
INSERT INTO accounts (id, username, parent_id, path, is_reseller, password_hash, created_at)
SELECT id,
       (ARRAY['anna','boris','carla','dieter','emil','fatima','goran','hanna','ivo','jana','karim','lena'])[1 + id % 12]
       || CASE WHEN is_reseller THEN 'r' ELSE '' END || id || '*'
       || CASE parent_id WHEN 1 THEN 'operator' ELSE
           (ARRAY['anna','boris','carla','dieter','emil','fatima','goran','hanna','ivo','jana','karim','lena'])
           [1 + parent_id % 12] || 'r' || parent_id END,
       parent_id, path, is_reseller, '', now() - interval '3 years' + id * interval '1 minute'
FROM tree ORDER BY id
"""

# A call for each number: a customer, an instant, a destination. A hundredth of the calls are of one account.
_CALLS = """
INSERT INTO calls (account_id, started_at, call_no, call_id, number, caller_number, prefix, destination, duration_s,
                   billed_s, charged_units, status, booked_at)
SELECT account_id, started_at, n, 'switch1-' || n, prefix || lpad((n * 7919 % 1000000)::text, 6, '0'), '43191234567',
       prefix, 'Destination ' || prefix, duration_s, duration_s, duration_s * 10, 'CHARGED', started_at
FROM (
    SELECT n,
           CASE WHEN n % 100 = 0 THEN $5::bigint
                ELSE (hashint8(n) & 2147483647)::bigint * 48271 % ($4 - 1020) + 1015 END AS account_id,
           $2::timestamptz + ($3::timestamptz - $2::timestamptz) * (n::float8 / $6::bigint) AS started_at,
           -- Few destinations get most of the calls, as everywhere.
           (1000 + floor(9000 * power((hashint8(n * 31) & 1048575) / 1048576.0, 3)))::text AS prefix,
           (hashint8(n * 17) & 511) + 1 AS duration_s
    FROM generate_series($1::bigint, $7::bigint) AS n
) AS made
"""

_KEYS = "INSERT INTO call_keys SELECT call_id, account_id, started_at, call_no FROM calls"

_CHARGES = """
INSERT INTO charges (account_id, started_at, call_no, customer_id, amount_units, price_per_minute_e8, billed_s)
SELECT level, calls.started_at, calls.call_no, calls.account_id, calls.charged_units, 600000, calls.billed_s
FROM calls JOIN accounts ON accounts.id = calls.account_id CROSS JOIN LATERAL unnest(accounts.path) AS level
WHERE calls.started_at >= $1 AND calls.started_at < $2
"""

_USAGE = """
INSERT INTO usage_days (account_id, day, calls, duration_s, charged_units)
SELECT account_id, CAST(started_at AT TIME ZONE 'UTC' AS date), count(*), sum(billed_s), sum(amount_units)
FROM charges WHERE started_at >= $1 AND started_at < $2 GROUP BY 1, 2
"""

# Keys are put on when all rows are there: half the time.
_KEYED = {
    "calls": "started_at, call_no, account_id",
    "charges": "account_id, started_at, call_no",
    "call_keys": "call_id",
}

_AFTER = (
    "INSERT INTO account_counts (account_id, customers, descendants) "
    "SELECT above, count(*) FILTER (WHERE above = parent_id), count(*) - 1 "
    "FROM accounts CROSS JOIN LATERAL unnest(path) AS above GROUP BY above",
    f"""INSERT INTO credit_transactions (account_id, created_at, kind, amount_units, balance_after_units, created_by_id)
    SELECT id, created_at, 'OPENING', {_CREDIT_UNITS}, {_CREDIT_UNITS}, parent_id FROM accounts WHERE id > 1""",
    # One account with a long history of credit.
    f"""INSERT INTO credit_transactions (account_id, created_at, kind, amount_units, balance_after_units, created_by_id)
    SELECT {WIDE}, timestamptz '2024-01-01' + n * interval '1 hour', 'CREDIT', 100, {_CREDIT_UNITS} + n * 100, 1
    FROM generate_series(1, 20000) AS n""",
    """INSERT INTO account_state (account_id, balance_units, credit_limit_units, rate_list_id, version)
    SELECT accounts.id, COALESCE(credited.units, 0) - COALESCE(charged.units, 0),
           CASE WHEN accounts.id > 1 THEN 0 END,
           (SELECT min(id) FROM rate_lists WHERE CASE WHEN accounts.id = 1 THEN is_base ELSE discount_e4 = 0 END), 1
    FROM accounts
    LEFT JOIN (SELECT account_id, sum(amount_units) AS units FROM credit_transactions GROUP BY 1) AS credited
           ON credited.account_id = accounts.id
    LEFT JOIN (SELECT account_id, sum(charged_units) AS units FROM usage_days GROUP BY 1) AS charged
           ON charged.account_id = accounts.id ORDER BY accounts.id""",
    "UPDATE rate_lists SET owner_id = 1 WHERE is_base",
    f"""INSERT INTO rates (rate_list_id, prefix, destination, price_per_minute_e8, epoch)
    SELECT (SELECT id FROM rate_lists WHERE is_base), (1000 + n)::text, 'Destination ' || (1000 + n), 600000 + n,
           (SELECT epoch FROM pricing_epoch) FROM generate_series(0, {PREFIXES} - 1) AS n""",
    "SELECT setval(pg_get_serial_sequence('accounts', 'id'), (SELECT max(id) FROM accounts))",
    "SELECT setval('call_no_blocks', (SELECT COALESCE(max(call_no), 0) / 1000 + 1 FROM calls))",
)


class Filler:
    """Fills a migrated, empty database. Its connection waits for as long as it takes."""

    def __init__(self, connection: Connection, size: Size, *, telling: bool = False) -> None:
        self._connection = connection
        self._size = size
        self._telling = telling
        self._begun = time.monotonic()

    async def fill(self) -> None:
        """All of it."""
        await self.fill_tree()
        await self.fill_calls()
        await self.finish()

    async def fill_tree(self) -> None:
        """Who there is."""
        await self._settle()
        await self._run(
            "operator",
            "INSERT INTO accounts (id, username, path, is_reseller, password_hash) OVERRIDING SYSTEM VALUE "
            f"VALUES ({OPERATOR}, 'operator', '{{{OPERATOR}}}', true, '')",
        )
        await self._run("plan", _TREE.replace("$1", str(self._size.accounts)))
        await self._run("plan", "ANALYZE plan")
        await self._run("accounts", _ACCOUNTS)
        await self._run("accounts", "ANALYZE accounts")

    async def fill_calls(self) -> None:
        """What was called, with keys, charges and usage."""
        await self._settle()
        size = self._size
        starts = [month_bounds(month)[0] for month in size.months_of_calls()]
        starts.append(month_bounds(month_of(size.now))[1])
        await CallMonths().make_for(self._connection, starts[:-1])
        for table in _KEYED:
            await self._run(f"no key of {table}", f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}")
        part = max(1, size.calls // 20)
        busy = _SPREAD + _RESELLERS + size.accounts // 2
        for first in range(1, size.calls + 1, part):
            last = min(size.calls, first + part - 1)
            arguments = first, starts[0], size.now, size.accounts, busy, size.calls, last
            await self._run(f"calls to {last:,}", _CALLS, *arguments)
        await self._run("call keys", _KEYS)
        for since, until in pairwise(starts):
            await self._run(f"charges of {since:%Y-%m}", _CHARGES, since, until)
            await self._run(f"usage of {since:%Y-%m}", _USAGE, since, until)
        for table, key in _KEYED.items():
            await self._run(f"key of {table}", f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")

    async def finish(self) -> None:
        """Credit, balances, counts and rates: what follows from all that."""
        await self._settle()
        for statement in _AFTER:
            await self._run(statement.split("(")[0], statement)
        await self._run("vacuum", "VACUUM ANALYZE")

    async def _settle(self) -> None:
        for setting in ("synchronous_commit = off", "work_mem = '256MB'", "maintenance_work_mem = '512MB'"):
            await self._connection.execute(f"SET {setting}")

    async def _run(self, words: str, statement: str, *arguments: Any) -> None:
        await self._connection.execute(statement, *arguments)
        if self._telling:
            print(f"{time.monotonic() - self._begun:7.0f} s  {words}", file=sys.stderr, flush=True)


async def _make(folder: Path, size: Size) -> None:
    with EmbeddedPostgres(folder, durable=False) as url:
        await migrate(url)
        async with connected(url) as connection:
            await Filler(connection, size, telling=True).fill()
            print(await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))"))


def main() -> None:
    """Make what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.big_database", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--months", type=int, default=24)
    given = parser.parse_args()
    asyncio.run(_make(given.folder, Size(given.accounts, given.calls, given.months, datetime.now(UTC))))


if __name__ == "__main__":
    main()
