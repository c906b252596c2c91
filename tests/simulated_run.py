"""A simulation over two server processes on one database, in which there may be anything already."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from sqlalchemy import text

from models.database import Database
from tests.raw_connection import connected
from tests.server_process import server_processes
from tests.simulated_races import Simulation
from tests.stored_ledger import stored_deck


@asynccontextmanager
async def simulation_of(seed: int, database_url: str, db: Database, folder: Path) -> AsyncIterator[Simulation]:
    """A simulation over two servers, which log nothing but that holds have expired. ``folder`` is for their logs.

    The ledger begins with the operator as it is and with its rates. An operator that is there already is ``operator``
    with the usual password.
    """
    async with connected(database_url) as connection:
        deck = await stored_deck(connection)
    async with (
        # Holds last until the simulation lets their time pass.
        server_processes(database_url, folder, 2, hold_ttl_s=86_400) as servers,
        httpx.AsyncClient(base_url=servers[0].address, timeout=60) as one,
        httpx.AsyncClient(base_url=servers[1].address, timeout=60) as other,
    ):
        simulation = Simulation(seed, [one, other])
        simulation.pass_time = functools.partial(pass_time, db)
        await simulation.begin(deck)
        yield simulation
        logged = [line for server in servers for line in server.log().splitlines()]
        assert [line for line in logged if "expired_holds_freed" not in line] == []


async def pass_time(db: Database, call_ids: list[str]) -> None:
    """These holds are due; whichever server looks first frees them."""
    values = {"call_ids": call_ids}
    due = text("UPDATE holds SET expires_at = expires_at - interval '2 days' WHERE call_id = ANY(:call_ids)")
    async with db.transaction() as tx:
        await tx.execute(due, values)
    left = text("SELECT count(*) FROM holds WHERE call_id = ANY(:call_ids) AND expires_at IS NOT NULL")
    async with asyncio.timeout(30), db.read() as connection:
        while (await connection.execute(left, values)).scalar_one():  # noqa: ASYNC110 - only the table says it
            await asyncio.sleep(0.05)
