"""Applying a batch of orders of calls: finished ones to charge, and holds for those that run.

One batch is one transaction. It locks the state of the operator first, then of every account on every path; since each
path begins at the operator, batches wait there for each other, and what they read behind that lock (balances, selected
lists, booked ``callId``s, holds) cannot change under them. Finished calls that can all be charged are made ready and
mostly written before that lock, and checked behind it (docs/adr/0022); everything else is done behind it. Paths that
become known only there, of calls that a switch settles by their ``callId``, are locked then: the order of locks below
the operator's no longer matters, since whoever else locks a state row locks that one alone.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, cast

import asyncpg
import numpy as np

from billing import balances, call_store, hold_store, limit_store
from billing.batch_rating import booked_calls, rated_together
from billing.call_batch import CallBatch
from billing.call_months import CallMonths
from billing.call_rows import CallRows, account_ids_of, call_rows, int64s, rows_of_rated
from billing.call_store import CallNumbers
from billing.charge_order import Booked, ChargeOrder, Outcome
from billing.closed_calls import closed_refusal, find_closed_calls
from billing.columns import rows_of
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
from billing.pricing import Pricing
from billing.selected_lists import UNKNOWN, SelectedLists
from billing.standing import Standing

Order = ChargeOrder | AuthorizeOrder | ExtendOrder | SettleOrder
Answer = Outcome | Authorization | EndPending | Refusal


class _InTheWay(Exception):
    """Not all calls of a batch can be charged together."""


class ChargingEngine:
    """Applies batches of orders. One per process; the connection comes from the caller."""

    def __init__(self, price_book: PriceBook, rules: HoldRules = DEFAULT_HOLD_RULES) -> None:
        self._price_book = price_book
        self._rules = rules
        self._call_numbers = CallNumbers()
        self._months = CallMonths()
        self._selected_lists = SelectedLists()
        # Something stood in the way of the last batch, as it may of the next: then it is looked for before anything
        # is written that would have to be rolled back.
        self._look_first = False
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
        if finished:
            booked = await self._all_together(connection, finished)
            self._look_first = booked is None
            if booked is not None:
                return booked
        account_ids = {account_id for order in orders for account_id in _path_of(order)}
        account_ids.add(await self._operator(connection))
        async with connection.transaction():
            states = await balances.lock_states(connection, account_ids)
            return await self._one_by_one(connection, orders, states, await self._pricing(connection, states))

    async def free_expired(self, connection: "asyncpg.Connection[Any]") -> int:
        """Free what is held for calls whose time is over; answers how many it found, at most 1,000 at a time."""
        if not await hold_store.due_holds(connection):
            return 0
        async with connection.transaction():
            states = await balances.lock_states(connection, [await self._operator(connection)])
            due = await hold_store.due_holds(connection)
            await self._one_by_one(connection, [], states, await self._pricing(connection, states))
        return len(due)

    async def _operator(self, connection: "asyncpg.Connection[Any]") -> int:
        if self._operator_id is None:
            self._operator_id = await balances.operator_id(connection)
        return self._operator_id

    async def _all_together(
        self, connection: "asyncpg.Connection[Any]", orders: Sequence[ChargeOrder]
    ) -> list[Answer] | None:
        """Charge finished calls with a ``callId`` each, so that their sequence means nothing, if all can be charged.

        None if something stands in the way of one of them; then nothing has changed. Whatever takes long is done
        before the operator's row is locked: the rating, by the lists that everybody had lately, and most of the
        writing. Behind the lock it is found out whether it was right.
        """
        pricing = await self._early_pricing(connection, orders)
        call_nos = await self._call_numbers.take(connection, len(orders))
        rows = await _rows(orders, call_nos, pricing)
        if rows is None or (self._look_first and not await _all_can_be_booked(connection, rows, pricing)):
            return None
        operator_id = await self._operator(connection)
        try:
            async with connection.transaction():
                charge = balances.BatchCharge(
                    connection, rows.totals, pricing.selections, rows.keys.call_ids, rows.usage
                )
                if len(orders) > call_store.FEW_CALLS:
                    await charge.bind()
                await call_store.book(connection, rows, operator_id)
                epoch = await charge.carry_out()
                if epoch is None or not await self._holds_at(epoch, connection, pricing):
                    raise _InTheWay
        except (_InTheWay, asyncpg.UniqueViolationError):
            return None
        return cast("list[Answer]", rows_of(Booked, rows.calls, repeat(False)))

    async def _early_pricing(self, connection: "asyncpg.Connection[Any]", orders: Sequence[ChargeOrder]) -> Pricing:
        """The lists that the accounts of these orders had lately."""
        account_ids = np.unique(account_ids_of([order.path for order in orders])[1])
        list_ids = self._selected_lists.of(account_ids)
        are_unknown = list_ids == UNKNOWN
        if are_unknown.any():
            unknown = account_ids[are_unknown].tolist()
            found = await balances.selected_lists(connection, unknown)
            list_ids[are_unknown] = [found[account_id] for account_id in unknown]
            self._selected_lists.remember(account_ids[are_unknown], list_ids[are_unknown])
        selections = dict(zip(account_ids.tolist(), list_ids.tolist(), strict=True))
        tables = await self._price_book.refresh(connection, self._epoch, selections.values())
        return Pricing(selections, tables, self._price_book.base)

    async def _holds_at(self, epoch: int, connection: "asyncpg.Connection[Any]", pricing: Pricing) -> bool:
        """Whether no list has changed since."""
        self._epoch = epoch
        return await self._price_book.refresh(connection, epoch, pricing.selections.values()) is pricing.tables

    async def _pricing(self, connection: "asyncpg.Connection[Any]", states: Sequence[asyncpg.Record]) -> Pricing:
        """The pricing that holds for the locked states."""
        selections = {state["account_id"]: state["rate_list_id"] for state in states}
        # Asked for behind the locks: what was changed before a selection that they show is seen with it.
        self._epoch = await current_epoch(connection)
        tables = await self._price_book.refresh(connection, self._epoch, selections.values())
        self._selected_lists.remember(int64s(list(selections)), int64s(list(selections.values())))
        return Pricing(selections, tables, self._price_book.base)

    async def _one_by_one(
        self,
        connection: "asyncpg.Connection[Any]",
        orders: Sequence[Order],
        states: Sequence[asyncpg.Record],
        pricing: Pricing,
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
        pricing: Pricing,
    ) -> tuple[Sequence[asyncpg.Record], Pricing]:
        """Lock the paths of these holds too; answers all locked states, and the pricing of all of them."""
        missing = {account_id for hold in holds for account_id in hold.path} - {state["account_id"] for state in states}
        if not missing:
            return states, pricing
        states = [*states, *await balances.lock_states(connection, missing)]
        return states, await self._pricing(connection, states)

    async def _write(self, connection: "asyncpg.Connection[Any]", batch: CallBatch) -> None:
        rows = rows_of_rated(batch.new_calls)
        changed = [batch.holds[call_id] for call_id in batch.touched if call_id in batch.holds]
        early = [end for call_id in batch.touched for end in batch.early_ends.get(call_id, {}).values()]
        ended = [call_id for call_id in batch.touched if call_id in batch.booked]
        if rows.calls:
            await call_store.book(connection, rows, await self._operator(connection))
        await hold_store.put_holds(connection, changed)
        await hold_store.put_early_ends(connection, early)
        await hold_store.drop(connection, ended)
        await balances.apply_to_locked(
            connection, rows.balance_changes(), balances.Cause.CALL, batch.held_changes, rows.usage
        )


async def _rows(orders: Sequence[ChargeOrder], call_nos: Sequence[int], pricing: Pricing) -> CallRows | None:
    """What is to be written of these calls; None if they have to be rated one by one.

    While one batch is made ready another one holds the locks: its next statement must not have to wait for all of it.
    """
    rated = rated_together(orders, pricing)
    if rated is None:
        return None
    await asyncio.sleep(0)
    calls = booked_calls(orders, call_nos, rated)
    await asyncio.sleep(0)
    return call_rows(calls, rated.levels)


async def _all_can_be_booked(connection: "asyncpg.Connection[Any]", rows: CallRows, pricing: Pricing) -> bool:
    """Whether nothing seems to stand in the way of these calls, with nothing locked."""
    if not await balances.all_stand(connection, rows.totals, pricing.selections):
        return False
    return not await call_store.anything_known(connection, rows.keys.call_ids)


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
