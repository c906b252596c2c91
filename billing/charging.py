"""Charging a batch of calls along their paths: every level at its own price, all of a call or nothing of it.

One batch is one transaction. It locks the state of every account on every path in ascending id; since each path
begins at the operator, batches wait there for each other, and what they read behind the lock (balances, selected
lists, booked ``callId``s) cannot change under them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date
from typing import Any, NamedTuple

import asyncpg

from billing import balances, call_store
from billing.call_store import CallNumbers, ChargeColumns
from billing.charge_order import Booked, BookedCall, CallStatus, ChargeOrder, Outcome
from billing.errors import IdempotencyConflict, Refusal
from billing.price_book import PriceBook
from billing.rated_order import Accepted, Funds, RatedOrder, decide, rate_order, unpriced_reason
from billing.rating import RateTable

State = asyncpg.Record

# Selected lists of accounts that were charged lately; a wrong one costs a second rating, never a wrong price.
_SELECTIONS_MAX = 500_000

_NO_USAGE = (0, 0, 0)


class ChargingEngine:
    """Applies batches of orders. One per process; the connection comes from the caller."""

    def __init__(self, price_book: PriceBook) -> None:
        self._price_book = price_book
        self._call_numbers = CallNumbers()
        self._selections: Mapping[int, int] = {}
        self._epoch = 0

    async def apply(self, connection: "asyncpg.Connection[Any]", orders: Sequence[ChargeOrder]) -> list[Outcome]:
        """Charge the orders in their sequence and commit; answers one outcome an order.

        A ``callId`` that is booked already, or stands earlier in the batch, changes nothing: its call is answered
        as a duplicate, or IDEMPOTENCY_CONFLICT where the content differs.
        """
        firsts: dict[str, ChargeOrder] = {}
        for order in orders:
            firsts.setdefault(order.call_id, order)
        if len(firsts) == len(orders):
            return await self._apply_unique(connection, orders)
        outcomes = dict(zip(firsts, await self._apply_unique(connection, list(firsts.values())), strict=True))
        answers: list[Outcome] = []
        for order in orders:
            first, outcome = firsts[order.call_id], outcomes[order.call_id]
            if order is first:
                answers.append(outcome)
            elif isinstance(outcome, Booked):
                answers.append(_repeat(order, outcome.call))
            elif order == first:
                answers.append(outcome)
            else:
                # The first was refused, so nothing is booked under the callId: this is a new call.
                answers.extend(await self._apply_unique(connection, [order]))
        return answers

    async def _apply_unique(
        self, connection: "asyncpg.Connection[Any]", orders: Sequence[ChargeOrder]
    ) -> list[Outcome]:
        account_ids = {account_id for order in orders for account_id in order.path}
        early = await self._rate_early(connection, account_ids, orders)
        async with connection.transaction():
            states = {row["account_id"]: row for row in await balances.lock_states(connection, account_ids)}
            booked_before = await call_store.find_calls(connection, [order.call_id for order in orders])
            rating = await self._confirm(connection, early, orders, states)
            new = [item for item in rating.rated if item.order.call_id not in booked_before]
            funds = {
                account_id: Funds(state["blocked"], balances.available_units(state))
                for account_id, state in states.items()
            }
            decisions = decide(new, funds)
            booked_now = await self._book(connection, new, decisions)
        decided = {item.order.call_id: decision for item, decision in zip(new, decisions, strict=True)}
        return [
            _repeat(order, booked_before[order.call_id])
            if order.call_id in booked_before
            else _outcome(decided[order.call_id], booked_now.get(order.call_id))
            for order in orders
        ]

    async def _rate_early(
        self, connection: "asyncpg.Connection[Any]", account_ids: set[int], orders: Sequence[ChargeOrder]
    ) -> "_Rating":
        """Rate with the lists these accounts had lately, so that no lock is held meanwhile."""
        unknown = account_ids - self._selections.keys()
        if unknown:
            self._remember(await balances.selected_lists(connection, unknown))
        selections = self._selections
        wanted = {selections[account_id] for account_id in account_ids}
        tables = await self._price_book.refresh(connection, self._epoch, wanted)
        return self._rate(orders, selections, tables)

    async def _confirm(
        self,
        connection: "asyncpg.Connection[Any]",
        early: "_Rating",
        orders: Sequence[ChargeOrder],
        states: Mapping[int, State],
    ) -> "_Rating":
        """The rating that holds for the locked states: the early one if neither a list nor a selection changed."""
        selections = {account_id: state["rate_list_id"] for account_id, state in states.items()}
        self._epoch = max(state["pricing_epoch"] for state in states.values())
        tables = await self._price_book.refresh(connection, self._epoch, selections.values())
        if early.tables is tables and early.selections.items() >= selections.items():
            return early
        self._remember(selections)
        return self._rate(orders, selections, tables)

    def _remember(self, selections: Mapping[int, int]) -> None:
        known = self._selections if len(self._selections) < _SELECTIONS_MAX else {}
        self._selections = {**known, **selections}

    def _rate(
        self, orders: Sequence[ChargeOrder], selections: Mapping[int, int], tables: Mapping[int, RateTable]
    ) -> "_Rating":
        base = self._price_book.base
        return _Rating(
            [
                rate_order(order, base, [tables[selections[account_id]] for account_id in order.path[1:]])
                for order in orders
            ],
            selections,
            tables,
        )

    async def _book(
        self,
        connection: "asyncpg.Connection[Any]",
        rated: Sequence[RatedOrder],
        decisions: Sequence[Accepted | Refusal],
    ) -> dict[str, BookedCall]:
        accepted = [
            (item, decision) for item, decision in zip(rated, decisions, strict=True) if isinstance(decision, Accepted)
        ]
        if not accepted:
            return {}
        call_nos = await self._call_numbers.take(connection, len(accepted))
        calls = [
            _booked_call(item, call_no, decision.overdrawn)
            for call_no, (item, decision) in zip(call_nos, accepted, strict=True)
        ]
        charges = ChargeColumns()
        usage: dict[tuple[int, date], tuple[int, int, int]] = {}
        for index, (call, (item, _)) in enumerate(zip(calls, accepted, strict=True), 1):
            path = item.order.path
            charges.account_id.extend(path)
            charges.call_index.extend([index] * len(path))
            charges.amount_units.extend(item.amounts)
            charges.billed_s.extend(item.billed_s)
            charges.price_per_minute_e8.extend(item.prices_e8())
            day, duration_s = call.started_at.astimezone(UTC).date(), call.duration_s
            for account_id, units in zip(path, item.amounts, strict=True):
                key = (account_id, day)
                count, seconds, charged = usage.get(key, _NO_USAGE)
                usage[key] = (count + 1, seconds + duration_s, charged + units)
        balance_changes: defaultdict[int, int] = defaultdict(int)
        for (account_id, _), (_, _, charged) in usage.items():
            balance_changes[account_id] -= charged
        await call_store.insert_keys(connection, calls)
        await call_store.insert_calls(connection, calls, charges)
        await call_store.add_usage(connection, usage)
        await balances.apply_to_locked(connection, balance_changes, balances.Cause.CALL)
        return {call.call_id: call for call in calls}


class _Rating(NamedTuple):
    """Rated orders and what they were rated with."""

    rated: list[RatedOrder]
    selections: Mapping[int, int]
    tables: Mapping[int, RateTable]


def _booked_call(item: RatedOrder, call_no: int, overdrawn: bool) -> BookedCall:
    order, price = item.order, item.prices[-1]
    unrated = item.unpriced_level is not None
    return BookedCall(
        account_id=order.path[-1],
        started_at=order.started_at,
        call_no=call_no,
        call_id=order.call_id,
        number=order.number,
        caller_number=order.caller_number,
        prefix=None if unrated or price is None else price.prefix,
        destination=None if unrated or price is None else price.destination,
        duration_s=order.duration_s,
        billed_s=item.billed_s[-1],
        charged_units=item.amounts[-1],
        status=CallStatus.UNRATED if unrated else CallStatus.CHARGED,
        unrated_reason=unpriced_reason(item) if unrated else None,
        overdrawn=overdrawn,
    )


def _outcome(decision: Accepted | Refusal, call: BookedCall | None) -> Outcome:
    if isinstance(decision, Refusal):
        return decision
    assert call is not None
    return Booked(call, duplicate=False)


def _repeat(order: ChargeOrder, call: BookedCall) -> Outcome:
    """The answer to a ``callId`` that is booked already."""
    same = (
        order.path[-1] == call.account_id
        and order.number == call.number
        and order.caller_number == call.caller_number
        and order.started_at == call.started_at
        and order.duration_s == call.duration_s
    )
    if same:
        return Booked(call, duplicate=True)
    return IdempotencyConflict("This callId was charged before with other content.", path=("callId",))
