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

from billing.charge_order import BookedCall

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

_UPDATE_CHARGES = """
UPDATE charges
SET amount_units = change.amount_units, price_per_minute_e8 = change.price_e8, billed_s = change.billed_s
FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[])
     AS change (account_id, started_at, call_no, amount_units, price_e8, billed_s)
WHERE charges.account_id = change.account_id AND charges.started_at = change.started_at
  AND charges.call_no = change.call_no
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

_INSERT_ADJUSTMENTS = """
INSERT INTO call_adjustments (account_id, started_at, call_no, customer_id, kind, amount_units, amount_after_units,
                              price_per_minute_before_e8, price_per_minute_after_e8, billed_before_s, billed_after_s,
                              reason, created_by_id)
SELECT account_id, started_at, call_no, customer_id, $11, amount_units, amount_after_units, price_before_e8,
       price_after_e8, billed_before_s, billed_after_s, $12, $13
FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::int[], $10::int[])
     AS change (account_id, started_at, call_no, customer_id, amount_units, amount_after_units, price_before_e8,
                price_after_e8, billed_before_s, billed_after_s)
"""

_UPDATE_USAGE = """
UPDATE usage_days
SET charged_units = usage_days.charged_units + change.charged_units,
    refunded_units = usage_days.refunded_units + change.refunded_units
FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::bigint[]) AS change (account_id, day, charged_units,
                                                                             refunded_units)
WHERE usage_days.account_id = change.account_id AND usage_days.day = change.day
"""


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
    rows = _LevelColumns()
    usage: defaultdict[tuple[int, date], int] = defaultdict(int)
    for before, after in adjustments:
        rows.add(before, after, every_level=kind is AdjustmentKind.REFUND)
        day = after.call.started_at.astimezone(UTC).date()
        for account_id, old, new in zip(after.path, before.amounts, after.amounts, strict=True):
            if new != old:
                usage[account_id, day] += new - old
    calls = [after.call for _, after in adjustments]
    places = rows.account_id, rows.started_at, rows.call_no
    await connection.execute(_UPDATE_CHARGES, *places, rows.amount_after, rows.price_after, rows.billed_after)
    await connection.execute(
        _UPDATE_CALLS,
        *(
            [getattr(call, column) for call in calls]
            for column in (
                *("account_id", "started_at", "call_no", "prefix", "destination", "billed_s", "charged_units"),
                *("status", "unrated_reason", "overdrawn"),
            )
        ),
    )
    await connection.execute(
        _INSERT_ADJUSTMENTS,
        *places,
        *(rows.customer_id, rows.amount, rows.amount_after, rows.price_before, rows.price_after),
        *(rows.billed_before, rows.billed_after, kind.value, reason, author_id),
    )
    refunded = -1 if kind is AdjustmentKind.REFUND else 0
    await connection.execute(
        _UPDATE_USAGE,
        [account_id for account_id, _ in usage],
        [day for _, day in usage],
        list(usage.values()),
        [units * refunded for units in usage.values()],
    )
    balance_changes: defaultdict[int, int] = defaultdict(int)
    for (account_id, _), units in usage.items():
        balance_changes[account_id] -= units
    return balance_changes


class _LevelColumns:
    """One entry a level of each call, as the columns of the statements."""

    def __init__(self) -> None:
        self.account_id: list[int] = []
        self.started_at: list[datetime] = []
        self.call_no: list[int] = []
        self.customer_id: list[int] = []
        self.amount: list[int] = []
        self.amount_after: list[int] = []
        self.price_before: list[int | None] = []
        self.price_after: list[int | None] = []
        self.billed_before: list[int] = []
        self.billed_after: list[int] = []

    def add(self, before: ChargedCall, after: ChargedCall, *, every_level: bool) -> None:
        call = after.call
        olds = zip(before.amounts, before.prices_e8, before.billed_s, strict=True)
        news = zip(after.amounts, after.prices_e8, after.billed_s, strict=True)
        for account_id, old, new in zip(after.path, olds, news, strict=True):
            if old == new and not every_level:
                continue
            self.account_id.append(account_id)
            self.started_at.append(call.started_at)
            self.call_no.append(call.call_no)
            self.customer_id.append(call.account_id)
            self.amount.append(new[0] - old[0])
            self.amount_after.append(new[0])
            self.price_before.append(old[1])
            self.price_after.append(new[1])
            self.billed_before.append(old[2])
            self.billed_after.append(new[2])
