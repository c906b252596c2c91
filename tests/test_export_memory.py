"""An export takes the same memory, however many rows it has: a server process of its own, looked at by the kernel."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy import text

from billing.accounts import create_customer
from billing.call_months import CallMonths
from models.database import Database
from tests.graphql_client import LOGIN, PASSWORD
from tests.memory import peak_bytes, reset_peak, resident_bytes
from tests.server_process import ServerProcess, server_process

CALLS = 200_000
# As many rows in memory, or in one string, take several times this.
GROWTH_BYTES_MAX = 16_000_000

WRITE_CALLS = """
WITH called AS (
    SELECT n, timestamptz '2026-01-01' + n * interval '1 s' AS started_at FROM generate_series(1, :calls) AS n
), booked AS (
    INSERT INTO calls (account_id, started_at, call_no, call_id, number, prefix, destination, duration_s, billed_s,
                       charged_units, status)
    SELECT :account_id, started_at, n, 'switch 7, call ' || n, CAST(431000000 + n AS text), '43', 'Austria', 60, 60, n,
           'CHARGED'
      FROM called
)
INSERT INTO charges (account_id, started_at, call_no, customer_id, amount_units, price_per_minute_e8, billed_s)
SELECT level, started_at, n, :account_id, n, 1000 * n, 60 FROM called, unnest(ARRAY[1, :account_id]) AS level
"""


async def test_two_hundred_thousand_calls_take_no_more_memory_than_a_few(database_url: str, tmp_path: Path) -> None:
    async with server_process(database_url, tmp_path / "server.log") as server:
        await write_calls(database_url)
        async with httpx.AsyncClient(base_url=server.address, timeout=600) as client:
            body = {"query": LOGIN, "variables": {"input": {"username": "operator", "password": PASSWORD}}}
            token = (await client.post("/graphql", json=body)).json()["data"]["login"]["token"]
            client.headers["authorization"] = f"Bearer {token}"

            csv_growth, lines = await growth_bytes(client, server, "calls.csv", "")
            # A quarter of them: XlsxWriter is slow, and would keep more of each row than a CSV file does.
            xlsx_growth, _ = await growth_bytes(client, server, "calls.xlsx", "?since=2026-01-02T17:40:00Z")

    assert lines == CALLS + 1
    assert csv_growth < GROWTH_BYTES_MAX
    assert xlsx_growth < GROWTH_BYTES_MAX


async def growth_bytes(client: httpx.AsyncClient, server: ServerProcess, file: str, chosen: str) -> tuple[int, int]:
    """How much more memory an export took at its peak than the server had after a small one; the lines of the file."""
    await lines_of(client, f"{file}?until=2026-01-01T00:20:00Z")
    reset_peak(server.process.pid)
    before = resident_bytes(server.process.pid)
    lines = await lines_of(client, f"{file}{chosen}")
    return peak_bytes(server.process.pid) - before, lines


async def lines_of(client: httpx.AsyncClient, file: str) -> int:
    """Read a file without keeping it."""
    lines = 0
    async with client.stream("GET", f"/export/{file}") as response:
        assert response.status_code == 200
        async for block in response.aiter_raw():
            lines += block.count(b"\n")
    return lines


async def write_calls(database_url: str) -> None:
    """A customer of the operator with all these calls, written behind everybody's back."""
    database = Database(database_url)
    try:
        async with database.charging_connection() as connection:
            await CallMonths().make_for(connection, [datetime(2026, 1, 1, tzinfo=UTC)])
        async with database.transaction() as tx:
            created = await create_customer(tx, reseller_id=1, author_id=1, username="keytyh", password_hash="")
            await tx.execute(text(WRITE_CALLS), {"calls": CALLS, "account_id": created.id})
            await tx.execute(text("ANALYZE calls, charges"))
    finally:
        await database.close()
