"""`tollpath rerate-calls` as a person runs it."""

import json
from collections.abc import AsyncIterator

import pytest

from models.database import Database
from resolvers.audit import audit
from tests.adjusting import DAY, books
from tests.charging_tree import Tree, charging_tree
from tests.charging_world import ALWAYS_CHARGE, NOON, call, rate
from tests.command_line import Run, complaint, tollpath_here


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    """Two calls whose carrier's price was mended from 0.03 to 0.05, and one that had no rate and has one now."""
    async with charging_tree(db) as tree:
        world = tree.world
        await world.booked(
            call(tree.keytyh, "one"),
            call(tree.keytyh, "two", started_at=NOON + DAY),
            call(tree.keytyh, "late", number="861", policy=ALWAYS_CHARGE),
        )
        await world.set_base_rates(rate("43", "0.05", effective_from=NOON - DAY), rate("86", "0.2"))
        yield tree


def rerate(database_url: str, *options: str, since: str = "2026-01-01", until: str = "2026-03-01") -> Run:
    return tollpath_here("rerate-calls", "--since", since, "--until", until, *options, DATABASE_URL=database_url)


async def test_without_apply_it_says_what_would_change_and_changes_nothing(tree: Tree, database_url: str) -> None:
    before = await books(tree.world)
    run = rerate(database_url)
    assert (run.exit_code, run.err) == (0, "")
    assert run.out.splitlines() == [
        "3 calls looked at",
        "           2  charged otherwise",
        "           1  unrated, have a price now",
        "           0  unrated still",
        "           0  charged, have no rate any more: left alone",
        "           0  right as they are",
        "",
        "The first of them, what the caller pays:",
        "  2026-01-31T12:00:00Z  431234           0.11000 -> 0.11000  one",
        "  2026-01-31T12:00:00Z  861              0.00000 -> 0.20000  late",
        "  2026-02-01T12:00:00Z  431234           0.11000 -> 0.11000  two",
        "",
        "LEVEL               CHARGED MORE          GIVEN BACK",
        "operator                 0.24000             0.00000",
        "depth 1                  0.20000             0.00000",
        "depth 2                  0.20000             0.00000",
        "",
        "Nothing was changed: --apply does it.",
    ]
    assert await books(tree.world) == before


async def test_apply_charges_the_difference_once(tree: Tree, database_url: str, db: Database) -> None:
    first = json.loads(rerate(database_url, "--apply", "--json").out)
    assert (first["dryRun"], first["lookedAt"], first["changed"], first["newlyRated"]) == (False, 3, 2, 1)
    assert first["totals"][0] == {"depth": 0, "charged": "0.24000", "givenBack": "0.00000"}
    assert first["sample"][1] == {
        "callId": "late",
        "number": "861",
        "startedAt": "2026-01-31T12:00:00Z",
        "before": "0.00000",
        "after": "0.20000",
    }
    assert await tree.balances() == ["-0.30000", "99.68000", "9.58000"]
    assert (await audit(db)).differences == ()
    again = json.loads(rerate(database_url, "--apply", "--json").out)
    assert (again["changed"], again["newlyRated"], again["right"], again["sample"]) == (0, 0, 3, [])
    assert await tree.balances() == ["-0.30000", "99.68000", "9.58000"]


async def test_it_can_be_told_which_calls(tree: Tree, database_url: str) -> None:
    for options, looked_at in (
        (["--prefix", "+43"], 2),
        (["--unrated-only"], 1),
        (["--account", "KEYTYH*good"], 3),
        (["--account", "good*op", "--prefix", "86"], 1),
    ):
        assert json.loads(rerate(database_url, "--json", *options).out)["lookedAt"] == looked_at
    assert json.loads(rerate(database_url, "--json", until="2026-01-31T12:00:01Z").out)["lookedAt"] == 2


async def test_what_cannot_be_meant_is_said_in_one_line(tree: Tree, database_url: str) -> None:
    before = await books(tree.world)
    said = complaint(rerate(database_url, "--apply", since="yesterday"))
    assert said.startswith("--since: ")
    assert "2026-01-31" in said
    assert complaint(rerate(database_url, since="2026-03-01"), 1) == "`until` must be after `since`."
    assert "telephone number" in complaint(rerate(database_url, "--prefix", "x"), 1)
    assert complaint(rerate(database_url, "--account", "nobody"), 1).startswith("there is no account nobody")
    assert await books(tree.world) == before
