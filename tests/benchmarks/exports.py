"""Exports of a million calls: rows a second, the first byte, and how much memory the server takes for them.

The operator's calls, so every row has an account name, a call and the operator's own charge looked up; a server process
of its own, and a client that only counts.
"""

from dataclasses import dataclass
from time import perf_counter

import httpx

from billing import tokens
from tests.benchmarks.machine import cpu_s_of_process
from tests.benchmarks.place import Place, place_with_tree
from tests.benchmarks.report import Options, Report
from tests.memory import peak_bytes, reset_peak, resident_bytes
from tests.raw_connection import connected
from tests.server_process import server_process

NAME = "exports"

_CALLS = 1_000_000
_CALLS_QUICK = 5_000
_FILES = ("calls.csv", "calls.xlsx")
# Of a range of time, as it is mostly asked for.
_ALL = "?since=2026-01-01T00:00:00Z"

_NOTES = (
    "client and database run on the same cores as the server, so the server's processor time is the figure to compare",
    "memory is what the server process takes at most beyond what it had before, after a small export of each format",
    "an XLSX file is finished before its first byte is sent: until then it is on disk",
)

# Calls in the order of time, spread over all customers; the levels between the operator and a customer do not matter.
_WRITE = """
WITH numbered AS (
    SELECT n, account_id, timestamptz '2026-01-01' + n * interval '1 second' AS started_at
      FROM generate_series(1, $1::int) AS n
      JOIN (SELECT id AS account_id, row_number() OVER (ORDER BY id) AS position FROM accounts
             WHERE cardinality(path) = 5) AS customers ON position = n % 10000 + 1
), booked AS (
    INSERT INTO calls (account_id, started_at, call_no, call_id, number, prefix, destination, duration_s, billed_s,
                       charged_units, status)
    SELECT account_id, started_at, n, 'switch 7, ' || n, (43664000000 + n)::text, '43664', 'Austria mobile A1',
           n % 600, n % 600, n % 100000, 'CHARGED'
      FROM numbered
)
INSERT INTO charges (account_id, started_at, call_no, customer_id, amount_units, price_per_minute_e8, billed_s)
SELECT 1, started_at, n, account_id, n % 50000, 5000000, n % 600 FROM numbered
"""


@dataclass(frozen=True)
class _Measured:
    seconds: float
    first_byte_s: float
    cpu_s: float
    sent_bytes: int
    memory_bytes: int


async def run(options: Options) -> Report:
    """One export of each format."""
    calls = _CALLS_QUICK if options.quick else _CALLS
    async with place_with_tree(options.seed) as place:
        token = await _fill(place, calls)
        async with (
            server_process(place.url, place.folder / "server.log") as server,
            httpx.AsyncClient(base_url=server.address, timeout=None) as client,
        ):
            client.headers["authorization"] = f"Bearer {token}"
            for file in _FILES:
                await _measure(client, server.process.pid, f"{file}?until=2026-01-01T00:10:00Z")
            measured = {file: await _measure(client, server.process.pid, file + _ALL) for file in _FILES}
    return Report(
        NAME,
        f"Export of {calls:,} calls of the operator",
        [
            {
                "file": file,
                "rows/s": calls / one.seconds,
                "seconds": one.seconds,
                "first byte s": one.first_byte_s,
                "server CPU s": one.cpu_s,
                "MB": one.sent_bytes / 1e6,
                "peak memory MB": one.memory_bytes / 1e6,
            }
            for file, one in measured.items()
        ],
        _NOTES,
        facts={"postgres": place.description},
    )


async def _fill(place: Place, calls: int) -> str:
    """Write the calls; a token of the operator that may read."""
    secret = tokens.new_secret()
    async with connected(place.url) as connection:
        await connection.execute(_WRITE, calls, timeout=600)
        await connection.execute(
            "INSERT INTO tokens (account_id, kind, secret_digest, name, scopes) VALUES (1, 'API', $1, 'x', '{READ}')",
            tokens.digest(secret),
        )
        await connection.execute("VACUUM ANALYZE calls, charges", timeout=600)
    return secret


async def _measure(client: httpx.AsyncClient, pid: int, file: str) -> _Measured:
    reset_peak(pid)
    memory, cpu_s, begun_at = resident_bytes(pid), cpu_s_of_process(pid), perf_counter()
    first_byte_s, sent = 0.0, 0
    async with client.stream("GET", f"/export/{file}") as response:
        response.raise_for_status()
        async for block in response.aiter_raw():
            first_byte_s = first_byte_s or perf_counter() - begun_at
            sent += len(block)
    return _Measured(
        perf_counter() - begun_at, first_byte_s, cpu_s_of_process(pid) - cpu_s, sent, peak_bytes(pid) - memory
    )
