"""Which orders become one batch, and when one begins beside another: with an engine that holds every batch."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from billing.batcher import Batcher
from billing.charging import ChargingEngine
from models.database import Database

BESIDE, BATCH_ORDERS, AT_ONCE = 5, 8, 2


class HoldingEngine:
    """Notes the size of each batch, and keeps it until it is let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.go = asyncio.Event()

    async def apply(self, _connection: object, orders: Sequence[str]) -> Sequence[str]:
        self.sizes.append(len(orders))
        await self.go.wait()
        return orders


class NoDatabase:
    @asynccontextmanager
    async def charging_connection(self) -> AsyncIterator[None]:
        yield


@pytest.fixture
async def engine() -> HoldingEngine:
    return HoldingEngine()


@pytest.fixture
async def batcher(engine: HoldingEngine) -> Batcher:
    return Batcher(
        cast("Database", NoDatabase()),
        cast("ChargingEngine", engine),
        batch_orders=BATCH_ORDERS,
        batches_at_once=AT_ONCE,
        orders_beside=BESIDE,
    )


async def submitted(batcher: Batcher, *sizes: int) -> list["asyncio.Task[list[Any]]"]:
    """Requests of so many orders each, on their way."""
    given: Any = [[f"{number}.{order}" for order in range(size)] for number, size in enumerate(sizes)]
    tasks = [asyncio.create_task(batcher.submit(orders)) for orders in given]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_few_wait_for_the_batch_before_them_and_become_one(batcher: Batcher, engine: HoldingEngine) -> None:
    tasks = await submitted(batcher, 1) + await submitted(batcher, 1, 1, BESIDE - 3)
    assert engine.sizes == [1]
    engine.go.set()
    await asyncio.gather(*tasks)
    assert engine.sizes == [1, BESIDE - 1]


async def test_many_begin_beside_it_as_far_as_that_helps(batcher: Batcher, engine: HoldingEngine) -> None:
    tasks = await submitted(batcher, 1) + await submitted(batcher, 1, BESIDE - 1)
    assert engine.sizes == [1, BESIDE]
    tasks += await submitted(batcher, BATCH_ORDERS, 2, 2)
    assert engine.sizes == [1, BESIDE]
    engine.go.set()
    answers = await asyncio.gather(*tasks)
    assert engine.sizes == [1, BESIDE, BATCH_ORDERS, 4]
    assert [len(answer) for answer in answers] == [1, 1, BESIDE - 1, BATCH_ORDERS, 2, 2]


async def test_those_who_are_gone_are_counted_until_their_batch_begins(batcher: Batcher, engine: HoldingEngine) -> None:
    (first,) = await submitted(batcher, 1)
    (gone,) = await submitted(batcher, BESIDE - 1)
    gone.cancel()
    others = await submitted(batcher, 1)
    assert engine.sizes == [1, BESIDE]
    again = await submitted(batcher, BESIDE - 1)
    assert engine.sizes == [1, BESIDE]
    engine.go.set()
    await asyncio.gather(first, *others, *again)
    assert engine.sizes == [1, BESIDE, BESIDE - 1]
