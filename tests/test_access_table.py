"""The tables of docs/access.md, asked cell by cell: every kind of viewer, every query, field, mutation, subscription.

The tree is drawn in tests/access_world.py; how a row is asked is in tests/access_questions.py. What is added to the
schema needs its rows in all three.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType

from server.app import create_app
from server.settings import Settings
from tests.access_questions import (
    HOLDERS,
    MUTATION_INPUTS,
    QUERIES,
    SUBSCRIPTIONS,
    TYPES,
    code_of,
    field_query,
    mutation_query,
    selection,
)
from tests.access_world import VIEWERS, AccessWorld, access_world
from tests.graphql_client import CHEAP_HASH, running_api
from tests.http_face import running
from tests.live_client import over_sse

PAGE = Path(__file__).resolve().parent.parent / "docs" / "access.md"
Table = dict[str, dict[str, str]]


def read_tables() -> dict[str, Table]:
    """The page's tables by their heading: row, viewer, expected word."""
    tables: dict[str, Table] = {}
    table: Table = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            table = tables.setdefault(line.removeprefix("## "), {})
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == len(VIEWERS) + 1 and not cells[1].startswith(("-", "anonymous")):
            assert cells[0] not in table, f"{cells[0]} stands twice"
            table[cells[0]] = dict(zip(VIEWERS, cells[1:], strict=True))
    return tables


TABLES = read_tables()


def schema_fields(type_name: str) -> set[str]:
    """The names of a type's fields."""
    found = TYPES[type_name]
    assert isinstance(found, GraphQLObjectType)
    return set(found.fields)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[AccessWorld]:
    # No hold expires meanwhile: that would be a change that nobody asked for.
    async with running_api(database_url, sip_domain="sip.example", hold_ttl_s=86_400) as api:
        yield await access_world(api)


def test_every_kind_of_viewer_has_its_column() -> None:
    headings = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "anonymous" in line]
    assert len(headings) == len(TABLES)
    assert {tuple(cell.strip() for cell in line.strip("|").split("|"))[1:] for line in headings} == {VIEWERS}


@pytest.mark.parametrize(
    ("heading", "type_name", "questions"),
    [
        ("Queries", "Query", QUERIES),
        ("Mutations", "Mutation", MUTATION_INPUTS),
        ("Subscriptions", "Subscription", SUBSCRIPTIONS),
    ],
)
def test_every_query_mutation_and_subscription_has_its_rows(
    heading: str, type_name: str, questions: dict[str, Any]
) -> None:
    assert TABLES[heading].keys() == questions.keys()
    assert {row.partition(",")[0] for row in TABLES[heading]} == schema_fields(type_name)


def test_every_field_of_what_is_kept_has_its_row() -> None:
    rows = {row.partition(",")[0] for row in TABLES["Fields"]}
    assert rows == {f"{type_name}.{name}" for type_name in HOLDERS for name in schema_fields(type_name)}


async def test_each_query_answers_each_kind_of_viewer_as_the_table_says(world: AccessWorld) -> None:
    found: Table = {}
    for row, question in QUERIES.items():
        answers = {viewer: await world.ask(viewer, f"{{ found: {question(world)} }}") for viewer in VIEWERS}
        found[row] = {
            viewer: code_of(answer) or ("absent" if answer["data"]["found"] is None else "ok")
            for viewer, answer in answers.items()
        }
    assert found == TABLES["Queries"]


async def test_each_field_answers_each_kind_of_viewer_as_the_table_says(world: AccessWorld) -> None:
    found: Table = {}
    for row in TABLES["Fields"]:
        # Two blocks, one of them above the parent, so that `blockedBy` has something to hide.
        blocked = ("ancestor", "customer") if row == "Account.blockedBy" else ()
        for name in blocked:
            await world.set_blocked(name, True)
        found[row] = await field_words(world, row)
        for name in blocked:
            await world.set_blocked(name, False)
    assert found == TABLES["Fields"]


async def field_words(world: AccessWorld, row: str) -> dict[str, str]:
    """What each viewer is answered, beside the fullest that anybody is: the operator, or the account itself."""
    query = field_query(world, row)
    answers = {viewer: await world.ask(viewer, query) for viewer in VIEWERS}
    words = {viewer: code_of(answer) for viewer, answer in answers.items()}
    found = {viewer: answers[viewer]["data"]["found"] for viewer, code in words.items() if code is None}
    await world.set_blocked("parent", True)
    full_when_blocked = (await world.ask("operator", query))["data"]["found"]
    await world.set_blocked("parent", False)
    full = found["itself"] if value_of(found["operator"]) is None else found["operator"]
    assert value_of(full) is not None, f"{row}: nobody sees a value that could be hidden"
    for viewer, holder in found.items():
        fullest = full_when_blocked if viewer == "blocked" else full
        shown = "null" if value_of(holder) is None else "ok" if holder == fullest else "cut"
        words[viewer] = "absent" if holder is None else shown
    return {viewer: word for viewer, word in words.items() if word is not None}


def value_of(holder: dict[str, Any] | None) -> Any:
    """The one field of an object, None where the object is."""
    return None if holder is None else next(iter(holder.values()))


async def test_each_mutation_answers_each_kind_of_viewer_as_the_table_says(world: AccessWorld) -> None:
    assert {row: await mutation_words(world, row) for row in MUTATION_INPUTS} == TABLES["Mutations"]


async def mutation_words(world: AccessWorld, row: str) -> dict[str, str]:
    """Each viewer's answer; whoever is refused has changed nothing."""
    found = {}
    refused = [viewer for viewer in VIEWERS if TABLES["Mutations"][row][viewer] != "ok"]
    await prepare(world, row)
    for viewer in VIEWERS:
        await world.token(viewer)
    before = await world.everything()
    for viewer in refused:
        found[viewer] = await mutation_word(world, viewer, row)
    assert await world.everything() == before, row
    # Later, since what is done for one viewer may be why the next one would be refused.
    for viewer in [viewer for viewer in VIEWERS if viewer not in refused]:
        await prepare(world, row)
        found[viewer] = await mutation_word(world, viewer, row)
    await prepare(world, row)
    return found


async def mutation_word(world: AccessWorld, viewer: str, row: str) -> str:
    asked = MUTATION_INPUTS[row](world, viewer)
    query = mutation_query(row.partition(",")[0], asked)
    return code_of(await world.ask(viewer, query, {} if asked is None else {"input": asked})) or "ok"


async def prepare(world: AccessWorld, row: str) -> None:
    """What a mutation uses up is made anew, and what it changed about the accounts is undone."""
    name = row.partition(",")[0]
    await world.restore(tokens=name in ("logout", "changePassword"))
    if name == "deleteRateList":
        input = {"name": f"Unused {world.number()}"}
        made = await world.api.done("createRateList", "rateList { id }", input, by=await world.token("parent"))
        world.ids["unused list"] = made["rateList"]["id"]
    if name in ("extendCall", "settleCall", "settleCalls", "releaseCall"):
        input = world.waiting_call()
        await world.api.done("authorizeCall", "duplicate", input, by=await world.token("parent"))
        world.ids["held call"] = input["callId"]
    if name == "refundCall":
        call = world.call()
        await world.api.done("chargeCall", "duplicate", {"call": call}, by=await world.token("operator"))
        world.ids["charged call"] = call["callId"]
    if name == "revokeApiToken":
        input = {"name": "x", "scopes": ["READ"]}
        made = await world.api.done("createApiToken", "apiToken { id }", input, by=await world.token("itself"))
        world.ids["token of the customer"] = made["apiToken"]["id"]


async def test_each_subscription_answers_each_kind_of_viewer_as_the_table_says(
    world: AccessWorld, database_url: str
) -> None:
    found: Table = {row: {} for row in SUBSCRIPTIONS}
    async with running(create_app(Settings(**CHEAP_HASH), database_url)) as address:
        for row, question in SUBSCRIPTIONS.items():
            for viewer in VIEWERS:
                await world.set_blocked("parent", viewer == "blocked")
                query = f"subscription {{ {question(world, viewer)} {{ account {{ username }} }} }}"
                async with over_sse(address, await world.token(viewer), query) as stream:
                    first = asyncio.create_task(stream.next())
                    # Again and again: nobody can tell from outside when the notices are being listened to.
                    while row == "balanceLow" and viewer != "anonymous" and not first.done():
                        await world.fall_low(viewer)
                    found[row][viewer] = code_of(await first) or "ok"
    assert found == TABLES["Subscriptions"]


@pytest.mark.parametrize("viewer", ["manager", "charger"])
async def test_a_token_that_may_not_read_sees_the_answer_to_its_mutation_and_walks_nowhere_from_there(
    world: AccessWorld, viewer: str
) -> None:
    token = await world.token(viewer)

    async def is_refused(name: str) -> bool:
        account = f"account {{ {selection('Account', name)} }}"
        if viewer == "charger":
            query = f"mutation ($input: ChargeCallInput!) {{ chargeCall(input: $input) {{ call {{ {account} }} }} }}"
            input: dict[str, Any] = {"call": world.call()}
        else:
            query = f"mutation ($input: UpdateAccountInput!) {{ updateAccount(input: $input) {{ {account} }} }}"
            input = {"accountId": world.id("customer")}
        answer = await world.api.answer(query, {"input": input}, by=token)
        return code_of(answer) == "scope"

    refused = {name for name in schema_fields("Account") if await is_refused(name)}
    assert refused == {
        *("customers", "descendants", "transactions", "calls", "holds", "usage", "rates", "rateList", "rateLists"),
        *("offers", "ownOffers", "purchases"),
    }
