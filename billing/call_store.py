"""Writing calls, their charges and the running usage; finding what is known of a ``callId``. All set-based."""

from collections import deque
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import asyncpg

from billing.call_rows import CHARGE_COLUMNS, CallRows
from billing.charge_order import BookedCall
from models.tables import CALL_NO_BLOCK

_CALL_COLUMNS = list(BookedCall._fields)
_KEY_COLUMNS = ["call_id", "account_id", "started_at", "call_no"]

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


async def write_calls(connection: "asyncpg.Connection[Any]", rows: CallRows) -> None:
    """Write calls with their keys, their charges and the usage of their days. The caller has locked the accounts.

    Raises: asyncpg.UniqueViolationError: a ``callId`` is taken.
    """
    if not rows.calls:
        return
    keys = [(call.call_id, call.account_id, call.started_at, call.call_no) for call in rows.calls]
    await connection.copy_records_to_table("call_keys", records=keys, columns=_KEY_COLUMNS)
    await connection.copy_records_to_table("calls", records=rows.calls, columns=_CALL_COLUMNS)
    await connection.copy_to_table("charges", source=BytesIO(rows.charges), columns=CHARGE_COLUMNS, format="binary")
    usage = [list(column) for column in zip(*rows.usage, strict=True)]
    if await connection.execute(_ADD_USAGE, *usage) != f"UPDATE {len(rows.usage)}":
        await connection.execute(_BEGIN_USAGE, *usage)
