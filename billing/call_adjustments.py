"""Changing the charges of calls that are booked, with a record of every change. All set-based.

Whoever changes charges has locked the state of the operator and of every account on the calls' paths (see
`billing.charging`), and adds what `write_adjustments` answers to the balances.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

import asyncpg

from billing import usage_store
from billing.charge_order import BookedCall

# What a statement needs to find a call, and what may change about it.
_CALL_CHANGES = (
    *("account_id", "started_at", "call_no", "prefix", "destination", "billed_s", "charged_units"),
    *("status", "unrated_reason", "overdrawn"),
)

_CALL_COLUMNS = ", ".join(f"calls.{column}" for column in BookedCall._fields)

# The charges come as arrays along the path, so that a call is one row whatever its depth.
_READ = f"""
SELECT {_CALL_COLUMNS}, accounts.path, levels.amounts, levels.prices, levels.billed
FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) AS wanted (account_id, started_at, call_no)
JOIN calls USING (account_id, started_at, call_no)
JOIN accounts ON accounts.id = calls.account_id
CROSS JOIN LATERAL (
    SELECT array_agg(charges.amount_units ORDER BY level.depth) AS amounts,
           array_agg(charges.price_per_minute_e8 ORDER BY level.depth) AS prices,
           array_agg(charges.billed_s ORDER BY level.depth) AS billed
    FROM unnest(accounts.path) WITH ORDINALITY AS level (account_id, depth)
    JOIN charges ON charges.account_id = level.account_id AND charges.started_at = calls.started_at
                AND charges.call_no = calls.call_no
) AS levels
ORDER BY calls.started_at, calls.call_no
"""  # noqa: S608 - the columns are the fields of BookedCall

# What a call's rows share is sent once and looked up by position. Levels on which nothing changes are left out, but for
# a refund: its row says why, whatever the level had paid.
_CHANGE_CHARGES = """
WITH change AS MATERIALIZED (
    SELECT charges.account_id, charges.started_at, charges.call_no, charges.customer_id, level.position,
           charges.amount_units AS amount_before, charges.price_per_minute_e8 AS price_before,
           charges.billed_s AS billed_before,
           level.amount_units AS amount_after, level.price_e8 AS price_after, level.billed_s AS billed_after
    FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[], $5::int[])
         WITH ORDINALITY AS level (account_id, call_index, amount_units, price_e8, billed_s, position)
    JOIN charges ON charges.account_id = level.account_id
                AND charges.started_at = ($6::timestamptz[])[level.call_index]
                AND charges.call_no = ($7::bigint[])[level.call_index]
    WHERE $8 = 'REFUND' OR (charges.amount_units, charges.price_per_minute_e8, charges.billed_s)
                           IS DISTINCT FROM (level.amount_units, level.price_e8, level.billed_s)
),
changed AS (
    UPDATE charges
    SET amount_units = amount_after, price_per_minute_e8 = price_after, billed_s = billed_after
    FROM change
    WHERE charges.account_id = change.account_id AND charges.started_at = change.started_at
      AND charges.call_no = change.call_no
)
INSERT INTO call_adjustments (account_id, started_at, call_no, customer_id, kind, amount_units, amount_after_units,
                              price_per_minute_before_e8, price_per_minute_after_e8, billed_before_s, billed_after_s,
                              reason, created_by_id)
SELECT account_id, started_at, call_no, customer_id, $8, amount_after - amount_before, amount_after,
       price_before, price_after, billed_before, billed_after, $9, $10
FROM change ORDER BY position
"""

_UPDATE_CALLS = """
UPDATE calls
SET prefix = change.prefix, destination = change.destination, billed_s = change.billed_s,
    charged_units = change.charged_units, status = change.status, unrated_reason = change.unrated_reason,
    overdrawn = change.overdrawn
FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[], $6::int[], $7::bigint[],
            $8::text[], $9::text[], $10::boolean[])
     AS change (account_id, started_at, call_no, prefix, destination, billed_s, charged_units, status, unrated_reason,
                overdrawn)
WHERE calls.account_id = change.account_id AND calls.started_at = change.started_at
  AND calls.call_no = change.call_no
"""

_CHANGE_USAGE = usage_store.adding("""
SELECT account_id, day, 0, 0, charged_units, refunded_units
FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::bigint[]) AS change (account_id, day, charged_units,
                                                                             refunded_units)
""")


class AdjustmentKind(StrEnum):
    """Why a charge changed: REFUND, all of it was given back; RERATE, the call was rated anew."""

    REFUND = "REFUND"
    RERATE = "RERATE"


class CallPlace(NamedTuple):
    """The key of a call, and with another ``account_id`` of a charge for it."""

    account_id: int
    started_at: datetime
    call_no: int


class ChargedCall(NamedTuple):
    """A call and what each level of ``path``, operator first, pays for it. No prices where the call is unrated."""

    call: BookedCall
    path: tuple[int, ...]
    amounts: tuple[int, ...]
    prices_e8: tuple[int | None, ...]
    billed_s: tuple[int, ...]


class Adjustment(NamedTuple):
    """A call as it is and as it is to be."""

    before: ChargedCall
    after: ChargedCall

    def amounts(self) -> list[int]:
        """The change of each level's charge, operator first; negative: given back."""
        return [after - before for before, after in zip(self.before.amounts, self.after.amounts, strict=True)]


async def read_charged_calls(connection: "asyncpg.Connection[Any]", places: Iterable[CallPlace]) -> list[ChargedCall]:
    """These calls with their charges, in the order of their starts, as of one instant."""
    wanted = list(places)
    rows = await connection.fetch(
        _READ,
        [place.account_id for place in wanted],
        [place.started_at for place in wanted],
        [place.call_no for place in wanted],
    )
    count = len(BookedCall._fields)
    return [
        ChargedCall(BookedCall(*row[:count]), *(tuple(row[index]) for index in range(count, count + 4))) for row in rows
    ]


async def write_adjustments(
    connection: "asyncpg.Connection[Any]",
    kind: AdjustmentKind,
    adjustments: Sequence[Adjustment],
    *,
    reason: str | None,
    author_id: int,
) -> dict[int, int]:
    """Write the calls and charges as they are to be, the usage of their days, and the record.

    Answers what is to be added to each balance. Changes nothing but history: the caller holds the locks.
    """
    levels: list[tuple[int, int, int, int | None, int]] = []
    usage: defaultdict[tuple[int, date], int] = defaultdict(int)
    for index, (before, after) in enumerate(adjustments, 1):
        day = after.call.started_at.astimezone(UTC).date()
        columns = zip(after.path, before.amounts, after.amounts, after.prices_e8, after.billed_s, strict=True)
        for account_id, old, new, price_e8, billed_s in columns:
            levels.append((account_id, index, new, price_e8, billed_s))
            if new != old:
                usage[account_id, day] += new - old
    if not levels:
        return {}
    calls = [after.call for _, after in adjustments]
    await connection.execute(
        _CHANGE_CHARGES,
        *(list(column) for column in zip(*levels, strict=True)),
        [call.started_at for call in calls],
        [call.call_no for call in calls],
        *(kind.value, reason, author_id),
    )
    await connection.execute(_UPDATE_CALLS, *([getattr(call, column) for call in calls] for column in _CALL_CHANGES))
    refunded = -1 if kind is AdjustmentKind.REFUND else 0
    await connection.execute(
        _CHANGE_USAGE,
        [account_id for account_id, _ in usage],
        [day for _, day in usage],
        list(usage.values()),
        [units * refunded for units in usage.values()],
    )
    balance_changes: defaultdict[int, int] = defaultdict(int)
    for (account_id, _), units in usage.items():
        balance_changes[account_id] -= units
    return balance_changes
