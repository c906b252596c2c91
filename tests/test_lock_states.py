"""Locking many accounts where others have locked the operator."""

import asyncio

import pytest

from billing import balances
from models.database import Database
from tests.charging_world import ChargingWorld, charging_world

WAITING = """
SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.mark.parametrize("count", [2, 30])
async def test_accounts_are_answered_as_whoever_was_waited_for_left_them(db: Database, count: int) -> None:
    async with charging_world(db) as world:
        members = [world.operator, *[await world.customer(f"c{n}", of=world.operator) for n in range(count - 1)]]
        ids = [member.id for member in members]
        locking = asyncio.Event()
        async with db.charging_connection() as first, first.transaction():
            await balances.lock_states(first, ids)
            waiter = asyncio.create_task(locked(db, ids, locking))
            await locking.wait()
            query = await waiting_query(world)
            await first.execute("UPDATE account_state SET balance_units = account_id WHERE account_id = ANY($1)", ids)
        assert await waiter == [(id_, id_) for id_ in ids]
    # What waits is about one row: a statement about many would ask of each changed one whether it is among them.
    assert ("ANY" in query) is (count == 2)


async def locked(db: Database, ids: list[int], locking: asyncio.Event) -> list[tuple[int, int]]:
    """Account and balance of each."""
    async with db.charging_connection() as connection, connection.transaction():
        locking.set()
        states = await balances.lock_states(connection, reversed(ids))
        return [(state["account_id"], state["balance_units"]) for state in states]


async def waiting_query(world: ChargingWorld) -> str:
    """The statement that waits for a lock, as soon as one does."""
    async with asyncio.timeout(10):
        while not (rows := await world.select(WAITING)):  # noqa: ASYNC110 - only the table says it
            await asyncio.sleep(0.02)
    ((query,),) = rows
    return str(query)
