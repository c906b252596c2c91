"""The demo: a deck from the numbering plans, a small tree, four weeks of calls; made once."""

import json
import shlex
from typing import Any

import pytest
from sqlalchemy import text

from billing.accounts import create_operator
from billing.errors import UsernameTaken
from billing.rate_changes import check_rates
from models.database import Database
from server.commands.demo import curl, demo_text
from server.demo import Demo, load_demo
from server.demo_deck import demo_deck
from server.settings import Settings
from tests.graphql_client import CHEAP_HASH, Api

SETTINGS = Settings(**CHEAP_HASH)  # type: ignore[arg-type]


@pytest.fixture
async def empty_tree(db: Database, database_url: str) -> str:
    """The URL of a database with an operator only."""
    async with db.transaction() as tx:
        await create_operator(tx, username="operator", password_hash="")
    return database_url


async def demo(url: str, **options: Any) -> Demo:
    found = await load_demo(SETTINGS, url, **options)
    assert found is not None
    return found


async def counts(db: Database) -> dict[str, int]:
    tables = ("accounts", "rate_lists", "rates", "credit_transactions", "calls", "charges", "offers", "brandings")
    async with db.read() as connection:
        return {
            table: (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() for table in tables
        }


def test_the_deck_has_every_country_and_its_mobile_networks_and_is_always_the_same() -> None:
    deck = demo_deck()
    check_rates(deck)
    assert deck == demo_deck.__wrapped__()
    assert len(deck) > 20_000
    by_prefix = {rate.price.prefix: rate.price for rate in deck}
    names = {prefix: price.destination for prefix, price in by_prefix.items()}
    assert [names[prefix] for prefix in ("43", "1", "1403", "1242", "7", "77")] == [
        "Austria",
        "United States",
        "Canada",
        "Bahamas",
        "Russia",
        "Kazakhstan",
    ]
    assert str(names["43664"]).startswith("Austria mobile ")
    assert by_prefix["43664"].price_per_minute_e8 > by_prefix["43"].price_per_minute_e8
    assert by_prefix["43800"].price_per_minute_e8 == 0
    assert [by_prefix[prefix].blocked for prefix in ("881", "43900", "43800", "43")] == [True, True, False, False]


async def test_the_demo_is_a_tree_with_credit_rates_and_calls_on_every_level(empty_tree: str, db: Database) -> None:
    made = await demo(empty_tree)
    assert made.loaded
    assert [one.username for one in made.sign_ins] == [
        "luluka*operator",
        "good*luluka",
        "keytyh*good",
        "anna*good",
        "late*good",
        "stand*luluka",
        "nordwind*operator",
        "kai*nordwind",
    ]
    found = await counts(db)
    assert (found["accounts"], found["calls"], found["offers"], found["brandings"]) == (9, 240, 3, 2)
    assert found["rates"] > 20_000
    async with db.read() as connection:
        overdrawn = await connection.scalar(text("SELECT count(*) FROM calls WHERE overdrawn OR status <> 'CHARGED'"))
        charged = (await connection.execute(text("SELECT count(DISTINCT account_id) FROM charges"))).scalar_one()
    assert (overdrawn, charged) == (0, 8)  # everybody but the one that is blocked
    async with db.read() as connection:
        lost = await connection.scalar(
            text(
                "SELECT count(*) FROM charges AS own JOIN accounts ON accounts.id = own.account_id "
                "JOIN charges AS parent ON parent.account_id = accounts.parent_id "
                "AND (parent.started_at, parent.call_no) = (own.started_at, own.call_no) "
                "WHERE parent.amount_units > own.amount_units"
            )
        )
    assert lost == 0


async def test_loading_it_again_adds_what_is_missing_only_and_ends_the_last_token(
    empty_tree: str, db: Database
) -> None:
    first = await demo(empty_tree)
    before = await counts(db)
    again = await demo(empty_tree, on_first_start_only=True)
    assert (again.loaded, again.sign_ins) == (False, first.sign_ins)
    assert await counts(db) == before
    async with db.read() as connection:
        good = await connection.scalar(text("SELECT count(*) FROM tokens WHERE revoked_at IS NULL"))
    assert good == 1
    async with db.transaction() as tx:
        for table in ("calls", "charges", "call_keys"):
            await tx.execute(text(f"DELETE FROM {table}"))
    await demo(empty_tree)
    assert await counts(db) == before


async def test_a_real_tree_and_real_base_rates_are_left_alone(api: Api, database_url: str) -> None:
    base = next(
        one["id"]
        for one in (await api("{ viewer { rateLists { id isBase } } }", by=api.operator))["viewer"]["rateLists"]
        if one["isBase"]
    )
    rates = [{"prefix": "43", "pricePerMinute": "0.05"}]
    await api.done("setRates", "changed", {"rateListId": base, "rates": rates}, by=api.operator)
    await api.customer("somebody", of=api.operator)
    assert await load_demo(SETTINGS, database_url, on_first_start_only=True) is None
    assert len((await api.rows("accounts"))["accounts"]) == 2
    assert (await demo(database_url)).loaded
    assert len((await api.rows("accounts"))["accounts"]) == 10
    query = "query ($id: ID!) { node(id: $id) { ... on RateList { rates { nodes { prefix } } } } }"
    listed = await api(query, {"id": base}, by=api.operator)
    assert listed["node"]["rates"]["nodes"] == [{"prefix": "43"}]


async def test_a_name_that_is_taken_keeps_the_whole_demo_out(api: Api, database_url: str) -> None:
    await api.customer("nordwind", of=api.operator)
    before = await api.rows("accounts", "rates", "rate_lists", "tokens")
    with pytest.raises(UsernameTaken):
        await load_demo(SETTINGS, database_url)
    assert await api.rows("accounts", "rates", "rate_lists", "tokens") == before


async def test_the_sign_ins_work_and_the_ready_made_curl_charges_a_call_once(api: Api, database_url: str) -> None:
    long = Settings(**CHEAP_HASH, password_length_min=8)  # type: ignore[arg-type]
    made = await load_demo(long, database_url)
    assert made is not None
    assert {one.password for one in made.sign_ins} == {"demo0000"}
    for one in made.sign_ins:
        await api.sign_in(one.username, one.password)
    printed = demo_text(made, "http://127.0.0.1:8000")
    assert all(f"{one.username:17}  {one.password}  ({one.role})" in printed for one in made.sign_ins)
    words = shlex.split(curl(made, "http://127.0.0.1:8000"))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8000/graphql"]
    headers = dict(words[index + 1].split(": ") for index, word in enumerate(words) if word == "-H")
    body = json.loads(words[-1])
    answers = [(await api.client.post("/graphql", json=body, headers=headers)).json() for _ in range(2)]
    first, second = (answer["data"]["chargeCall"] for answer in answers)
    assert (first["errors"], first["duplicate"], second["duplicate"]) == ([], False, True)
    paid = {charge["account"]["username"]: charge["amount"] for charge in first["call"]["charges"]}
    assert list(paid) == ["luluka*operator", "good*luluka", "keytyh*good"]
    assert paid["luluka*operator"] < paid["good*luluka"] < paid["keytyh*good"] == "0.35000"  # each earns
    assert second["call"] == first["call"]
