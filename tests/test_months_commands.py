"""`tollpath months` and `tollpath drop-month` as a person runs them."""

import json
from collections.abc import AsyncIterator

import pytest

from models.database import Database
from tests.charging_tree import Tree, charging_tree
from tests.charging_world import NOON, call
from tests.command_line import complaint, tollpath_here


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    """Two calls in January 2026 and one in March."""
    async with charging_tree(db) as tree:
        march = NOON.replace(month=3)
        await tree.world.booked(
            call(tree.keytyh, "a"), call(tree.keytyh, "b"), call(tree.keytyh, "c", started_at=march)
        )
        yield tree


async def test_months_are_listed(tree: Tree, database_url: str) -> None:
    run = tollpath_here("months", DATABASE_URL=database_url)
    assert (run.exit_code, run.err) == (0, "")
    header, january, march = (line.split() for line in run.out.splitlines())
    assert header == ["MONTH", "CALLS", "SIZE", "STATE"]
    assert (january[:2], january[-1]) == (["2026-01", "2"], "open")
    assert (march[:2], march[-1]) == (["2026-03", "1"], "open")


async def test_months_are_listed_for_programs(tree: Tree, database_url: str) -> None:
    assert tollpath_here("drop-month", "2026-01", "--yes", DATABASE_URL=database_url).exit_code == 0
    listed = json.loads(tollpath_here("months", "--json", DATABASE_URL=database_url).out)["months"]
    closed, opened = listed
    assert closed.pop("closedAt").endswith("Z")
    assert closed == {"month": "2026-01", "calls": 2, "sizeBytes": 0, "state": "DROPPED"}
    assert (opened["month"], opened["calls"], opened["state"], opened["closedAt"]) == ("2026-03", 1, "OPEN", None)


async def test_without_yes_nothing_is_changed(tree: Tree, database_url: str) -> None:
    before = await tree.world.books()
    run = tollpath_here("drop-month", "2026-01", DATABASE_URL=database_url)
    assert (run.exit_code, run.out, run.err) == (
        *(0, "2026-01 has 2 calls. Nothing was changed: --yes closes it.\n"),
        "",
    )
    assert await tree.world.books() == before


async def test_a_month_is_dropped(tree: Tree, database_url: str) -> None:
    run = tollpath_here("drop-month", "2026-01", "--yes", DATABASE_URL=database_url)
    assert (run.exit_code, run.out, run.err) == (0, "2026-01 is closed and dropped (2 calls).\n", "")
    assert await tree.world.select("SELECT call_id FROM calls") == [("c",)]


async def test_a_month_is_detached(tree: Tree, database_url: str) -> None:
    run = tollpath_here("drop-month", "2026-01", "--yes", "--detach", "--json", DATABASE_URL=database_url)
    assert json.loads(run.out) == {"month": "2026-01", "calls": 2, "differences": 0, "closed": True, "detached": True}
    assert await tree.world.select("SELECT call_id FROM calls_2026_01 ORDER BY 1") == [("a",), ("b",)]


async def test_what_cannot_be_closed_is_one_line(tree: Tree, database_url: str) -> None:
    def refusal(month: str) -> str:
        return complaint(tollpath_here("drop-month", month, "--yes", DATABASE_URL=database_url), exit_code=1)

    before = await tree.world.books()
    assert refusal("2020-01") == "there are no calls of 2020-01"
    assert refusal("9000-01") == "9000-01 can be closed from 9000-02-09 on, when no call of it is to come"
    await tree.world.execute("UPDATE usage_days SET calls = calls + 1 WHERE account_id = :id", id=tree.good.id)
    assert refusal("2026-01") == (
        "the charges of 2026-01 differ from the running usage in 1 places, so nothing was closed: "
        "`tollpath audit` names them"
    )
    await tree.world.execute("UPDATE usage_days SET calls = calls - 1 WHERE account_id = :id", id=tree.good.id)
    assert await tree.world.books() == before


@pytest.mark.parametrize("month", ["2026", "2026-13", "January", "2026-01-01", ""])
async def test_what_is_no_month_is_wrong_use(database_url: str, month: str) -> None:
    run = tollpath_here("drop-month", month, "--yes", DATABASE_URL=database_url)
    assert complaint(run) == f"{month!r} is no month such as 2025-01"


async def test_migrating_makes_the_coming_months(empty_database_url: str) -> None:
    assert tollpath_here("migrate", DATABASE_URL=empty_database_url).exit_code == 0
    listed = json.loads(tollpath_here("months", "--json", DATABASE_URL=empty_database_url).out)["months"]
    assert [(month["calls"], month["state"]) for month in listed] == [(0, "OPEN")] * 3
