"""A subscription that lives long must not grow: graphql-core keeps something of every event, our executor does not."""

import gc
import sys
from collections.abc import AsyncIterator

import strawberry
from graphql import parse
from graphql.execution import Executor, subscribe
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.execution import EventExecutor


@strawberry.type
class Balance:
    account: str
    balance: str


@strawberry.type
class Query:
    name: str = "tollpath"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def balance_changed(self) -> AsyncIterator[Balance]:
        while True:
            yield Balance(account="keytyh*good", balance="9.25000")


SCHEMA = strawberry.Schema(Query, subscription=Subscription)
DOCUMENT = parse("subscription { balanceChanged { account balance } }")


async def growth_blocks(executor_class: type[Executor], events: int) -> int:
    """Blocks of memory more in use after ``events`` events of one subscription than after its first hundred."""
    results = subscribe(SCHEMA._schema, DOCUMENT, executor_class=executor_class)
    if not hasattr(results, "__anext__"):
        results = await results
    for _ in range(100):
        result = await anext(results)
    assert result.errors is None
    assert result.data == {"balanceChanged": {"account": "keytyh*good", "balance": "9.25000"}}
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(events):
        await anext(results)
    gc.collect()
    growth = sys.getallocatedblocks() - before
    await results.aclose()
    return growth


async def test_fifty_thousand_events_leave_nothing_behind() -> None:
    assert await growth_blocks(EventExecutor, 50_000) < 5_000


async def test_the_installed_graphql_core_still_keeps_something_of_every_event() -> None:
    """When this fails, graphql-core is mended: the override of the sub-fields' memory in `EventExecutor` may go."""
    assert await growth_blocks(StrawberryGraphQLCoreExecutionContext, 2_000) > 5 * 2_000
