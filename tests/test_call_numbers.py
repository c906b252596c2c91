"""Numbers of calls grow, however many are taken at a time."""

from billing.call_store import CallNumbers
from models.database import Database
from models.tables import CALL_NO_BLOCK


async def test_numbers_of_several_blocks_grow_and_come_once(db: Database) -> None:
    numbers, of_another_process = CallNumbers(), CallNumbers()
    async with db.charging_connection() as connection:
        taken = [*await numbers.take(connection, 2 * CALL_NO_BLOCK + 1), *await numbers.take(connection, CALL_NO_BLOCK)]
        others = await of_another_process.take(connection, 1)
    assert len(taken) == 3 * CALL_NO_BLOCK + 1
    assert taken == sorted(set(taken))
    assert not set(others) & set(taken)
