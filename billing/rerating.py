"""Rerating calls that are booked: step by step over a span of time, each step a transaction of its own.

A step looks at the next calls by their start, without a lock. Where some should be charged otherwise, it locks the
state of the operator and of every account on their paths, reads and rates them again behind that lock, and writes the
differences. A call that is right already is left alone, so any step may be repeated.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from billing import balances
from billing.call_adjustments import (
    Adjustment,
    AdjustmentKind,
    CallPlace,
    ChargedCall,
    read_charged_calls,
    write_adjustments,
)
from billing.call_months import closed_refusal_between
from billing.price_book import PriceBook
from billing.rating import Price, price_path
from billing.rerated_call import Finding, Rerated, is_rerated, rerate
from billing.standing import Standing
from models.database import Database

# Charging waits for a step that writes: some 50 ms for so many calls.
STEP_CALLS_MAX = 200

# Each account has a charge for every call below it. The limit is on these, so that a step is bounded however rare the
# prefix is, and a call that is lost ends nothing early.
_NEXT_CALLS = """
SELECT scanned.customer_id, scanned.started_at, scanned.call_no, calls.number, calls.status
FROM (
    SELECT customer_id, started_at, call_no FROM charges
    WHERE account_id = $1 AND started_at < $2 AND (started_at, call_no) > ($3, $4)
    ORDER BY started_at, call_no LIMIT $5
) AS scanned
LEFT JOIN calls ON calls.account_id = scanned.customer_id AND calls.started_at = scanned.started_at
               AND calls.call_no = scanned.call_no
ORDER BY scanned.started_at, scanned.call_no
"""

# Few calls are unrated, and they have an index of their own.
_NEXT_UNRATED_CALLS = """
SELECT scanned.account_id, scanned.started_at, scanned.call_no, scanned.number,
       CASE WHEN $1 = ANY(accounts.path) THEN 'UNRATED' ELSE 'ELSEWHERE' END
FROM (
    SELECT account_id, started_at, call_no, number FROM calls
    WHERE status = 'UNRATED' AND started_at < $2 AND (started_at, call_no) > ($3, $4)
    ORDER BY started_at, call_no LIMIT $5
) AS scanned
JOIN accounts ON accounts.id = scanned.account_id
ORDER BY scanned.started_at, scanned.call_no
"""

_COUNT = "SELECT count(*) FROM charges WHERE account_id = $1 AND started_at >= $2 AND started_at < $3"
_COUNT_UNRATED = "SELECT count(*) FROM calls WHERE status = 'UNRATED' AND started_at >= $1 AND started_at < $2"

# Smaller than any call's number.
_BEFORE_ANY_CALL = -1

PricesOf = Callable[[ChargedCall], list[Price | None]]
Position = tuple[datetime, int]


class RerateScope(NamedTuple):
    """Which calls: of ``account_id`` and everything below it, started at or after ``since`` and before ``until``.

    ``prefix`` is the beginning of the called number, as digits; with ``unrated_only`` charged calls are left alone.
    """

    since: datetime
    until: datetime
    account_id: int
    prefix: str | None = None
    unrated_only: bool = False


class RerateStep(NamedTuple):
    """What a step found, and what it changed (or, in a dry run, would change), in the order of the calls' starts.

    ``scanned`` calls were passed over or looked at, ``after`` being the last of them; None: there are no more.
    """

    scanned: int
    found: Counter[Finding]
    adjustments: Sequence[Adjustment]
    after: Position | None


async def count_calls(database: Database, scope: RerateScope) -> int:
    """How many calls all steps together will have scanned, if none is added meanwhile."""
    async with database.charging_connection() as connection:
        if scope.unrated_only:
            count: int = await connection.fetchval(_COUNT_UNRATED, scope.since, scope.until)
        else:
            count = await connection.fetchval(_COUNT, scope.account_id, scope.since, scope.until)
    return count


async def rerate_step(
    database: Database, price_book: PriceBook, scope: RerateScope, after: Position | None, *, author_id: int | None
) -> RerateStep:
    """Rerate the calls of the scope that come next after ``after`` (None: from the start), at most 200.

    Each is rated by its start with the rates and the selected lists of now. Without an author it is a dry run, which
    changes and locks nothing. Calls are charged below zero if need be. Raises: MonthClosed: a month of the scope is.
    """
    async with database.charging_connection() as connection:
        await _refuse_closed(connection, scope)
        found = await connection.fetch(
            _NEXT_UNRATED_CALLS if scope.unrated_only else _NEXT_CALLS,
            scope.account_id,
            scope.until,
            *(after or (scope.since, _BEFORE_ANY_CALL)),
            STEP_CALLS_MAX + 1,
        )
        rows = found[:STEP_CALLS_MAX]
        places = [
            CallPlace(account_id, started_at, call_no)
            for account_id, started_at, call_no, number, status in rows
            if is_rerated(status) and number.startswith(scope.prefix or "")
        ]
        calls = await read_charged_calls(connection, places)
        rerated = _rerate(calls, await _early_prices(connection, price_book, calls))
        if author_id is not None:
            wrong = [item.adjustment.before for item in rerated if item.adjustment is not None]
            if wrong:
                settled = [item for item in rerated if item.adjustment is None]
                rerated = settled + await _apply(connection, price_book, scope, wrong, author_id)
    last = rows[-1] if len(found) > len(rows) else None
    return RerateStep(
        len(rows),
        Counter(item.finding for item in rerated),
        [item.adjustment for item in rerated if item.adjustment is not None],
        None if last is None else (last["started_at"], last["call_no"]),
    )


async def _refuse_closed(connection: "asyncpg.Connection[Any]", scope: RerateScope) -> None:
    closed = await closed_refusal_between(connection, scope.since, scope.until)
    if closed is not None:
        closed.path = ("since",)
        raise closed


async def _apply(
    connection: "asyncpg.Connection[Any]",
    price_book: PriceBook,
    scope: RerateScope,
    wrong: Sequence[ChargedCall],
    author_id: int,
) -> list[Rerated]:
    """Rerate these calls behind the lock, where neither they nor anybody's list or credit can change; write it."""
    async with connection.transaction():
        states = await balances.lock_states(connection, {level for charged in wrong for level in charged.path})
        await _refuse_closed(connection, scope)
        calls = await read_charged_calls(
            connection,
            [CallPlace(charged.call.account_id, charged.call.started_at, charged.call.call_no) for charged in wrong],
        )
        selections = {state["account_id"]: state["rate_list_id"] for state in states}
        prices_of = await _prices(connection, price_book, selections)
        standing = {
            state["account_id"]: Standing(state["blocked"], balances.available_units(state)) for state in states
        }
        # Somebody may have refunded one meanwhile.
        rerated = _rerate([charged for charged in calls if is_rerated(charged.call.status)], prices_of, standing)
        adjustments = [item.adjustment for item in rerated if item.adjustment is not None]
        balance_changes = await write_adjustments(
            connection, AdjustmentKind.RERATE, adjustments, reason=None, author_id=author_id
        )
        await balances.apply_to_locked(connection, balance_changes, balances.Cause.CALL)
    return rerated


def _rerate(
    calls: Iterable[ChargedCall], prices_of: PricesOf, standing: Mapping[int, Standing] | None = None
) -> list[Rerated]:
    return [rerate(charged, prices_of(charged), standing) for charged in calls]


async def _early_prices(
    connection: "asyncpg.Connection[Any]", price_book: PriceBook, calls: Sequence[ChargedCall]
) -> PricesOf:
    selections = await balances.selected_lists(connection, {level for charged in calls for level in charged.path})
    return await _prices(connection, price_book, selections)


async def _prices(
    connection: "asyncpg.Connection[Any]", price_book: PriceBook, selections: Mapping[int, int]
) -> PricesOf:
    # After the selections: what was changed before one of them is seen with it.
    tables = await price_book.refresh_now(connection, selections.values())
    base = price_book.base

    def prices_of(charged: ChargedCall) -> list[Price | None]:
        lists = [tables[selections[account_id]] for account_id in charged.path[1:]]
        return price_path(base, lists, charged.call.number, charged.call.started_at)

    return prices_of
