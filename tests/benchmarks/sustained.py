"""`chargeCalls` over HTTP for a minute without a pause, with the baseline before it and behind it."""

from collections.abc import Sequence
from dataclasses import replace

from tests.benchmarks.charging import one_transaction_a_call
from tests.benchmarks.http_client import send_all, send_for
from tests.benchmarks.load import CallLoad
from tests.benchmarks.machine import CpuMeter, cpu_s_of_client, cpu_s_of_process
from tests.benchmarks.pgbench import Pgbench
from tests.benchmarks.place import place_with_tree
from tests.benchmarks.proof import prove
from tests.benchmarks.report import Options, Report, Row
from tests.benchmarks.rounds import Measured, Way
from tests.server_process import server_process

NAME = "sustained"

_SECONDS = 60
_CALLS_EACH = 1000
_IN_FLIGHT = 16
_WARM_UP_REQUESTS = 60
# The bodies are made before the clock starts: so many times what the warm-up would need.
_REQUESTS_ENOUGH = 2
_EXPECTED = b'{"charged":%d,"duplicates":0,"unrated":0,"refused":[],"errors":[]}' % _CALLS_EACH

_WANTED = "25,000 calls/s where pgbench makes 2,900, 8.6 times that"
_NOTES = (
    "One round: a minute holds what shorter ones leave out (full pages in the log, checkpoints, vacuum).",
    "The last tenth of the requests says whether it slows down as the tables grow.",
    "The client shares the cores with the server and the database.",
    "Behind the minute the baseline meets tables with over a million calls; before it, empty ones.",
    "CPU is processor time in milliseconds for each 1,000 calls.",
)


async def run(options: Options) -> Report:
    """Measure a minute, and prove what is left behind."""
    seconds = 2 if options.quick else _SECONDS
    async with place_with_tree(options.seed) as place:
        async with server_process(place.url, place.folder / "server.log") as server:
            meter = CpuMeter(
                {
                    "server": lambda: cpu_s_of_process(server.process.pid),
                    "postgres": place.cpu_s_of_postgres,
                    "client": cpu_s_of_client,
                }
            )
            load, pgbench = CallLoad(place.tree, options.seed), Pgbench(place.url, place.folder)
            baseline = one_transaction_a_call(pgbench, meter, 8, 1 if options.quick else 5)
            before = replace(baseline, name=f"{baseline.name}, before", rounds=[await baseline.measure()])
            requests = load.charge_calls_requests(_WARM_UP_REQUESTS, _CALLS_EACH)
            warm_s, _ = await send_all(server.address, requests, in_flight=_IN_FLIGHT, expected=_EXPECTED)
            enough = int(_WARM_UP_REQUESTS / warm_s * seconds * _REQUESTS_ENOUGH) + _WARM_UP_REQUESTS
            requests = load.charge_calls_requests(enough, _CALLS_EACH)
            meter.start()
            took_s, latencies_s = await send_for(
                server.address, requests, seconds=seconds, in_flight=_IN_FLIGHT, expected=_EXPECTED
            )
            measured = Measured(_CALLS_EACH * len(latencies_s), took_s, meter.taken_s(), latencies_s)
            after = replace(baseline, name=f"{baseline.name}, behind", rounds=[await baseline.measure()])
        # More calls were made up than there was time for.
        charged = _CALLS_EACH * _WARM_UP_REQUESTS + measured.calls
        proof = await prove(place, options, charged=charged, baseline=pgbench.charged)
    name = f"chargeCalls, {_CALLS_EACH:,} a request, {_IN_FLIGHT} in flight, {seconds} s"
    tenth = latencies_s[-max(len(latencies_s) // 10, 1) :]
    return Report(
        NAME,
        f"Charging calls over HTTP for {seconds} s: 10,000 customers, five levels, one operator",
        [*_rows([Way(name, baseline.measure, [measured]), before, after])],
        _NOTES,
        proof.alarms,
        {
            "calls": f"{measured.calls:,}",
            "calls/s of the last tenth": f"{_CALLS_EACH * _IN_FLIGHT * len(tenth) / sum(tenth):,.0f}",
            "wanted": _WANTED,
            "postgres": place.description,
            **proof.facts,
        },
    )


def _rows(ways: Sequence[Way]) -> list[Row]:
    best = max(way.rounds[0].per_s() for way in ways[1:])
    return [
        {
            "what": way.name,
            "calls/s": way.rounds[0].per_s(),
            "x pgbench": way.rounds[0].per_s() / best,
            "p50 ms": way.rounds[0].percentile_ms(50),
            "p99 ms": way.rounds[0].percentile_ms(99),
            "CPU server": way.rounds[0].cpu_ms_per_1000("server"),
            "CPU postgres": way.rounds[0].cpu_ms_per_1000("postgres"),
            "CPU client": way.rounds[0].cpu_ms_per_1000("client"),
        }
        for way in ways
    ]
