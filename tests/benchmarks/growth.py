"""What a call costs on paths of other lengths, behind many stored calls, and among many accounts. In process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from billing.batcher import Batcher
from tests.benchmarks.bare_balances import bare_balances
from tests.benchmarks.charging import CALLERS, ORDERS_EACH, batcher_on, in_process
from tests.benchmarks.load import CallLoad
from tests.benchmarks.machine import CpuMeter, cpu_s_of_client
from tests.benchmarks.place import Place, place_with_tree
from tests.benchmarks.proof import Proof, all_of, prove
from tests.benchmarks.report import Options, Report, Row
from tests.benchmarks.rounds import Measured, Way, measure_in_turn
from tests.benchmarks.tree import CHILDREN_BY_LEVEL

NAME = "growth"

_TIMES = 60
_TIMES_ONE = 2_000
_QUICK_SHARE = 30
# 10,000 customers each, but where the operator itself calls.
_CHILDREN_BY_PATH_LENGTH = {1: (), 3: (100, 100), 5: CHILDREN_BY_LEVEL, 10: (1, 1, 1, 1, 1, *CHILDREN_BY_LEVEL)}
_MILLION_CUSTOMERS = (4, 5, 500, 100)
# Of a hundred resellers, as in the tree of 10,000.
_FEW_CUSTOMERS = 10_000
_STORED_CALLS = (1_000_000, 10_000_000)
# Of all that were charged there; behind them five in six of a million customers have called.
_CALLS_OF_A_DAY = 2_000_000
_BARE = "nothing but an UPDATE of the balances"

_NOTES = (
    "Beside each is a new database of 10,000 customers with paths of 5, nothing stored, measured in turn with it: the "
    "ratio is what is to be read, since the machine is faster in one minute than in the next. While a database is new "
    "all that it writes to lies in the caches of the processor.",
    "Where the operator itself calls there is one account, so nothing is spread over many rows.",
    "Stored calls were charged by the product itself just before, with ids that grow; they are all in memory.",
    "One call at a time, no two calls share a batch: each changes the accounts of its own path and nothing is saved. "
    "That is what a call costs by itself, among however many accounts.",
    "In a batch an account changes once for all of its calls, so what a batch saves depends on who calls. 4,000 calls "
    "of 10,000 customers change 3,400 rows of balances instead of 20,000, and of any of a million ones 7,300, each "
    "on a page of its own. At an account's first call its list has to be asked for; behind two million calls five "
    "customers in six have called: later calls. The first call of a day writes the usage of the account's day before.",
    "Nothing but an UPDATE is the least that the balances cost PostgreSQL, 4,000 calls at a time on a copy of their "
    "table: no calls and charges are written, nothing is rated, checked or told. What it costs more among a million "
    "customers than among 10,000 is spared to no design on PostgreSQL with a row for each balance.",
    "A longer path has a charge, a balance and a usage figure more on each level: that much it must cost.",
    "CPU is processor time in milliseconds for each 1,000 calls; `engine` is this process with its rating, which "
    "collects its garbage as a server does.",
)


async def run(options: Options) -> Report:
    """Measure each in a database of its own, and prove what is left behind."""
    rows: list[Row] = []
    proofs: list[Proof] = []
    stored = [1_000] if options.quick else _STORED_CALLS[: 2 if options.large else 1]
    for length, children in _CHILDREN_BY_PATH_LENGTH.items():
        async with _place(options, rows, proofs, children) as growing:
            await growing.measure(f"path of {length}")
            if children == CHILDREN_BY_LEVEL:
                await growing.measure_one_at_a_time(f"path of {length}, one call at a time")
                await growing.measure_bare(f"path of {length}, {_BARE}")
            for count in stored if children == CHILDREN_BY_LEVEL else ():
                await growing.charge_up_to(count)
                await growing.measure(f"path of {length}, {count:,} calls stored")
    if options.large:
        async with _place(options, rows, proofs, _MILLION_CUSTOMERS) as growing:
            customers = growing.place.tree.customers
            growing.load.let_call(customers[:_FEW_CUSTOMERS])
            await growing.measure("path of 5, 1,000,000 customers, 10,000 of them calling")
            growing.load.let_call(customers)
            await growing.measure("path of 5, 1,000,000 customers, first calls")
            await growing.charge_up_to(_CALLS_OF_A_DAY)
            await growing.measure("path of 5, 1,000,000 customers, later calls")
            await growing.measure_one_at_a_time("path of 5, 1,000,000 customers, one call at a time")
            await growing.measure_bare(f"path of 5, 1,000,000 customers, {_BARE}")
            growing.load.let_a_day_pass()
            await growing.measure("path of 5, 1,000,000 customers, first calls of the next day")
    proof = all_of(proofs)
    return Report(
        NAME,
        "What a call costs by length of path, stored calls and accounts: 10,000 customers",
        rows,
        _NOTES,
        proof.alarms,
        {
            "rounds": f"{_rounds(options)}, medians; seed {options.seed}",
            "calls": f"{ORDERS_EACH:,} a time, {CALLERS} in flight, where they are not one at a time",
            **proof.facts,
        },
    )


def _rounds(options: Options) -> int:
    return 1 if options.quick else options.rounds


def _meter(place: Place) -> CpuMeter:
    return CpuMeter({"postgres": place.cpu_s_of_postgres, "engine": cpu_s_of_client})


class _Growing:
    """A database that calls are charged in, and what was measured there. ``load`` is who calls."""

    def __init__(self, options: Options, rows: list[Row], proofs: list[Proof], place: Place, batcher: Batcher) -> None:
        self.place = place
        self.load = CallLoad(place.tree, options.seed)
        self._options = options
        self._rounds = _rounds(options)
        self._divisor = _QUICK_SHARE if options.quick else 1
        self._rows = rows
        self._proofs = proofs
        self._batcher = batcher

    async def measure(self, name: str) -> None:
        """One row."""
        await self._measure(name, _TIMES, ORDERS_EACH, CALLERS)

    async def measure_one_at_a_time(self, name: str) -> None:
        """One row, where no two calls share a batch: each changes the accounts of its path by itself."""
        await self._measure(name, _TIMES_ONE, orders_each=1, callers=1)

    async def _measure(self, name: str, times: int, orders_each: int, callers: int) -> None:
        """In turn with a new database: this machine is faster in one minute than in the next."""
        times //= self._divisor

        def way(place: Place, batcher: Batcher, load: CallLoad) -> Way:
            measured = in_process(batcher, load, _meter(place), times, orders_each=orders_each, callers=callers)
            return Way(name, measured.measure)

        async with place_with_tree(self._options.seed) as new:
            load = CallLoad(new.tree, self._options.seed)
            async with batcher_on(new.url) as batcher:
                beside = way(new, batcher, load)
                here = way(self.place, self._batcher, self.load)
                await measure_in_turn([beside, here], self._rounds)
            # All of these are alike: the simulation goes on from those that grow.
            self._proofs.append(await prove(new, self._options, charged=load.count, simulated=False))
        self._rows.append(_row(here, beside))

    async def measure_bare(self, name: str) -> None:
        """One row: what PostgreSQL alone needs for the balances. Nothing is charged."""
        calls = _TIMES * ORDERS_EACH // self._divisor

        def bare(place: Place) -> AbstractAsyncContextManager[Way]:
            return bare_balances(name, place, CallLoad(place.tree, self._options.seed), _meter(place), calls)

        async with place_with_tree(self._options.seed) as new, bare(new) as beside, bare(self.place) as here:
            await measure_in_turn([beside, here], self._rounds)
        self._rows.append(_row(here, beside))

    async def charge_up_to(self, count: int) -> None:
        """So many calls in all."""
        while self.load.count < count:
            await asyncio.gather(*[self._batcher.charge(self.load.orders(ORDERS_EACH)) for _ in range(CALLERS)])


@asynccontextmanager
async def _place(
    options: Options, rows: list[Row], proofs: list[Proof], children: Sequence[int]
) -> AsyncIterator[_Growing]:
    """A database of its own; what is left behind in it is proved at the end."""
    async with place_with_tree(options.seed, children) as place:
        async with batcher_on(place.url) as batcher:
            growing = _Growing(options, rows, proofs, place, batcher)
            yield growing
        proofs.append(await prove(place, options, charged=growing.load.count))


def _row(way: Way, beside: Way) -> Row:
    per_s, per_s_beside = way.median(Measured.per_s), beside.median(Measured.per_s)
    return {
        "what": way.name,
        "calls/s": per_s,
        "CPU engine": _cpu(way, "engine"),
        "CPU postgres": _cpu(way, "postgres"),
        "beside: calls/s": per_s_beside,
        "beside: CPU engine": _cpu(beside, "engine"),
        "beside: CPU postgres": _cpu(beside, "postgres"),
        "ratio": per_s / per_s_beside,
    }


def _cpu(way: Way, process: str) -> float:
    return way.median(lambda measured: measured.cpu_ms_per_1000(process))
