"""What a call costs on paths of other lengths, behind many stored calls, and among many accounts. In process."""

import asyncio
from collections.abc import Sequence

from tests.benchmarks.charging import CALLERS, ORDERS_EACH, batcher_on, in_process
from tests.benchmarks.load import CallLoad
from tests.benchmarks.machine import CpuMeter, cpu_s_of_client
from tests.benchmarks.place import place_with_tree
from tests.benchmarks.report import Options, Report, Row
from tests.benchmarks.rounds import Measured, Way
from tests.benchmarks.tree import CHILDREN_BY_LEVEL

NAME = "growth"

_TIMES = 60
_QUICK_SHARE = 30
# 10,000 customers each, but where the operator itself calls.
_CHILDREN_BY_PATH_LENGTH = {1: (), 3: (100, 100), 5: CHILDREN_BY_LEVEL, 10: (1, 1, 1, 1, 1, *CHILDREN_BY_LEVEL)}
_MILLION_CUSTOMERS = (4, 5, 500, 100)
_STORED_CALLS = (1_000_000, 10_000_000)

_NOTES = (
    "Where the operator itself calls there is one account, so nothing is spread over many rows.",
    "Stored calls were charged by the product itself just before, with ids that grow; they are all in memory.",
    "Among a million customers two levels of a path are accounts that hardly another call of its batch has; of 10,000, "
    "one: that many more rows to change.",
    "A longer path has a charge, a balance and a usage figure more on each level: that much it must cost.",
    "CPU is processor time in milliseconds for each 1,000 calls; `engine` is this process with its rating.",
)


async def run(options: Options) -> Report:
    """Measure each in a database of its own, and audit what is left behind."""
    rows: list[Row] = []
    alarms: list[str] = []
    stored = [1_000] if options.quick else _STORED_CALLS[: 2 if options.large else 1]
    for length, children in _CHILDREN_BY_PATH_LENGTH.items():
        name = f"path of {length}"
        alarms += await _measure(options, rows, name, children, stored if children == CHILDREN_BY_LEVEL else ())
    if options.large:
        alarms += await _measure(options, rows, "path of 5, 1,000,000 customers", _MILLION_CUSTOMERS, ())
    return Report(
        NAME,
        "What a call costs by length of path, stored calls and accounts: 10,000 customers",
        rows,
        _NOTES,
        alarms,
        {
            "rounds": f"{_rounds(options)}, medians; seed {options.seed}; {ORDERS_EACH:,} a time, {CALLERS} in flight",
            "audit": "NOT CLEAN" if alarms else "clean",
        },
    )


def _rounds(options: Options) -> int:
    return 1 if options.quick else options.rounds


async def _measure(
    options: Options, rows: list[Row], name: str, children: Sequence[int], stored: Sequence[int]
) -> list[str]:
    times = _TIMES // _QUICK_SHARE if options.quick else _TIMES
    async with place_with_tree(options.seed, children) as place:
        async with batcher_on(place.url) as batcher:
            meter = CpuMeter({"postgres": place.cpu_s_of_postgres, "engine": cpu_s_of_client})
            load = CallLoad(place.tree, options.seed)
            way = in_process(batcher, load, meter, times)
            await way.measure()
            charged = times * ORDERS_EACH
            for count in (0, *stored):
                while charged < count:
                    await asyncio.gather(*[batcher.charge(load.orders(ORDERS_EACH)) for _ in range(CALLERS)])
                    charged += ORDERS_EACH * CALLERS
                rounds = [await way.measure() for _ in range(_rounds(options))]
                charged += len(rounds) * times * ORDERS_EACH
                behind = f", {count:,} calls stored" if count else ""
                rows.append(_row(Way(f"{name}{behind}", way.measure, rounds)))
        return await place.alarms()


def _row(way: Way) -> Row:
    return {
        "what": way.name,
        "calls/s": way.median(Measured.per_s),
        "CPU engine": way.median(lambda measured: measured.cpu_ms_per_1000("engine")),
        "CPU postgres": way.median(lambda measured: measured.cpu_ms_per_1000("postgres")),
    }
