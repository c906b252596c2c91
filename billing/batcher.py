"""Group commit: whatever calls are waiting are charged as one batch, in one transaction.

A batch is what has gathered while the one before it was being written, so a lone call waits for nobody and a busy
moment makes large batches by itself; there is no timer.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import asyncpg
import structlog

from billing.charge_order import ChargeOrder, Outcome
from billing.charging import ChargingEngine
from billing.errors import CallFailed
from billing.orders import Answer, Order
from models.database import Database
from models.outage import is_database_outage

# Deadlocks cannot happen among batches (locks are ordered), but other writers may still collide with one.
_TRANSIENT = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
_ATTEMPTS_MAX = 3

# Besides an outage, what is no order's fault: dividing the batch would only ask the database again.
_NO_ORDERS_FAULT = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InterfaceError,
)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Group:
    """Orders that came in one request. They are never split, so they are charged in their sequence."""

    orders: Sequence[Order]
    answer: "asyncio.Future[list[Answer]]"


class Batcher:
    """Gathers orders of many requests into batches. One per process.

    Where much waits, ``batches_at_once`` 3 lets one batch be rated and another write its history while a third is
    behind the operator's row, which every call touches; more would only queue there. A large batch writes less for
    each call: those of one account lie together, and the accounts at the top change once. A batch begins beside another
    one where ``orders_beside`` wait: fewer would mostly wait for the operator's row, and many small transactions cost
    more than one that has gathered them.
    """

    def __init__(
        self,
        database: Database,
        engine: ChargingEngine,
        *,
        batch_orders: int = 4000,
        batches_at_once: int = 3,
        orders_beside: int = 500,
    ) -> None:
        self._database = database
        self._engine = engine
        self._batch_orders = batch_orders
        self._batches_at_once = batches_at_once
        self._orders_beside = orders_beside
        self._waiting: deque[_Group] = deque()
        self._waiting_orders = 0
        self._workers: set[asyncio.Task[None]] = set()

    async def charge(self, orders: Sequence[ChargeOrder]) -> list[Outcome]:
        """`submit` of finished calls."""
        return cast("list[Outcome]", await self.submit(orders))

    async def submit(self, orders: Sequence[Order]) -> list[Answer]:
        """Carry out these orders in their sequence; answers when they are committed, one answer an order.

        Raises whatever the database raised if it is not known that they are committed; the same orders may then be
        given again, since a ``callId`` counts once.
        """
        if not orders:
            return []
        group = _Group(orders, asyncio.get_running_loop().create_future())
        self._waiting.append(group)
        self._waiting_orders += len(orders)
        if not self._workers or (
            len(self._workers) < self._batches_at_once and self._waiting_orders >= self._orders_beside
        ):
            self._workers.add(asyncio.create_task(self._work()))
        return await group.answer

    async def free_expired(self) -> int:
        """Free what is held for calls whose time is over, by the database's clock; answers how many there were."""
        freed = 0
        async with self._database.charging_connection() as connection:
            while found := await self._engine.free_expired(connection):
                freed += found
        return freed

    async def close(self) -> None:
        """Finish what is waiting."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def _work(self) -> None:
        try:
            await self._work_while_waiting()
        finally:
            # Here and not in a callback: between the last look at the queue and this line nothing else runs, so
            # an order that comes next finds either a worker that will look again or none at all.
            task = asyncio.current_task()
            assert task is not None
            self._workers.discard(task)

    async def _work_while_waiting(self) -> None:
        while self._waiting:
            batch = self._next_batch()
            try:
                await self._charge_batch(batch)
            except BaseException as error:
                for group in batch:
                    if not group.answer.done():
                        group.answer.set_exception(
                            error if isinstance(error, Exception) else RuntimeError("charging was stopped")
                        )
                if not isinstance(error, Exception):
                    raise

    def _next_batch(self) -> list[_Group]:
        batch = [self._waiting.popleft()]
        size = len(batch[0].orders)
        while self._waiting and size + len(self._waiting[0].orders) <= self._batch_orders:
            group = self._waiting.popleft()
            size += len(group.orders)
            batch.append(group)
        self._waiting_orders -= size
        return batch

    async def _charge_batch(self, batch: Sequence[_Group]) -> None:
        outcomes = iter(await self._apply_or_divide([order for group in batch for order in group.orders]))
        for group in batch:
            answer = list(islice(outcomes, len(group.orders)))
            # A caller that has gone no longer waits; its calls are charged all the same.
            if not group.answer.done():
                group.answer.set_result(answer)

    async def _apply_or_divide(self, orders: Sequence[Order]) -> list[Answer]:
        """Apply; where that fails because of an order, halve the batch until it is alone, so it fails alone."""
        try:
            return await self._apply(orders)
        except Exception as error:
            if is_database_outage(error) or isinstance(error, _NO_ORDERS_FAULT):
                raise
            if len(orders) == 1:
                _log.error("call_not_charged", call_id=orders[0].call_id, error=repr(error))
                return [CallFailed(orders[0].call_id)]
        middle = len(orders) // 2
        return [*await self._apply_or_divide(orders[:middle]), *await self._apply_or_divide(orders[middle:])]

    async def _apply(self, orders: Sequence[Order]) -> list[Answer]:
        for _ in range(_ATTEMPTS_MAX - 1):
            try:
                return await self._apply_once(orders)
            except _TRANSIENT as error:
                _log.warning("batch_retried", orders=len(orders), error=repr(error))
        return await self._apply_once(orders)

    async def _apply_once(self, orders: Sequence[Order]) -> list[Answer]:
        async with self._database.charging_connection() as connection:
            return await self._engine.apply(connection, orders)
