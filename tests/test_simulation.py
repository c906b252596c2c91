"""Random trees, credit, blocks, rates, lists and calls through the API of two server processes on one database.

After every step all accounts are compared with the reference ledger, and at the end the audit is clean.

A failure says the seed. TOLLPATH_TEST_SEED replays it; TOLLPATH_TEST_SIMULATION_S goes on for so many seconds a seed,
however many steps that are.
"""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from models.database import Database
from models.migrations.run import migrate
from resolvers.audit import audit
from tests.reference_ledger import Ledger
from tests.simulated_run import simulation_of

SEEDS = [int(os.environ["TOLLPATH_TEST_SEED"])] if "TOLLPATH_TEST_SEED" in os.environ else [2, 7, 9]
SECONDS = float(os.environ.get("TOLLPATH_TEST_SIMULATION_S", 0))
# Of a run in the suite, where nothing else is asked for: enough for every kind of step, on a slow machine not too long.
STEPS_MIN, STEPS_MAX = 60, 100
STEPS_SECONDS_MAX = 8
# An operator that has done nothing yet.
NEW_OPERATOR = {
    "username": "operator",
    "balance": "0.00000",
    "held": "0.00000",
    "available": None,
    "creditLimit": None,
    "blocked": False,
    "usage": {"calls": 0, "durationSeconds": 0, "charged": "0.00000"},
}


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_product_agrees_with_the_reference_ledger(
    seed: int, database_url: str, db: Database, tmp_path: Path
) -> None:
    print(f"\nTOLLPATH_TEST_SEED={seed}")
    async with simulation_of(seed, database_url, db, tmp_path) as simulation:
        assert (simulation.found, simulation.accounts_found) == (NEW_OPERATOR, 0)
        begun = time.monotonic()
        try:
            while goes_on(len(simulation.taken), time.monotonic() - begun):
                await simulation.step()
        finally:
            print(
                f"{len(simulation.taken)} steps, {len(simulation.ledger.accounts)} accounts, "
                f"{simulation.depth_max + 1} levels, {time.monotonic() - begun:.1f} s; "
                f"the last: {simulation.taken[-5:]}; calls: {dict(simulation.outcomes)}"
            )
    if len(simulation.taken) >= STEPS_MIN:
        assert simulation.missing() == set()
    assert await usage_days(db) == usage_days_of(simulation.ledger)
    report = await audit(db)
    assert report.differences == ()
    assert (report.accounts, report.calls) == (len(simulation.ledger.accounts), len(simulation.ledger.booked))


async def test_a_seed_replays_the_same_steps_with_the_same_choices(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    await migrate(empty_database_url)
    first, again = [await choices_of(SEEDS[0], 30, url, tmp_path) for url in (database_url, empty_database_url)]
    assert again == first


async def choices_of(seed: int, steps: int, database_url: str, folder: Path) -> tuple[Any, ...]:
    """All that was chosen in so many steps, but for times: calls start relative to the present."""
    db = Database(database_url)
    try:
        async with simulation_of(seed, database_url, db, folder) as simulation:
            for _ in range(steps):
                await simulation.step()
    finally:
        await db.close()
    calls = [(call.call_id, call.username, call.number, call.duration_s) for call in simulation.calls]
    return simulation.taken, calls, simulation.credits, list(simulation.ledger.accounts), simulation.random.getstate()


def goes_on(steps: int, seconds: float) -> bool:
    """Whether another step is taken."""
    return seconds < SECONDS if SECONDS else steps < STEPS_MIN or (steps < STEPS_MAX and seconds < STEPS_SECONDS_MAX)


async def usage_days(db: Database) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Calls, seconds and units of each account on each day."""
    statement = text(
        "SELECT username, CAST(day AS text) AS day, CAST(sum(calls) AS int) AS calls, "
        "CAST(sum(duration_s) AS int) AS duration_s, CAST(sum(charged_units) AS bigint) AS charged_units "
        "FROM usage_parts JOIN accounts ON accounts.id = account_id WHERE day IS NOT NULL GROUP BY username, day"
    )
    async with db.read() as connection:
        rows = await connection.execute(statement)
        return {(row.username, row.day): (row.calls, row.duration_s, row.charged_units) for row in rows}


def usage_days_of(ledger: Ledger) -> dict[tuple[str, str], tuple[int, int, int]]:
    """The same from the ledger."""
    return {
        (username, day.isoformat()): (int(figures[0]), int(figures[1]), int(figures[2] * 10**5))
        for username, account in ledger.accounts.items()
        for day, figures in account.usage.items()
    }
