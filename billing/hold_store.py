"""Reading and writing holds and early ends, set-based. The accounts they touch are locked by the caller."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import asyncpg

from billing.hold_order import EarlyEnd, Hold

_COLUMNS = (
    "call_id, path, number, caller_number, at, sequence, granted_s, max_duration_s, held_units, expires_at, "
    "authorizer_id"
)

_FIND_HOLDS = f"SELECT {_COLUMNS} FROM holds WHERE call_id = ANY($1::text[])"  # noqa: S608 - a constant

# The oldest first, and not more than a batch can free at once.
_DUE_HOLDS = f"SELECT {_COLUMNS} FROM holds WHERE expires_at <= clock_timestamp() ORDER BY expires_at LIMIT 1000"  # noqa: S608

_FIND_EARLY_ENDS = """
SELECT call_id, reporter_id, duration_s, started_at, released FROM early_ends WHERE call_id = ANY($1::text[])
"""

# Of most batches nothing but perhaps their holds is kept: one question instead of five.
_WHAT_IS_KEPT = """
SELECT EXISTS (SELECT FROM holds WHERE call_id = ANY($1::text[])) AS holds,
       EXISTS (SELECT FROM holds WHERE expires_at <= clock_timestamp()) AS due_holds,
       EXISTS (SELECT FROM early_ends WHERE call_id = ANY($1::text[])) AS early_ends,
       EXISTS (SELECT FROM call_keys WHERE call_id = ANY($1::text[])) AS calls,
       EXISTS (SELECT FROM call_limits) AS limits
"""

_PUT_HOLDS = """
INSERT INTO holds (call_id, account_id, path, number, caller_number, at, sequence, granted_s, max_duration_s,
                   held_units, expires_at, authorizer_id)
SELECT call_id, path[cardinality(path)], path, number, caller_number, at, sequence, granted_s, max_duration_s,
       held_units, expires_at, authorizer_id
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::int[], $7::int[], $8::int[],
            $9::text[], $10::timestamptz[], $11::bigint[])
     AS hold (call_id, path_text, number, caller_number, at, sequence, granted_s, max_duration_s, held_text,
              expires_at, authorizer_id),
     LATERAL (SELECT path_text::bigint[] AS path, held_text::bigint[] AS held_units) AS arrays
ON CONFLICT (call_id) DO UPDATE SET
    sequence = excluded.sequence, granted_s = excluded.granted_s, max_duration_s = excluded.max_duration_s,
    held_units = excluded.held_units, expires_at = excluded.expires_at, authorizer_id = excluded.authorizer_id
"""

_PUT_EARLY_ENDS = """
INSERT INTO early_ends (call_id, reporter_id, duration_s, started_at, released)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::int[], $4::timestamptz[], $5::boolean[])
ON CONFLICT (call_id, reporter_id) DO NOTHING
"""


class Kept(NamedTuple):
    """What there is to be read for a batch: of its ``callId``s holds, early ends and calls; of anybody the others."""

    holds: bool
    due_holds: bool
    early_ends: bool
    calls: bool
    limits: bool


async def what_is_kept(connection: "asyncpg.Connection[Any]", call_ids: Sequence[str]) -> Kept:
    """What there is to be read for a batch with these ``callId``s."""
    (row,) = await connection.fetch(_WHAT_IS_KEPT, call_ids)
    return Kept(*row)


async def find_holds(connection: "asyncpg.Connection[Any]", call_ids: Sequence[str]) -> dict[str, Hold]:
    """The holds of these ``callId``s, expired ones included."""
    return {row["call_id"]: _hold(row) for row in await connection.fetch(_FIND_HOLDS, call_ids)}


async def due_holds(connection: "asyncpg.Connection[Any]") -> dict[str, Hold]:
    """Holds whose time is over by the database's clock and that still hold something."""
    return {row["call_id"]: _hold(row) for row in await connection.fetch(_DUE_HOLDS)}


async def find_early_ends(
    connection: "asyncpg.Connection[Any]", call_ids: Sequence[str]
) -> dict[str, dict[int, EarlyEnd]]:
    """The early ends of these ``callId``s, by the account that reported them."""
    ends: dict[str, dict[int, EarlyEnd]] = {}
    for row in await connection.fetch(_FIND_EARLY_ENDS, call_ids):
        ends.setdefault(row["call_id"], {})[row["reporter_id"]] = EarlyEnd(*row)
    return ends


async def put_holds(connection: "asyncpg.Connection[Any]", holds: Sequence[Hold]) -> None:
    """Write these holds, new ones and changed ones."""
    if holds:
        await connection.execute(
            _PUT_HOLDS,
            [hold.call_id for hold in holds],
            [_array_text(hold.path) for hold in holds],
            [hold.number for hold in holds],
            [hold.caller_number for hold in holds],
            [hold.at for hold in holds],
            [hold.sequence for hold in holds],
            [hold.granted_s for hold in holds],
            [hold.max_duration_s for hold in holds],
            [_array_text(hold.held_units) for hold in holds],
            [hold.expires_at for hold in holds],
            [hold.authorizer_id for hold in holds],
        )


async def put_early_ends(connection: "asyncpg.Connection[Any]", early_ends: Sequence[EarlyEnd]) -> None:
    """Write these early ends; one that is there stays as it is."""
    if early_ends:
        await connection.execute(_PUT_EARLY_ENDS, *(list(column) for column in zip(*early_ends, strict=True)))


async def drop(connection: "asyncpg.Connection[Any]", call_ids: Sequence[str]) -> None:
    """Forget the holds and early ends of calls that have ended."""
    if call_ids:
        await connection.execute("DELETE FROM holds WHERE call_id = ANY($1::text[])", call_ids)
        await connection.execute("DELETE FROM early_ends WHERE call_id = ANY($1::text[])", call_ids)


def _array_text(numbers: Iterable[int]) -> str:
    """PostgreSQL's text form of an array: unnest would flatten an array of arrays."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _hold(row: asyncpg.Record) -> Hold:
    values = dict(row)
    return Hold(**{**values, "path": tuple(values["path"]), "held_units": tuple(values["held_units"])})
