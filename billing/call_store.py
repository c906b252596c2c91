"""Writing calls and their charges; finding what is known of a ``callId``. All set-based."""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import asyncpg

from billing.call_rows import CALL_COLUMNS, CHARGE_COLUMNS, CallRows, copied_calls
from billing.charge_order import BookedCall
from billing.int_arrays import int_array
from models.tables import CALL_NO_BLOCK

_BOOKED_COLUMNS = list(BookedCall._fields)

_FIND = f"""
SELECT {", ".join(f"calls.{column}" for column in _BOOKED_COLUMNS)}
FROM call_keys JOIN calls USING (account_id, started_at, call_no)
WHERE call_keys.call_id = ANY($1::text[])
"""  # noqa: S608 - the columns are the fields of BookedCall

_KNOWN = """
SELECT call_id FROM call_keys WHERE call_id = ANY($1::text[])
UNION ALL SELECT call_id FROM holds WHERE call_id = ANY($1::text[])
UNION ALL SELECT call_id FROM early_ends WHERE call_id = ANY($1::text[])
"""

_LOCKED_OPERATOR = "(SELECT FROM account_state WHERE account_id = $1 FOR NO KEY UPDATE) AS operator"

# Of microseconds since then: see docs/adr/0022 on what an instant costs the driver.
_INSTANT = "timestamptz '2000-01-01 00:00:00+00' + {} * interval '1 microsecond'"

# Before the first key is written the operator's row is locked. Less work than COPY, and one answer to wait for.
_LOCK_AND_CLAIM = f"""
INSERT INTO call_keys (call_id, account_id, started_at, call_no)
SELECT key.call_id, key.account_id, {_INSTANT.format("key.started_us")}, key.call_no FROM {_LOCKED_OPERATOR}
CROSS JOIN unnest($2::text[], $3::text::bigint[], $4::text::bigint[], $5::text::bigint[])
           AS key (call_id, account_id, started_us, call_no)
"""  # noqa: S608 - constants

_COLUMN_TYPES = (
    *("bigint", "timestamptz", "bigint", "text", "text", "text", "text", "text"),
    *("int", "int", "bigint", "text", "text", "boolean"),
)

# The same, and the calls with it: COPY has two answers to wait for, which is more than a few calls cost.
_WRITE_LOCK_AND_CLAIM = f"""
WITH call AS (
    SELECT * FROM unnest({", ".join(f"${number}::{type_}[]" for number, type_ in enumerate(_COLUMN_TYPES, 2))})
                  AS call ({", ".join(_BOOKED_COLUMNS)})
),
written AS (INSERT INTO calls ({", ".join(_BOOKED_COLUMNS)}) SELECT * FROM call)
INSERT INTO call_keys (call_id, account_id, started_at, call_no)
SELECT call.call_id, call.account_id, call.started_at, call.call_no FROM {_LOCKED_OPERATOR} CROSS JOIN call
"""  # noqa: S608 - constants
FEW_CALLS = 50

_BLOCKS = "SELECT nextval('call_no_blocks') FROM generate_series(1, $1)"


class CallNumbers:
    """Hands out growing call numbers; asks the database for a block at a time. One per process."""

    def __init__(self) -> None:
        self._free: deque[int] = deque()

    async def take(self, connection: "asyncpg.Connection[Any]", count: int) -> list[int]:
        """``count`` numbers. A number that is taken and not used is lost, which means nothing."""
        while (missing := count - len(self._free)) > 0:
            for (block,) in await connection.fetch(_BLOCKS, 1 + (missing - 1) // CALL_NO_BLOCK):
                self._free.extend(range(block * CALL_NO_BLOCK, (block + 1) * CALL_NO_BLOCK))
        return [self._free.popleft() for _ in range(count)]


async def find_calls(connection: "asyncpg.Connection[Any]", call_ids: Iterable[str]) -> dict[str, BookedCall]:
    """The calls among these ``callId``s that are booked."""
    rows = await connection.fetch(_FIND, list(call_ids))
    return {row["call_id"]: BookedCall(*row) for row in rows}


async def known_call_ids(connection: "asyncpg.Connection[Any]", call_ids: Sequence[str]) -> frozenset[str]:
    """Those of these ``callId``s that are booked, held, or have ended before their authorisation."""
    return frozenset(call_id for (call_id,) in await connection.fetch(_KNOWN, call_ids))


async def book(connection: "asyncpg.Connection[Any]", rows: CallRows, operator_id: int) -> None:
    """Write calls and their charges, lock the operator's row until the transaction ends, and then write that these
    ``callId``s are booked. The history needs no lock: who has no key yet is known to nobody.

    Raises: asyncpg.UniqueViolationError: a ``callId`` is taken.
    """
    calls = rows.calls
    await connection.copy_to_table("charges", source=_once(rows.charges), columns=CHARGE_COLUMNS, format="binary")
    if len(calls) <= FEW_CALLS:
        await connection.execute(_WRITE_LOCK_AND_CLAIM, operator_id, *zip(*calls, strict=True))
        return
    await connection.copy_to_table("calls", source=_once(copied_calls(rows)), columns=CALL_COLUMNS, format="binary")
    call_ids, *numbers = rows.keys
    await connection.execute(_LOCK_AND_CLAIM, operator_id, call_ids, *map(int_array, numbers))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    """A source of COPY; of a file the driver would read in a thread."""
    yield data
