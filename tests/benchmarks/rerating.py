"""Rerating in process, in steps of 200 calls, each a transaction: what `rerateCalls` and the command line do."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import perf_counter

from sqlalchemy import text

from billing.batcher import Batcher
from billing.charging import ChargingEngine
from billing.price_book import PriceBook
from billing.rerated_call import Finding
from billing.rerating import STEP_CALLS_MAX, RerateScope, rerate_step
from models.database import Database
from tests.benchmarks.load import CallLoad
from tests.benchmarks.machine import CpuMeter, cpu_s_of_client
from tests.benchmarks.place import place_with_tree
from tests.benchmarks.proof import prove
from tests.benchmarks.report import Options, Report
from tests.benchmarks.rounds import Measured, Way, measure_in_turn

NAME = "rerating"

_CALLS = 50_000
_BATCH = 1000
# A part that is whole batches.
_QUICK_SHARE = 25
_OPERATOR_ID = 1
_EVER = RerateScope(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC), _OPERATOR_ID)

_NOTES = (
    "Every call changes on all five levels, since every base rate was raised: the most that there can be to write.",
    "Nothing else is charged meanwhile. A step holds the operator's row while it writes, so charging waits for it.",
    "CPU is processor time in milliseconds for each 1,000 calls; `client` is the process that rates.",
)


async def run(options: Options) -> Report:
    """Measure a dry run, the same for good, and the same again, in turn, and prove what is left behind."""
    rounds = 1 if options.quick else options.rounds
    calls = _CALLS // _QUICK_SHARE if options.quick else _CALLS
    async with place_with_tree(options.seed) as place:
        database = Database(place.url)
        try:
            batcher = Batcher(database, ChargingEngine(PriceBook()))
            load = CallLoad(place.tree, options.seed)
            for _ in range(calls // _BATCH):
                await batcher.charge(load.orders(_BATCH))
            await batcher.close()
            meter = CpuMeter({"postgres": place.cpu_s_of_postgres, "client": cpu_s_of_client})
            ways = _ways(database, meter, calls)
            await measure_in_turn(ways, rounds)
        finally:
            await database.close()
        proof = await prove(place, options, charged=load.count)
        return Report(
            NAME,
            f"Rerating {calls:,} calls of 10,000 customers on five levels",
            [
                {
                    "what": way.name,
                    "calls/s": way.median(Measured.per_s),
                    "p50 ms a step": way.median_of_known(lambda measured: measured.percentile_ms(50)),
                    "p99 ms a step": way.median_of_known(lambda measured: measured.percentile_ms(99)),
                    "CPU postgres": way.median(lambda measured: measured.cpu_ms_per_1000("postgres")),
                    "CPU client": way.median(lambda measured: measured.cpu_ms_per_1000("client")),
                }
                for way in ways
            ],
            _NOTES,
            proof.alarms,
            {
                "rounds": f"{rounds}, medians; seed {options.seed}; steps of {STEP_CALLS_MAX}",
                "postgres": place.description,
                **proof.facts,
            },
        )


def _ways(database: Database, meter: CpuMeter, calls: int) -> list[Way]:
    price_book = PriceBook()

    def rerate(expected: Finding, author_id: int | None) -> Callable[[], Awaitable[Measured]]:
        async def measure() -> Measured:
            if expected is Finding.CHANGED and author_id is None:
                await _raise_base_rates(database)
            latencies_s = []
            meter.start()
            begun_at, after = perf_counter(), None
            while True:
                step_at = perf_counter()
                step = await rerate_step(database, price_book, _EVER, after, author_id=author_id)
                latencies_s.append(perf_counter() - step_at)
                if step.found[expected] < step.scanned * 0.9:
                    raise RuntimeError(f"expected {expected}, found {step.found}")
                after = step.after
                if after is None:
                    return Measured(calls, perf_counter() - begun_at, meter.taken_s(), latencies_s)

        return measure

    return [
        Way("dry run, every call would change", rerate(Finding.CHANGED, None)),
        Way("every call changes", rerate(Finding.CHANGED, _OPERATOR_ID)),
        Way("again: every call is right", rerate(Finding.RIGHT, _OPERATOR_ID)),
    ]


async def _raise_base_rates(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE pricing_epoch SET epoch = epoch + 1"))
        await tx.execute(
            text(
                "UPDATE rates SET price_per_minute_e8 = price_per_minute_e8 * 11 / 10, epoch = pricing_epoch.epoch "
                "FROM pricing_epoch WHERE rate_list_id = (SELECT id FROM rate_lists WHERE is_base)"
            )
        )
