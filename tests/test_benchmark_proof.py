"""What proves the books behind a benchmark: clean data passes, and each thing that may be wrong is found."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest

from billing.errors import Refusal
from models.database import Database
from resolvers.audit import audit
from tests.benchmarks import charging, rerating
from tests.benchmarks.charging import batcher_on
from tests.benchmarks.load import CallLoad
from tests.benchmarks.place import Place, fill
from tests.benchmarks.proof import Proof, all_of, prove
from tests.benchmarks.reckoning import Reckoning, reckon_again
from tests.benchmarks.report import Options
from tests.raw_connection import Connection, connected

SEED = 20260131
CALLS = 300
QUICK = Options(quick=True, seed=SEED)


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> Place:
    """Two resellers with three customers each, who have made 300 calls."""
    tree = await fill(database_url, SEED, (2, 3))
    async with batcher_on(database_url) as batcher:
        outcomes = await batcher.charge(CallLoad(tree, SEED).orders(CALLS))
    assert [outcome for outcome in outcomes if isinstance(outcome, Refusal)] == []
    return Place(database_url, tree, tmp_path, 0, "of a test")


@pytest.fixture
async def connection(place: Place) -> AsyncIterator[Connection]:
    """To see and to spoil what is in the place."""
    async with connected(place.url) as connection:
        yield connection


async def reckoned(connection: Connection, charged: int = CALLS, baseline: int = 0) -> Reckoning:
    return await reckon_again(connection, charged=charged, baseline=baseline)


async def two_calls(connection: Connection) -> tuple[int, int]:
    """The numbers of two calls of one customer on one day that cost something."""
    first, second = await connection.fetch(
        "SELECT call_no FROM calls WHERE charged_units > 0 AND (account_id, (started_at AT TIME ZONE 'UTC')::date) = "
        "(SELECT account_id, (started_at AT TIME ZONE 'UTC')::date FROM calls WHERE charged_units > 0 "
        " GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 1, 2 LIMIT 1) ORDER BY call_no LIMIT 2"
    )
    return first["call_no"], second["call_no"]


async def test_clean_data_gives_no_alarm(place: Place, connection: Connection) -> None:
    proof = await prove(place, QUICK, charged=CALLS)
    assert proof.alarms == []
    assert proof.facts == {
        "reckoned again": "300 of 300 calls, by the reference ledger",
        "simulation": "8 steps on top of it, compared with the reference ledger after each",
        "audit": "clean",
    }
    # What the simulation called at prices that it found there.
    of_deck = "SELECT count(*) FROM calls WHERE call_id LIKE 'call %' AND charged_units > 0 AND prefix = ANY($1)"
    assert await connection.fetchval(of_deck, place.tree.prefixes) > 0


@pytest.mark.parametrize("levels", [1, 2, 3])
async def test_a_unit_that_went_from_one_call_to_another_is_found(
    place: Place, connection: Connection, db: Database, levels: int
) -> None:
    more, less = await two_calls(connection)
    moved = "UPDATE {} SET {} = {} + CASE call_no WHEN $1 THEN 1 ELSE -1 END WHERE call_no IN ($1, $2)"
    of_levels = " AND account_id = ANY((SELECT path[:$3::int] FROM accounts WHERE id = customer_id)::bigint[])"
    await connection.execute(moved.format("charges", "amount_units", "amount_units") + of_levels, *(more, less, levels))
    if levels == 3:
        await connection.execute(moved.format("calls", "charged_units", "charged_units"), more, less)
    assert (await audit(db)).differences == ()
    reckoning = await reckoned(connection)
    (alarm,) = reckoning.alarms
    assert alarm.startswith("THE REFERENCE LEDGER charges 2 of 300 calls otherwise, so no figure here is worth ")
    assert (reckoning.calls, reckoning.reckoned) == (300, 300)


@pytest.mark.parametrize(
    "spoiled",
    [
        "DELETE FROM charges WHERE call_no = $1 AND account_id = 1",
        "DELETE FROM charges WHERE call_no = $1",
        "INSERT INTO charges SELECT 3 - (customer_id - 4) / 3, started_at, call_no, customer_id, 0, 0, 0 "
        "FROM charges WHERE call_no = $1 AND account_id = customer_id",
        "UPDATE calls SET status = 'UNRATED' WHERE call_no = $1",
        "UPDATE calls SET duration_s = duration_s + 60 WHERE call_no = $1",
    ],
)
async def test_a_call_that_is_charged_otherwise_is_found(place: Place, connection: Connection, spoiled: str) -> None:
    call_no, _ = await two_calls(connection)
    assert (await connection.execute(spoiled, call_no)).split()[-1] in ("1", "3")
    (alarm,) = (await reckoned(connection)).alarms
    assert alarm.startswith("THE REFERENCE LEDGER charges 1 of 300 calls otherwise")


async def test_a_rate_that_was_raised_without_rerating_is_found(place: Place, connection: Connection) -> None:
    await connection.execute("UPDATE rates SET price_per_minute_e8 = price_per_minute_e8 * 2")
    (alarm,) = (await reckoned(connection)).alarms
    costing = await connection.fetchval("SELECT count(*) FROM calls WHERE charged_units > 0")
    assert alarm.startswith(f"THE REFERENCE LEDGER charges {costing} of 300 calls otherwise")


@pytest.mark.parametrize(("charged", "baseline"), [(CALLS + 1, 0), (CALLS - 1, 0), (CALLS, 1), (CALLS - 1, 1)])
async def test_a_call_too_few_or_too_many_is_found(
    place: Place, connection: Connection, charged: int, baseline: int
) -> None:
    (alarm,) = (await reckoned(connection, charged, baseline)).alarms
    assert alarm.startswith(
        f"CALLS ARE LOST OR DOUBLE, so no figure here is worth anything: {charged} and {baseline} of the baseline were "
        "acknowledged, 300 and 0 are stored"
    )


async def test_a_lost_call_is_found_where_another_one_is_double(place: Place, connection: Connection) -> None:
    call_no, _ = await two_calls(connection)
    for table in ("calls", "call_keys"):
        await connection.execute(f"UPDATE {table} SET call_id = 'switch1-1.301' WHERE call_no = $1", call_no)
    (alarm,) = (await reckoned(connection)).alarms
    assert alarm.endswith("300 and 0 are stored, and of those that were acknowledged 299")


async def test_calls_of_the_baseline_are_counted_and_not_reckoned(place: Place, connection: Connection) -> None:
    call_no, _ = await two_calls(connection)
    await connection.execute("UPDATE calls SET call_id = 'switch2-1', charged_units = 7 WHERE call_no = $1", call_no)
    (alarm,) = (await reckoned(connection)).alarms
    assert "299 and 1 are stored" in alarm


async def test_of_many_calls_every_nth_is_reckoned(place: Place, connection: Connection) -> None:
    in_order = [row["call_no"] for row in await connection.fetch("SELECT call_no FROM calls ORDER BY started_at")]
    await connection.execute("UPDATE charges SET amount_units = amount_units + 1 WHERE call_no = $1", in_order[158])
    assert await reckon_again(connection, charged=CALLS, calls_min=60) == Reckoning(300, 60, [])
    await connection.execute("UPDATE charges SET amount_units = amount_units + 1 WHERE call_no = $1", in_order[159])
    reckoning = await reckon_again(connection, charged=CALLS, calls_min=60)
    assert (reckoning.reckoned, len(reckoning.alarms)) == (60, 1)


async def test_a_cent_that_drifts_behind_the_benchmark_is_found_by_the_simulation(
    place: Place, connection: Connection
) -> None:
    await connection.execute(
        "CREATE FUNCTION drift() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.balance_units := NEW.balance_units + 1; RETURN NEW; END $$;"
        "CREATE TRIGGER drift BEFORE UPDATE ON account_state FOR EACH ROW "
        "WHEN (NEW.balance_units <> OLD.balance_units) EXECUTE FUNCTION drift()"
    )
    simulation, audited = (await prove(place, QUICK, charged=CALLS)).alarms
    assert simulation.startswith("THE SIMULATION FAILED in step ")
    assert audited.startswith("THE BOOKS ARE WRONG in ")


async def test_books_that_are_wrong_are_an_alarm_without_a_simulation_too(place: Place, connection: Connection) -> None:
    await connection.execute("UPDATE account_state SET balance_units = balance_units + 1 WHERE account_id = 2")
    proof = await prove(place, QUICK, charged=CALLS, simulated=False)
    assert proof.alarms[0].startswith("THE BOOKS ARE WRONG in 1 places")
    assert proof.facts == {"reckoned again": "300 of 300 calls, by the reference ledger", "audit": "NOT CLEAN"}


def test_several_databases_are_proved_as_one() -> None:
    clean, wrong = Proof([], True, 5, 5, 8), Proof(["WRONG"], False, 7, 3, 0)
    assert all_of([clean, wrong]) == Proof(["WRONG"], False, 12, 8, 8)
    assert all_of([clean, clean]).facts["audit"] == "clean"


@pytest.mark.parametrize("benchmark", [charging, rerating], ids=lambda module: module.NAME)
async def test_a_benchmark_proves_what_it_leaves_behind(benchmark: ModuleType) -> None:
    report = await benchmark.run(QUICK)
    assert report.alarms == []
    assert report.facts["audit"] == "clean"
    assert report.facts["simulation"].startswith("8 steps ")
    assert re.fullmatch("[0-9,]+ of [0-9,]+ calls, by the reference ledger", report.facts["reckoned again"])
