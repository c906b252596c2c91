"""Writing calls, their charges and the running usage; finding what is known of a ``callId``. All set-based."""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import asyncpg

from billing.call_rows import CHARGE_COLUMNS, CallRows, UsageColumns
from billing.charge_order import BookedCall
from models.tables import CALL_NO_BLOCK

_CALL_COLUMNS = list(BookedCall._fields)

_FIND = f"""
SELECT {", ".join(f"calls.{column}" for column in _CALL_COLUMNS)}
FROM call_keys JOIN calls USING (account_id, started_at, call_no)
WHERE call_keys.call_id = ANY($1::text[])
"""  # noqa: S608 - the columns are the fields of BookedCall

_ANYTHING_KNOWN = """
SELECT EXISTS (SELECT FROM call_keys WHERE call_id = ANY($1::text[]))
    OR EXISTS (SELECT FROM holds WHERE call_id = ANY($1::text[]))
    OR EXISTS (SELECT FROM early_ends WHERE call_id = ANY($1::text[]))
"""

# Before the first key is written the operator's row is locked. Less work than COPY, and one answer to wait for.
_LOCK_AND_CLAIM = """
INSERT INTO call_keys (call_id, account_id, started_at, call_no)
SELECT key.* FROM (SELECT FROM account_state WHERE account_id = $5 FOR NO KEY UPDATE) AS operator
CROSS JOIN unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::bigint[]) AS key
"""

# Nearly every account has been used on the day, and the caller has locked it: an UPDATE is half the work of an upsert.
_ADD_USAGE = """
UPDATE usage_days AS usage
SET calls = usage.calls + more.calls,
    duration_s = usage.duration_s + more.duration_s,
    charged_units = usage.charged_units + more.charged_units
FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[])
     AS more (account_id, day, calls, duration_s, charged_units)
WHERE usage.account_id = more.account_id AND usage.day = more.day
"""

_BEGIN_USAGE = """
INSERT INTO usage_days (account_id, day, calls, duration_s, charged_units)
SELECT * FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (account_id, day) DO NOTHING
"""


class CallNumbers:
    """Hands out growing call numbers; asks the database for a block at a time. One per process."""

    def __init__(self) -> None:
        self._free: deque[int] = deque()

    async def take(self, connection: "asyncpg.Connection[Any]", count: int) -> list[int]:
        """``count`` numbers. A number that is taken and not used is lost, which means nothing."""
        while len(self._free) < count:
            block = await connection.fetchval("SELECT nextval('call_no_blocks')")
            self._free.extend(range(block * CALL_NO_BLOCK, (block + 1) * CALL_NO_BLOCK))
        return [self._free.popleft() for _ in range(count)]


async def find_calls(connection: "asyncpg.Connection[Any]", call_ids: Iterable[str]) -> dict[str, BookedCall]:
    """The calls among these ``callId``s that are booked."""
    rows = await connection.fetch(_FIND, list(call_ids))
    return {row["call_id"]: BookedCall(*row) for row in rows}


async def anything_known(connection: "asyncpg.Connection[Any]", call_ids: Sequence[str]) -> bool:
    """Whether one of these ``callId``s is booked, held, or has ended before its authorisation."""
    known: bool = await connection.fetchval(_ANYTHING_KNOWN, call_ids)
    return known


async def claim_keys(connection: "asyncpg.Connection[Any]", calls: Sequence[BookedCall], operator_id: int) -> None:
    """Lock the operator's row until the transaction ends, then write that these ``callId``s are booked.

    Raises: asyncpg.UniqueViolationError: one is taken.
    """
    await connection.execute(
        _LOCK_AND_CLAIM,
        [call.call_id for call in calls],
        [call.account_id for call in calls],
        [call.started_at for call in calls],
        [call.call_no for call in calls],
        operator_id,
    )


async def write_history(connection: "asyncpg.Connection[Any]", rows: CallRows) -> None:
    """Write calls and their charges. Nothing needs to be locked: who has no key yet is known to nobody."""
    await connection.copy_to_table("charges", source=_once(rows.charges), columns=CHARGE_COLUMNS, format="binary")
    await connection.copy_records_to_table("calls", records=rows.calls, columns=_CALL_COLUMNS)


async def add_usage(connection: "asyncpg.Connection[Any]", usage: UsageColumns) -> None:
    """Add to the usage of days. The caller has locked the operator's row."""
    if await connection.execute(_ADD_USAGE, *usage) != f"UPDATE {len(usage.account_ids)}":
        await connection.execute(_BEGIN_USAGE, *usage)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    """A source of COPY; of a file the driver would read in a thread."""
    yield data
