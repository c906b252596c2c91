"""The least that the balances of a batch cost PostgreSQL: one UPDATE of their rows, and nothing else of charging.

It is done to a copy of them, so the books stay right.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

from billing.charge_order import ChargeOrder
from billing.int_arrays import int_array
from models.database import Database
from tests.benchmarks.load import CallLoad
from tests.benchmarks.machine import CpuMeter
from tests.benchmarks.place import Place
from tests.benchmarks.rounds import Measured, Way
from tests.raw_connection import connected

# As many as the product gathers into one transaction, and as many transactions as it has at once.
_CALLS_EACH = 4_000
_AT_ONCE = 3

_OPTIONS = "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = 'account_state'::regclass"
_COPY = """
CREATE TABLE bare_balances (LIKE account_state INCLUDING INDEXES) WITH ({options});
INSERT INTO bare_balances SELECT * FROM account_state ORDER BY account_id;
"""
# In ascending id, so that the operator's row is the first that a transaction waits for.
_CHARGE = """
UPDATE bare_balances AS state SET balance_units = balance_units - units, version = version + 1
FROM unnest($1::text::bigint[], $2::text::bigint[]) AS change (account_id, units)
WHERE state.account_id = change.account_id
"""


@asynccontextmanager
async def bare_balances(name: str, place: Place, load: CallLoad, meter: CpuMeter, calls: int) -> AsyncIterator[Way]:
    """A way to take so many calls off a copy of the balances of this place, each level by one unit a call."""
    async with connected(place.url) as connection:
        await connection.execute(_COPY.format(options=await connection.fetchval(_OPTIONS)))
        await connection.execute("VACUUM ANALYZE bare_balances")
        database = Database(place.url)

        async def change_some(waiting: list[tuple[str, str]]) -> None:
            async with database.charging_connection() as connection:
                while waiting:
                    await connection.execute(_CHARGE, *waiting.pop())

        async def measure() -> Measured:
            waiting = [_change(load.orders(_CALLS_EACH)) for _ in range(-(-calls // _CALLS_EACH))]
            count = len(waiting) * _CALLS_EACH
            meter.start()
            begun_at = perf_counter()
            await asyncio.gather(*(change_some(waiting) for _ in range(_AT_ONCE)))
            return Measured(count, perf_counter() - begun_at, meter.taken_s())

        try:
            yield Way(name, measure)
        finally:
            await database.close()
            await connection.execute("DROP TABLE bare_balances")


def _change(orders: Sequence[ChargeOrder]) -> tuple[str, str]:
    units = Counter(account_id for order in orders for account_id in order.path)
    return int_array(sorted(units)), int_array([units[account_id] for account_id in sorted(units)])
