"""Holds: calls that are authorised and settled over HTTP, many in a request and one by one."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.http_client import send_all, send_at_a_rate
from tests.benchmarks.load import CallLoad
from tests.benchmarks.machine import CpuMeter, cpu_s_of_client, cpu_s_of_process
from tests.benchmarks.place import place_with_tree
from tests.benchmarks.proof import prove
from tests.benchmarks.report import Options, Report, Row
from tests.benchmarks.rounds import Measured, Way, measure_in_turn
from tests.server_process import server_process

NAME = "holds"

# A quick run does this part of the work.
_QUICK_SHARE = 20
_CONNECTIONS_MAX = 256

_WANTED = "5,000 pairs/s in requests of 500; p99 under 50 ms at 500 single requests/s"
_NOTES = (
    "A pair is one call that is authorised (a first slice held at five levels, the operator on every path) and "
    "settled (charged at five levels). First all are authorised, then all are settled.",
    "Nobody is blocked, limited or short of credit, and no callId comes twice: each call finds its credit free.",
    "At 500 requests a second they come at set times, answered or not, and wait for one of "
    f"{_CONNECTIONS_MAX} connections; the latency has that in it.",
    "The client shares the cores with the server and the database; its bodies are made before the clock starts.",
    "CPU is processor time in milliseconds for each 1,000 pairs or authorisations.",
)

_AUTHORIZED_CALLS = b'"authorizeCalls":{"duplicates":0,"refused":[],"errors":[],"authorizations":[{'
_AUTHORIZED_CALL = b'"authorizeCall":{"duplicate":false,"authorization":{'

_Sent = Awaitable[tuple[float, list[float]]]


async def run(options: Options) -> Report:
    """Measure all of it in turn, several rounds, and prove what is left behind."""
    rounds = 1 if options.quick else options.rounds
    async with place_with_tree(options.seed) as place:
        async with server_process(place.url, place.folder / "server.log") as server:
            meter = CpuMeter(
                {
                    "server": lambda: cpu_s_of_process(server.process.pid),
                    "postgres": place.cpu_s_of_postgres,
                    "client": cpu_s_of_client,
                }
            )
            load = CallLoad(place.tree, options.seed)
            ways = _ways(_OverHttp(server.address, load, meter), options)
            await measure_in_turn(ways, rounds)
        proof = await prove(place, options, charged=load.count)
        return Report(
            NAME,
            "Authorising and settling calls: 10,000 customers, five levels, one operator",
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


def _rows(ways: Sequence[Way]) -> list[Row]:
    return [
        {
            "what": way.name,
            "a second": way.median(Measured.per_s),
            "p50 ms": way.median_of_known(lambda measured: measured.percentile_ms(50)),
            "p99 ms": way.median_of_known(lambda measured: measured.percentile_ms(99)),
            "CPU server": way.median(lambda measured: measured.cpu_ms_per_1000("server")),
            "CPU postgres": way.median(lambda measured: measured.cpu_ms_per_1000("postgres")),
            "CPU client": way.median(lambda measured: measured.cpu_ms_per_1000("client")),
        }
        for way in ways
    ]


def _ways(http: "_OverHttp", options: Options) -> list[Way]:
    share = _QUICK_SHARE if options.quick else 1
    return [
        http.pairs(60 // share, calls_each=500, in_flight=4),
        http.pairs(2_000 // share, calls_each=1, in_flight=64),
        http.authorizations(4_000 // share, in_flight=64),
        http.authorizations(500 // share, in_flight=1),
        http.authorizations_at_a_rate(5_000 // share, per_s=500),
    ]


@dataclass(frozen=True)
class _OverHttp:
    """Ways through a running server."""

    address: str
    load: CallLoad
    meter: CpuMeter

    def pairs(self, requests: int, *, calls_each: int, in_flight: int) -> Way:
        """Requests of so many calls: `authorizeCalls`, then `settleCalls` for the same calls."""

        async def measure() -> Measured:
            asked, ended = self.load.held_calls_requests(requests, calls_each)
            self.meter.start()
            held_in_s, latencies_s = await send_all(
                self.address, asked, in_flight=in_flight, expected=_AUTHORIZED_CALLS
            )
            ended_in_s, more_latencies_s = await self._settle(ended, calls_each, in_flight)
            latencies_s += more_latencies_s
            return Measured(requests * calls_each, held_in_s + ended_in_s, self.meter.taken_s(), latencies_s)

        return Way(f"pairs, {calls_each} a request, {in_flight} in flight", measure)

    def authorizations(self, requests: int, *, in_flight: int) -> Way:
        """`authorizeCall`, so many in flight."""
        return self._authorizations(
            f"authorizeCall, {in_flight} in flight",
            requests,
            lambda asked: send_all(self.address, asked, in_flight=in_flight, expected=_AUTHORIZED_CALL),
        )

    def authorizations_at_a_rate(self, requests: int, *, per_s: int) -> Way:
        """`authorizeCall`, so many a second."""
        return self._authorizations(
            f"authorizeCall, {per_s} requests a second",
            requests,
            lambda asked: send_at_a_rate(
                self.address, asked, per_s=per_s, connections_max=_CONNECTIONS_MAX, expected=_AUTHORIZED_CALL
            ),
        )

    def _authorizations(self, name: str, requests: int, send: Callable[[list[bytes]], _Sent]) -> Way:
        async def measure() -> Measured:
            asked, ended = self.load.held_call_requests(requests)
            self.meter.start()
            seconds, latencies_s = await send(asked)
            measured = Measured(requests, seconds, self.meter.taken_s(), latencies_s)
            await self._settle(ended, None, 1)
            return measured

        return Way(name, measure)

    async def _settle(self, ended: list[bytes], calls_each: int | None, in_flight: int) -> tuple[float, list[float]]:
        settled = b'"settleCalls":{"settled":' if calls_each is None else b'{"settled":%d,"duplicates":0,' % calls_each
        return await send_all(self.address, ended, in_flight=in_flight, expected=settled)
