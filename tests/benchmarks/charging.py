"""Charging: over HTTP, in process, and one transaction a call, in turn on one database."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import perf_counter

from billing.batcher import Batcher
from billing.charge_order import ChargeOrder
from billing.charging import ChargingEngine
from billing.errors import Refusal
from billing.price_book import PriceBook
from models.database import Database
from server import garbage_collection
from tests.benchmarks.http_client import send_all
from tests.benchmarks.load import CallLoad
from tests.benchmarks.machine import CpuMeter, cpu_s_of_client, cpu_s_of_process
from tests.benchmarks.pgbench import Pgbench
from tests.benchmarks.place import place_with_tree
from tests.benchmarks.proof import prove
from tests.benchmarks.report import Options, Report, Row
from tests.benchmarks.rounds import Measured, Way, measure_in_turn
from tests.server_process import server_process

NAME = "charging"

BASELINE = "pgbench, one transaction a call"
_PGBENCH_CLIENTS = (8, 16, 32)
ORDERS_EACH = 1000
CALLERS = 12
# A quick run does this part of the work.
_QUICK_SHARE = 20

_WANTED = "`chargeCall` 4,000/s, p99 under 200 ms, a lone one under 5 ms; where pgbench makes 2,900: 1.4 times that"
_NOTES = (
    "Every call is new, rated (9,000 prefixes, four discounts on its path), checked for credit and charged at five "
    "levels, the operator on every path. Nobody is blocked or short of credit, and but in one row no callId comes "
    "twice.",
    "One call of a thousand that is reported twice stands for all that keeps a call from being charged with the "
    "others: it was charged before, or its account is blocked, short of credit or without a price.",
    "The client shares the cores with the server and the database; its bodies are made before the clock starts.",
    "callIds grow as those of a switch do. Random ones (UUIDs) touch more pages of the index once there are millions.",
    "The engine in process collects its garbage as a server does, who settles it when it begins to serve.",
    "A round lasts some seconds and the tables hold some million rows at most: this is not the speed after a month.",
    "pgbench finds its prices without rating and tells no listeners: it does less than a call of the product. But "
    "usage has a row of its own on each level there, as in the product when the targets were set (docs/adr/0031).",
    "CPU is processor time in milliseconds for each 1,000 calls; `client` is whoever asks: the HTTP client, the engine "
    "in process with its rating, or pgbench.",
)


async def run(options: Options) -> Report:
    """Measure all of it in turn, several rounds, and prove what is left behind."""
    rounds = 1 if options.quick else options.rounds
    async with place_with_tree(options.seed) as place:
        async with (
            server_process(place.url, place.folder / "server.log") as server,
            batcher_on(place.url) as batcher,
        ):
            load, pgbench = CallLoad(place.tree, options.seed), Pgbench(place.url, place.folder)
            meter = CpuMeter(
                {
                    "server": lambda: cpu_s_of_process(server.process.pid),
                    "postgres": place.cpu_s_of_postgres,
                    "client": cpu_s_of_client,
                }
            )
            ways = _ways(pgbench, load, meter, server.address, batcher, options)
            await measure_in_turn(ways, rounds)
        proof = await prove(place, options, charged=load.count, baseline=pgbench.charged)
        return Report(
            NAME,
            "Charging calls: 10,000 customers, five levels, one operator",
            _rows(ways),
            _NOTES,
            proof.alarms,
            {
                "rounds": f"{rounds}, medians; seed {options.seed}",
                "wanted": _WANTED,
                "postgres": place.description,
                **proof.facts,
            },
        )


def _ways(
    pgbench: Pgbench, load: CallLoad, meter: CpuMeter, address: str, batcher: Batcher, options: Options
) -> list[Way]:
    share = _QUICK_SHARE if options.quick else 1
    http = _OverHttp(address, load, meter)
    return [
        http.charge_calls(200 // share, calls_each=1000, in_flight=16),
        http.charge_calls(400 // share, calls_each=100, in_flight=16),
        http.charge_calls(10_000 // share, calls_each=1, in_flight=256),
        http.charge_call(10_000 // share, in_flight=256),
        http.charge_call(1_000 // share, in_flight=1),
        in_process(batcher, load, meter, 200 // share),
        in_process(batcher, load, meter, 200 // share, reported_twice=True),
        *(one_transaction_a_call(pgbench, meter, clients, 1 if options.quick else 5) for clients in _PGBENCH_CLIENTS),
    ]


def _rows(ways: Sequence[Way]) -> list[Row]:
    best = max(way.median(Measured.per_s) for way in ways if way.name.startswith(BASELINE))
    return [
        {
            "what": way.name,
            "calls/s": way.median(Measured.per_s),
            "x pgbench": way.median(Measured.per_s) / best,
            "p50 ms": way.median_of_known(lambda measured: measured.percentile_ms(50)),
            "p99 ms": way.median_of_known(lambda measured: measured.percentile_ms(99)),
            "CPU server": way.median(lambda measured: measured.cpu_ms_per_1000("server")),
            "CPU postgres": way.median(lambda measured: measured.cpu_ms_per_1000("postgres")),
            "CPU client": way.median(lambda measured: measured.cpu_ms_per_1000("client")),
        }
        for way in ways
    ]


@dataclass(frozen=True)
class _OverHttp:
    """Ways through a running server."""

    address: str
    load: CallLoad
    meter: CpuMeter

    def charge_calls(self, requests: int, *, calls_each: int, in_flight: int) -> Way:
        """`chargeCalls`, so many calls in each request."""
        return self._way(
            f"chargeCalls, {calls_each:,} a request, {in_flight} in flight",
            lambda: self.load.charge_calls_requests(requests, calls_each),
            calls_each,
            in_flight,
            b'{"charged":%d,"duplicates":0,"unrated":0,"refused":[],"errors":[]}' % calls_each,
        )

    def charge_call(self, requests: int, *, in_flight: int) -> Way:
        """`chargeCall`, one call in each request."""
        return self._way(
            f"chargeCall, {in_flight} in flight",
            lambda: self.load.charge_call_requests(requests),
            1,
            in_flight,
            b'"chargeCall":{"duplicate":false,',
        )

    def _way(
        self, name: str, requests: Callable[[], list[bytes]], calls_each: int, in_flight: int, expected: bytes
    ) -> Way:
        async def measure() -> Measured:
            ready = requests()
            self.meter.start()
            seconds, latencies_s = await send_all(self.address, ready, in_flight=in_flight, expected=expected)
            return Measured(calls_each * len(ready), seconds, self.meter.taken_s(), latencies_s)

        return Way(name, measure)


def in_process(
    batcher: Batcher,
    load: CallLoad,
    meter: CpuMeter,
    times: int,
    *,
    orders_each: int = ORDERS_EACH,
    callers: int = CALLERS,
    reported_twice: bool = False,
) -> Way:
    """The engine without HTTP: so many times ``orders_each``, by ``callers`` who wait for their answers.

    ``reported_twice``: one of each of these orders was charged before.
    """
    reported = load.orders(1) if reported_twice else []

    async def charge_some(waiting: list[list[ChargeOrder]]) -> None:
        while waiting:
            outcomes = await batcher.charge(waiting.pop())
            for outcome in outcomes:
                if isinstance(outcome, Refusal):
                    raise RuntimeError(f"refused: {outcome!r}")

    async def measure() -> Measured:
        if reported_twice:
            await charge_some([reported])
        waiting = [[*load.orders(orders_each - len(reported)), *reported] for _ in range(times)]
        with _garbage_collected_as_in_a_server():
            meter.start()
            begun_at = perf_counter()
            await asyncio.gather(*(charge_some(waiting) for _ in range(callers)))
            return Measured(times * orders_each, perf_counter() - begun_at, meter.taken_s())

    name = f"engine in process, {orders_each:,} a time, {callers} in flight"
    return Way(f"{name}, one of them reported twice" if reported_twice else name, measure)


def one_transaction_a_call(pgbench: Pgbench, meter: CpuMeter, clients: int, seconds: int) -> Way:
    """The baseline."""

    async def measure() -> Measured:
        meter.start()
        done = await pgbench.run(clients=clients, seconds=seconds)
        return Measured(done.transactions, done.transactions / done.per_s, meter.taken_s())

    return Way(f"{BASELINE}, {clients} clients", measure)


@asynccontextmanager
async def batcher_on(url: str) -> AsyncIterator[Batcher]:
    database = Database(url)
    batcher = Batcher(database, ChargingEngine(PriceBook()))
    try:
        yield batcher
    finally:
        await batcher.close()
        await database.close()


@contextmanager
def _garbage_collected_as_in_a_server() -> Iterator[None]:
    thresholds = gc.get_threshold()
    garbage_collection.settle()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
