"""Workers: the same calls charged by one server process, and by two on one port."""

from tests.benchmarks.http_client import send_all
from tests.benchmarks.load import CallLoad
from tests.benchmarks.machine import CpuMeter, cpu_s_of_client, cpu_s_of_family
from tests.benchmarks.place import place_with_tree
from tests.benchmarks.proof import prove
from tests.benchmarks.report import Options, Report, Row
from tests.benchmarks.rounds import Measured, Way, measure_in_turn
from tests.server_process import ServerProcess, server_process

NAME = "workers"

_QUICK_SHARE = 20

_WANTED = "no slower in total than one process"
_NOTES = (
    "Each call is charged at five levels, through one hot account at the top. Both servers run all the time, on one "
    "database; one rests while the other is measured.",
    "The client and the database share the cores with the workers: on two cores a second worker has nothing to run on. "
    "What counts here is that it costs nothing.",
    "CPU is processor time in milliseconds for each 1,000 calls, of all processes of a server together.",
)


async def run(options: Options) -> Report:
    """Measure both in turn, several rounds, and prove what is left behind."""
    rounds = 1 if options.quick else options.rounds
    async with place_with_tree(options.seed) as place:
        load = CallLoad(place.tree, options.seed)
        async with (
            server_process(place.url, place.folder / "one.log") as one,
            server_process(place.url, place.folder / "two.log", workers=2) as two,
        ):

            def way(name: str, server: ServerProcess, requests: int, calls_each: int | None, in_flight: int) -> Way:
                meter = CpuMeter(
                    {
                        "server": lambda: cpu_s_of_family(server.process.pid),
                        "postgres": place.cpu_s_of_postgres,
                        "client": cpu_s_of_client,
                    }
                )

                async def measure() -> Measured:
                    count = requests // (_QUICK_SHARE if options.quick else 1)
                    if calls_each is None:
                        asked, expected = load.charge_call_requests(count), b'"chargeCall":{"duplicate":false,"call":{'
                    else:
                        asked = load.charge_calls_requests(count, calls_each)
                        expected = b'"charged":%d,"duplicates":0,"unrated":0,"refused":[]' % calls_each
                    meter.start()
                    seconds, latencies_s = await send_all(server.address, asked, in_flight=in_flight, expected=expected)
                    return Measured(count * (calls_each or 1), seconds, meter.taken_s(), latencies_s)

                return Way(name, measure)

            ways = [
                way("500 calls a request, 1 process", one, 60, 500, 4),
                way("500 calls a request, 2 workers", two, 60, 500, 4),
                way("one call a request, 256 in flight, 1 process", one, 5_000, None, 256),
                way("one call a request, 256 in flight, 2 workers", two, 5_000, None, 256),
            ]
            await measure_in_turn(ways, rounds)
        proof = await prove(place, options, charged=load.count)
        return Report(
            NAME,
            "Charging calls over HTTP with one server process and with two",
            [_row(way, ways[number // 2 * 2]) for number, way in enumerate(ways)],
            _NOTES,
            proof.alarms,
            {
                "rounds": f"{rounds}, medians; seed {options.seed}",
                "wanted": _WANTED,
                "postgres": place.description,
                **proof.facts,
            },
        )


def _row(way: Way, beside: Way) -> Row:
    return {
        "what": way.name,
        "calls/s": way.median(Measured.per_s),
        "of one process": way.median(Measured.per_s) / beside.median(Measured.per_s),
        "p99 ms": way.median_of_known(lambda measured: measured.percentile_ms(99)),
        "CPU server": way.median(lambda measured: measured.cpu_ms_per_1000("server")),
        "CPU postgres": way.median(lambda measured: measured.cpu_ms_per_1000("postgres")),
    }
