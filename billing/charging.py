"""Applying a batch of orders of calls: finished ones to charge, and holds for those that run.

One batch is one transaction. It locks the state of the operator first, then of every account on every path; since each
path begins at the operator, batches wait there for each other, and what they read behind that lock (balances, selected
lists, booked ``callId``s, holds) cannot change under them. Finished calls that can be charged together are made ready
and mostly written before that lock, and checked behind it; everything else is done behind it, one order after the
other, also those of a batch that something is in the way of (docs/adr/0022). Paths that become known only there, of
calls that a switch settles by their ``callId``, are locked then: the order of locks below the operator's no longer
matters, since whoever else locks a state row locks that one alone.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, cast

import asyncpg

from billing import balances, call_store, hold_store, limit_store
from billing.batch_pricing import BatchPricing
from billing.batch_rating import RatedTogether, booked_calls, rated_together
from billing.call_batch import CallBatch
from billing.call_months import CallMonths
from billing.call_rows import call_rows, rows_of_rated, totals_of
from billing.call_store import CallNumbers
from billing.charge_order import Booked, ChargeOrder
from billing.closed_calls import closed_refusal, find_closed_calls
from billing.columns import rows_of
from billing.hold_order import (
    DEFAULT_HOLD_RULES,
    AuthorizeOrder,
    ExtendOrder,
    Hold,
    HoldRules,
    SettleOrder,
)
from billing.obstacles import NOTHING, Obstacles, Parted, part
from billing.orders import Answer, Order
from billing.price_book import PriceBook
from billing.pricing import Pricing
from billing.standing import Standing

# Something was in the way of a batch, as it may be of the next ones: these look before anything is written that would
# have to be rolled back, which costs ten times as much.
_LOOK_FIRST = 10


class _InTheWay(Exception):
    """More is in the way of a batch than was seen."""


class ChargingEngine:
    """Applies batches of orders. One per process; the connection comes from the caller."""

    def __init__(self, price_book: PriceBook, rules: HoldRules = DEFAULT_HOLD_RULES) -> None:
        self._pricing = BatchPricing(price_book)
        self._rules = rules
        self._call_numbers = CallNumbers()
        self._months = CallMonths()
        # How many more batches begin with looking for what is in the way.
        self._look_first = 0
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
        finished = [order for order in orders if isinstance(order, ChargeOrder)]
        closed = await self._months.make_for(connection, [order.started_at for order in finished])
        # Of few finished calls, charging them by themselves takes more answers to wait for than it saves.
        if not closed and (len(finished) == len(orders) or len(finished) > call_store.FEW_CALLS):
            answers = await self._mostly_together(connection, orders, finished)
            if answers is not None:
                return answers
        operator_id = await self._operator(connection)
        async with connection.transaction():
            states = await balances.lock_states(connection, {operator_id, *_accounts_of(orders)})
            pricing = await self._pricing.behind_locks(connection, states)
            return await self._one_by_one(connection, orders, states, pricing)

    async def free_expired(self, connection: "asyncpg.Connection[Any]") -> int:
        """Free what is held for calls whose time is over; answers how many it found, at most 1,000 at a time."""
        if not await hold_store.due_holds(connection):
            return 0
        async with connection.transaction():
            states = await balances.lock_states(connection, [await self._operator(connection)])
            due = await hold_store.due_holds(connection)
            await self._one_by_one(connection, [], states, await self._pricing.behind_locks(connection, states))
        return len(due)

    async def _operator(self, connection: "asyncpg.Connection[Any]") -> int:
        if self._operator_id is None:
            self._operator_id = await balances.operator_id(connection)
        return self._operator_id

    async def _mostly_together(
        self, connection: "asyncpg.Connection[Any]", orders: Sequence[Order], finished: Sequence[ChargeOrder]
    ) -> list[Answer] | None:
        """Charge the finished calls among the orders together, but for those that something is in the way of, and then
        carry out the other orders. None if all are to be taken one by one; then nothing has changed.
        """
        look = self._look_first > 0
        answers = await self._attempt(connection, orders, finished, look=look)
        if answers is None and not look and len(orders) > call_store.FEW_CALLS:
            answers = await self._attempt(connection, orders, finished, look=True)
        return answers

    async def _attempt(
        self,
        connection: "asyncpg.Connection[Any]",
        orders: Sequence[Order],
        finished: Sequence[ChargeOrder],
        *,
        look: bool,
    ) -> list[Answer] | None:
        """Whatever takes long is done before the operator's row is locked: the rating, by the lists that everybody had
        lately, and most of the writing. Behind the lock it is found out whether it was right.

        While one batch is made ready another one holds the lock: its next statement must not wait for all of it.
        """
        # Each answer that is waited for is a good part of what a few calls cost.
        is_few = len(orders) <= call_store.FEW_CALLS
        if look and not is_few:
            await self._pricing.look(connection)
        pricing = await self._pricing.early(connection, finished)
        rated = rated_together(finished, pricing)
        if rated is None:
            return None
        await asyncio.sleep(0)
        obstacles = await _obstacles(connection, rated, pricing) if look else NOTHING
        parted = part(orders, rated, obstacles)
        is_worth_it = parted.together.orders and not (is_few and parted.kept_back)
        answers = await self._charge_parted(connection, parted, pricing) if is_worth_it else None
        if answers is not None and obstacles == NOTHING:
            self._look_first = max(self._look_first - 1, 0)
        else:
            self._look_first = 1 if is_few else _LOOK_FIRST
        return answers

    async def _charge_parted(
        self, connection: "asyncpg.Connection[Any]", parted: Parted, pricing: Pricing
    ) -> list[Answer] | None:
        """In one transaction what can be charged together, and then one by one what is kept back."""
        together = parted.together
        count = len(together.orders)
        calls = booked_calls(together, await self._call_numbers.take(connection, count))
        await asyncio.sleep(0)
        rows = call_rows(calls, together.levels)
        operator_id = await self._operator(connection)
        try:
            async with connection.transaction():
                charge = balances.BatchCharge(
                    connection, rows.totals, pricing.selections, rows.keys.call_ids, rows.usage
                )
                if count > call_store.FEW_CALLS:
                    await charge.bind()
                await call_store.book(connection, rows, operator_id)
                epoch = await charge.carry_out()
                if epoch is None or not await self._pricing.holds_at(epoch, connection, pricing):
                    raise _InTheWay
                answers_one_by_one = await self._kept_back(connection, operator_id, parted, pricing)
        except (_InTheWay, asyncpg.UniqueViolationError):
            return None
        answers = cast("list[Answer]", rows_of(Booked, calls, repeat(False)))
        # From the first place on, so each finds those before it in theirs.
        for position, answer in sorted(zip(parted.positions, answers_one_by_one, strict=True), key=itemgetter(0)):
            answers.insert(position, answer)
        return answers

    async def _kept_back(
        self, connection: "asyncpg.Connection[Any]", operator_id: int, parted: Parted, pricing: Pricing
    ) -> list[Answer]:
        """Behind the operator's lock. Raises: _InTheWay: the others may not be charged before these."""
        if not parted.kept_back:
            return []
        states = await balances.lock_states(connection, {operator_id, *_accounts_of(parted.kept_back)})
        pricing_now = await self._pricing.behind_locks(connection, states)
        if not parted.is_as_thought(pricing.selections, pricing_now.selections, _standing(states)):
            raise _InTheWay
        return await self._one_by_one(connection, parted.kept_back, states, pricing_now)

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
            standing=_standing(states),
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
        return states, await self._pricing.behind_locks(connection, states)

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


async def _obstacles(connection: "asyncpg.Connection[Any]", rated: RatedTogether, pricing: Pricing) -> Obstacles:
    """What is in the way of these calls as of now, with nothing locked."""
    return Obstacles(
        await balances.in_the_way(connection, totals_of(rated.levels), pricing.selections),
        await call_store.known_call_ids(connection, [order.call_id for order in rated.orders]),
    )


def _standing(states: Iterable[asyncpg.Record]) -> dict[int, Standing]:
    return {state["account_id"]: Standing(state["blocked"], balances.available_units(state)) for state in states}


def _accounts_of(orders: Iterable[Order]) -> set[int]:
    """The accounts that orders name. One that names its call alone says nothing of accounts."""
    named = [order.path for order in orders if isinstance(order, ChargeOrder | AuthorizeOrder)]
    return set(chain.from_iterable(named))


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
