"""Applying a batch of orders of calls: finished ones to charge, and holds for those that run.

One batch is one transaction. It locks the state of the operator and of every account on every path; since each path
begins at the operator, batches wait there for each other, and what they read behind that lock (balances, selected
lists, booked ``callId``s, holds) cannot change under them. Paths that become known only behind the lock, of calls
that a switch settles by their ``callId``, are locked then: the order of locks below the operator's no longer
matters, since whoever else locks a state row locks that one alone.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from billing import balances, call_store, hold_store, limit_store
from billing.call_batch import CallBatch
from billing.call_months import CallMonths
from billing.call_rows import CallRows, RowMaker
from billing.call_store import CallNumbers
from billing.charge_order import Booked, ChargeOrder, Outcome
from billing.closed_calls import closed_refusal, find_closed_calls
from billing.errors import Refusal
from billing.hold_order import (
    DEFAULT_HOLD_RULES,
    Authorization,
    AuthorizeOrder,
    EndPending,
    ExtendOrder,
    Hold,
    HoldRules,
    SettleOrder,
)
from billing.price_book import PriceBook, current_epoch
from billing.rated_order import booked_call, rated_at
from billing.rating import Price, RateTable, price_path
from billing.standing import Standing

Order = ChargeOrder | AuthorizeOrder | ExtendOrder | SettleOrder
Answer = Outcome | Authorization | EndPending | Refusal

# Selected lists of accounts that were charged lately; a wrong one costs a second rating, never a wrong price.
_SELECTIONS_MAX = 500_000

# While one batch is made ready another one holds the locks: it must not wait long for its next statement to be sent.
_ORDERS_AT_A_STRETCH = 50


class _Pricing(NamedTuple):
    """Selected list of each account, and the lists."""

    selections: Mapping[int, int]
    tables: Mapping[int, RateTable]
    base: RateTable

    def prices_of(self, path: tuple[int, ...], number: str, at: datetime) -> list[Price | None]:
        """Each level's price, operator first. Raises: KeyError: an account's list is not known."""
        lists = [self.tables[self.selections[account_id]] for account_id in path[1:]]
        return price_path(self.base, lists, number, at)


class ChargingEngine:
    """Applies batches of orders. One per process; the connection comes from the caller."""

    def __init__(self, price_book: PriceBook, rules: HoldRules = DEFAULT_HOLD_RULES) -> None:
        self._price_book = price_book
        self._rules = rules
        self._call_numbers = CallNumbers()
        self._months = CallMonths()
        self._selections: dict[int, int] = {}
        self._epoch = 0
        self._operator_id: int | None = None

    async def apply(self, connection: "asyncpg.Connection[Any]", orders: Sequence[Order]) -> list[Answer]:
        """Carry out the orders in their sequence and commit; answers one answer an order.

        A ``callId`` that is booked already, or comes twice in the batch, changes nothing the second time: its call
        is answered as a duplicate, or IDEMPOTENCY_CONFLICT where the content differs.
        """
        try:
            return await self._apply(connection, orders)
        except asyncpg.CheckViolationError:
            # A month was closed that this process took for open: the second time it is seen.
            self._months.forget()
            return await self._apply(connection, orders)

    async def _apply(self, connection: "asyncpg.Connection[Any]", orders: Sequence[Order]) -> list[Answer]:
        closed = await self._months.make_for(
            connection, [order.started_at for order in orders if isinstance(order, ChargeOrder)]
        )
        finished = [] if closed else _only_finished_calls(orders)
        account_ids = {account_id for order in orders for account_id in _path_of(order)}
        account_ids.add(await self._operator(connection))
        pricing = await self._early_pricing(connection, account_ids)
        rows = await self._rows(connection, finished, pricing)
        async with connection.transaction():
            states = await balances.lock_states(connection, account_ids)
            confirmed = await self._confirm(connection, pricing, states)
            if confirmed is not pricing:
                rows = await self._rows(connection, finished, confirmed)
            if rows is not None and await _all_can_be_booked(connection, rows, states):
                await call_store.write_calls(connection, rows)
                await balances.apply_to_locked(connection, rows.balance_changes(), balances.Cause.CALL)
                return [Booked(call, duplicate=False) for call in rows.calls]
            return await self._one_by_one(connection, orders, states, confirmed)

    async def free_expired(self, connection: "asyncpg.Connection[Any]") -> int:
        """Free what is held for calls whose time is over; answers how many it found, at most 1,000 at a time."""
        if not await hold_store.due_holds(connection):
            return 0
        async with connection.transaction():
            states = await balances.lock_states(connection, [await self._operator(connection)])
            due = await hold_store.due_holds(connection)
            pricing = await self._early_pricing(connection, {state["account_id"] for state in states})
            await self._one_by_one(connection, [], states, pricing)
        return len(due)

    async def _operator(self, connection: "asyncpg.Connection[Any]") -> int:
        if self._operator_id is None:
            self._operator_id = await balances.operator_id(connection)
        return self._operator_id

    async def _early_pricing(self, connection: "asyncpg.Connection[Any]", account_ids: set[int]) -> _Pricing:
        """The lists that these accounts had lately, so that no lock is held while rows are made of the calls."""
        if len(self._selections) > _SELECTIONS_MAX:
            self._selections = {}
        # This one, also if another batch begins anew meanwhile.
        known = self._selections
        unknown = [account_id for account_id in account_ids if account_id not in known]
        if unknown:
            known.update(await balances.selected_lists(connection, unknown))
        selections = {account_id: known[account_id] for account_id in account_ids}
        tables = await self._price_book.refresh(connection, self._epoch, selections.values())
        return _Pricing(selections, tables, self._price_book.base)

    async def _confirm(
        self, connection: "asyncpg.Connection[Any]", early: _Pricing, states: Sequence[asyncpg.Record]
    ) -> _Pricing:
        """The pricing that holds for the locked states: the early one if neither a list nor a selection changed."""
        selections = {state["account_id"]: state["rate_list_id"] for state in states}
        # Asked for behind the locks: what was changed before a selection that they show is seen with it.
        self._epoch = await current_epoch(connection)
        tables = await self._price_book.refresh(connection, self._epoch, selections.values())
        if early.tables is tables and early.selections == selections:
            return early
        self._selections.update(selections)
        return _Pricing(selections, tables, self._price_book.base)

    async def _rows(
        self, connection: "asyncpg.Connection[Any]", orders: Sequence[ChargeOrder], pricing: _Pricing
    ) -> CallRows | None:
        """What is to be written if nothing stands in the way of any of these; None if one of them has no price."""
        if not orders:
            return None
        maker = RowMaker()
        call_nos = await self._call_numbers.take(connection, len(orders))
        for count, (order, call_no) in enumerate(zip(orders, call_nos, strict=True), 1):
            rated = rated_at(order, pricing.prices_of(order.path, order.number, order.started_at))
            if rated.unpriced_level is not None:
                return None
            maker.add(booked_call(rated, call_no), rated)
            if count % _ORDERS_AT_A_STRETCH == 0:
                await asyncio.sleep(0)
        return maker.rows()

    async def _one_by_one(
        self,
        connection: "asyncpg.Connection[Any]",
        orders: Sequence[Order],
        states: Sequence[asyncpg.Record],
        pricing: _Pricing,
    ) -> list[Answer]:
        call_ids = [order.call_id for order in orders]
        kept = await hold_store.what_is_kept(connection, call_ids)
        # What is held for calls that are over by now must stand in nobody's way.
        holds = await hold_store.due_holds(connection) if kept.due_holds else {}
        holds.update(await hold_store.find_holds(connection, call_ids) if kept.holds else {})
        states, pricing = await self._lock_also(connection, holds.values(), states, pricing)
        await self._months.see_closed(connection)
        closed_calls = await find_closed_calls(connection, call_ids) if kept.calls and self._months.closed else {}
        batch = CallBatch(
            now=max(state["now"] for state in states),
            rules=self._rules,
            prices_of=pricing.prices_of,
            call_numbers=iter(await self._call_numbers.take(connection, len(orders))),
            standing={
                state["account_id"]: Standing(state["blocked"], balances.available_units(state)) for state in states
            },
            booked=await call_store.find_calls(connection, call_ids) if kept.calls else {},
            holds=holds,
            early_ends=await hold_store.find_early_ends(connection, call_ids) if kept.early_ends else {},
            limits=await limit_store.find_limits(connection, [state["account_id"] for state in states])
            if kept.limits and any(isinstance(order, AuthorizeOrder | ExtendOrder) for order in orders)
            else {},
        )
        batch.expire()
        answers = [
            closed_refusal(order, batch, self._months.closed, closed_calls) or _carry_out(batch, order)
            for order in orders
        ]
        await self._months.make_for(connection, [call.started_at for call, _ in batch.new_calls])
        await self._write(connection, batch)
        return answers

    async def _lock_also(
        self,
        connection: "asyncpg.Connection[Any]",
        holds: Iterable[Hold],
        states: Sequence[asyncpg.Record],
        pricing: _Pricing,
    ) -> tuple[Sequence[asyncpg.Record], _Pricing]:
        """Lock the paths of these holds too; answers all locked states, and the pricing of all of them."""
        missing = {account_id for hold in holds for account_id in hold.path} - {state["account_id"] for state in states}
        if not missing:
            return states, pricing
        states = [*states, *await balances.lock_states(connection, missing)]
        return states, await self._confirm(connection, pricing, states)

    async def _write(self, connection: "asyncpg.Connection[Any]", batch: CallBatch) -> None:
        maker = RowMaker()
        for call, rated in batch.new_calls:
            maker.add(call, rated)
        rows = maker.rows()
        changed = [batch.holds[call_id] for call_id in batch.touched if call_id in batch.holds]
        early = [end for call_id in batch.touched for end in batch.early_ends.get(call_id, {}).values()]
        ended = [call_id for call_id in batch.touched if call_id in batch.booked]
        await call_store.write_calls(connection, rows)
        await hold_store.put_holds(connection, changed)
        await hold_store.put_early_ends(connection, early)
        await hold_store.drop(connection, ended)
        cause = balances.Cause.CALL if rows.calls else balances.Cause.HOLD
        await balances.apply_to_locked(connection, rows.balance_changes(), cause, batch.held_changes)


async def _all_can_be_booked(
    connection: "asyncpg.Connection[Any]", rows: CallRows, states: Sequence[asyncpg.Record]
) -> bool:
    """Whether nothing stands in the way of any of these finished calls, so that their sequence means nothing.

    Amounts are never negative: where everything together fits, every order does.
    """
    for state in states:
        total, available = rows.totals.get(state["account_id"], 0), balances.available_units(state)
        if state["blocked"] or (total and available is not None and total > available):
            return False
    return not await call_store.anything_known(connection, [call.call_id for call in rows.calls])


def _only_finished_calls(orders: Sequence[Order]) -> list[ChargeOrder]:
    """The orders, if all are finished calls with a ``callId`` each; else none of them."""
    finished = [order for order in orders if isinstance(order, ChargeOrder)]
    return finished if len(finished) == len(orders) == len({order.call_id for order in finished}) else []


def _path_of(order: Order) -> tuple[int, ...]:
    """The accounts that an order names. One that names its call alone says nothing of accounts."""
    return order.path if isinstance(order, ChargeOrder | AuthorizeOrder) else ()


def _carry_out(batch: CallBatch, order: Order) -> Answer:
    match order:
        case ChargeOrder():
            return batch.charge(order)
        case AuthorizeOrder():
            return batch.authorize(order)
        case ExtendOrder():
            return batch.extend(order)
        case SettleOrder():
            return batch.settle(order)
