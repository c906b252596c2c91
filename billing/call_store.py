"""Writing calls, their charges and the running usage; finding calls that are booked already. All set-based."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import asyncpg

from billing.charge_order import BookedCall
from models.tables import CALL_NO_BLOCK

_CALL_COLUMNS = list(BookedCall._fields)

_INSERT_KEYS = """
INSERT INTO call_keys (call_id, account_id, started_at, call_no)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::bigint[])
ON CONFLICT (call_id) DO NOTHING
"""

_FIND = f"""
SELECT {", ".join(f"calls.{column}" for column in _CALL_COLUMNS)}
FROM call_keys JOIN calls USING (account_id, started_at, call_no)
WHERE call_keys.call_id = ANY($1::text[])
"""  # noqa: S608 - the columns are the fields of BookedCall

_ADD_USAGE = """
INSERT INTO usage_days AS usage (account_id, day, calls, duration_s, charged_units)
SELECT * FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (account_id, day) DO UPDATE SET
    calls = usage.calls + excluded.calls,
    duration_s = usage.duration_s + excluded.duration_s,
    charged_units = usage.charged_units + excluded.charged_units
"""


class ChargeRow(NamedTuple):
    """One row of `models.call.Charge`."""

    account_id: int
    started_at: datetime
    call_no: int
    customer_id: int
    amount_units: int
    price_per_minute_e8: int | None
    billed_s: int
    level: int


_CHARGE_COLUMNS = list(ChargeRow._fields)


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


async def insert_keys(connection: "asyncpg.Connection[Any]", calls: Sequence[BookedCall]) -> int:
    """Claim the ``callId``s; answers how many were free. Fewer than given: the caller must roll back."""
    columns = (
        [call.call_id for call in calls],
        [call.account_id for call in calls],
        [call.started_at for call in calls],
        [call.call_no for call in calls],
    )
    status = await connection.execute(_INSERT_KEYS, *columns)
    return int(status.rsplit(" ", 1)[1])


async def insert_calls(
    connection: "asyncpg.Connection[Any]", calls: Sequence[BookedCall], charges: Sequence[ChargeRow]
) -> None:
    """Write the calls and the row of each level of each call."""
    await connection.copy_records_to_table("calls", records=calls, columns=_CALL_COLUMNS)
    await connection.copy_records_to_table("charges", records=charges, columns=_CHARGE_COLUMNS)


async def add_usage(
    connection: "asyncpg.Connection[Any]", usage: Mapping[tuple[int, date], tuple[int, int, int]]
) -> None:
    """Add (calls, talked seconds, charged units) to the running usage of each (account, UTC day)."""
    await connection.execute(
        _ADD_USAGE,
        [account_id for account_id, _ in usage],
        [day for _, day in usage],
        *(list(column) for column in zip(*usage.values(), strict=True)),
    )
