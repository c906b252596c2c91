"""Writing calls, their charges and the running usage; finding calls that are booked already. All set-based."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

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

# What a call's rows share is sent once and looked up by position.
_INSERT_CHARGES = """
INSERT INTO charges (account_id, started_at, call_no, customer_id, amount_units, price_per_minute_e8, billed_s)
SELECT account_id, ($6::timestamptz[])[call_index], ($7::bigint[])[call_index], ($8::bigint[])[call_index],
       amount_units, price_per_minute_e8, billed_s
FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[], $5::int[])
     AS charge (account_id, call_index, amount_units, price_per_minute_e8, billed_s)
"""

_ADD_USAGE = """
INSERT INTO usage_days AS usage (account_id, day, calls, duration_s, charged_units)
SELECT * FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (account_id, day) DO UPDATE SET
    calls = usage.calls + excluded.calls,
    duration_s = usage.duration_s + excluded.duration_s,
    charged_units = usage.charged_units + excluded.charged_units
"""


@dataclass(slots=True)
class ChargeColumns:
    """The rows of `models.call.Charge` to write, as columns; ``call_index`` is the call's position, from 1."""

    account_id: list[int] = field(default_factory=list)
    call_index: list[int] = field(default_factory=list)
    amount_units: list[int] = field(default_factory=list)
    price_per_minute_e8: list[int | None] = field(default_factory=list)
    billed_s: list[int] = field(default_factory=list)


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
    connection: "asyncpg.Connection[Any]", calls: Sequence[BookedCall], charges: ChargeColumns
) -> None:
    """Write the calls and the row of each level of each call."""
    await connection.copy_records_to_table("calls", records=calls, columns=_CALL_COLUMNS)
    await connection.execute(
        _INSERT_CHARGES,
        charges.account_id,
        charges.call_index,
        charges.amount_units,
        charges.price_per_minute_e8,
        charges.billed_s,
        [call.started_at for call in calls],
        [call.call_no for call in calls],
        [call.account_id for call in calls],
    )


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
