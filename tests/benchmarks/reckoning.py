"""Calls that a benchmark left behind: each that was acknowledged is there once, and costs what it must.

What a call costs is said by the naive reference ledger, which begins with the rates, lists and accounts of the same
database. It is too slow for millions of calls, so it charges every n-th one again, in the order of their starts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.load import CALL_ID
from tests.raw_connection import Connection
from tests.reference_ledger import Call, Ledger
from tests.stored_ledger import stored_ledger

# The naive ledger needs a quarter of a millisecond for each.
CALLS_MIN = 5_000
_STATEMENT_S_MAX = 3600
_UNITS = 10**5

# The load numbers its calls from 1. That no callId is there twice is proved by the audit.
_COUNT = f"""
SELECT count(*) AS stored, count(number) AS of_load, count(*) FILTER (WHERE number BETWEEN 1 AND $1) AS acknowledged
FROM (
    SELECT CASE WHEN call_id LIKE '{CALL_ID}%' THEN CAST(split_part(call_id, '.', 2) AS bigint) END AS number FROM calls
) AS calls
"""

_CHOSEN = f"""
WITH numbered AS (
    SELECT account_id, started_at, call_no, row_number() OVER (ORDER BY started_at, call_no) AS position
    FROM calls WHERE call_id LIKE '{CALL_ID}%'
)
SELECT call_no, call_id, account_id, username, path, number, started_at, duration_s, status
FROM numbered JOIN calls USING (account_id, started_at, call_no) JOIN accounts ON accounts.id = account_id
WHERE position % $1 = 0 ORDER BY position
"""
# All of these calls, whatever account has them. Looked for in one pass: no index begins with the call.
_CHARGES = (
    "SELECT call_no, account_id, amount_units FROM charges WHERE call_no = ANY($1) ORDER BY account_id, amount_units"
)


@dataclass(frozen=True)
class Reckoning:
    """How many calls of the load are stored, how many of these were charged again, and what is wrong."""

    calls: int
    reckoned: int
    alarms: Sequence[str]


async def reckon_again(
    connection: Connection, *, charged: int, baseline: int = 0, calls_min: int = CALLS_MIN
) -> Reckoning:
    """Count the calls and charge every n-th again: all where there are fewer than ``calls_min``, never fewer than that.

    ``charged`` calls of the load, its first ones, were acknowledged, and ``baseline`` more that nothing has rated.
    """
    counts = await connection.fetchrow(_COUNT, charged, timeout=_STATEMENT_S_MAX)
    assert counts is not None
    of_load = counts["of_load"]
    alarms = []
    if (counts["stored"], of_load, counts["acknowledged"]) != (charged + baseline, charged, charged):
        alarms.append(
            f"CALLS ARE LOST OR DOUBLE, so no figure here is worth anything: {charged:,} and {baseline:,} of the "
            f"baseline were acknowledged, {of_load:,} and {counts['stored'] - of_load:,} are stored, and of those that "
            f"were acknowledged {counts['acknowledged']:,}"
        )
    rows = await connection.fetch(_CHOSEN, max(of_load // calls_min, 1), timeout=_STATEMENT_S_MAX)
    wrong = await _wrong(connection, rows) if rows else []
    if wrong:
        alarms.append(
            f"THE REFERENCE LEDGER charges {len(wrong):,} of {len(rows):,} calls otherwise, so no figure here is worth "
            f"anything. The first: {wrong[0]}"
        )
    return Reckoning(of_load, len(rows), alarms)


async def _wrong(connection: Connection, rows: Sequence[Any]) -> list[str]:
    ledger = await stored_ledger(connection, list({row["account_id"] for row in rows}))
    paid: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in await connection.fetch(_CHARGES, [row["call_no"] for row in rows], timeout=_STATEMENT_S_MAX):
        paid[row["call_no"]].append((row["account_id"], row["amount_units"]))
    wrong = []
    for row in rows:
        expected = _charged_again(ledger, row)
        found = row["status"], paid[row["call_no"]]
        if found != expected:
            wrong.append(f"{row['call_id']} of {row['username']}: expected {expected}, found {found}")
    return wrong


def _charged_again(ledger: Ledger, row: Any) -> tuple[str, list[tuple[int, int]]]:
    """The status, and the units that each account of the path pays."""
    call = Call(row["call_id"], row["username"], row["number"], row["started_at"], row["duration_s"])
    # Whoever was asked whether it may start has said yes: only what it costs is asked here.
    outcome = ledger.charge(call, "ALWAYS_CHARGE")
    amounts = zip(row["path"], outcome.charged, strict=False)
    return (
        "none, it was charged before" if outcome.duplicate else outcome.code,
        sorted((account_id, int(amount * _UNITS)) for account_id, amount in amounts),
    )
