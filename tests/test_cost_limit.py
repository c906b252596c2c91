"""What an answer says of its cost, and that what costs too much is not executed."""

from typing import Any

import pytest

from server.app import create_app
from server.settings import Settings
from tests.graphql_client import CHEAP_HASH, Api, running_api
from tests.http_face import running
from tests.live_client import over_sse, over_websocket

THREE_PAGES = "customers(first: 100) { nodes { customers(first: 100) { nodes { customers { nodes { id } } } } } }"
REFUSAL = (
    "The query asks for up to 210101 nodes; a request may ask for 25000. Ask for smaller pages (`first` or `last`), "
    "for fewer lists inside of lists, or for less at a time: the pages go on at `after`."
)


def cost(nodes: int, most: int = 25_000) -> dict[str, Any]:
    status = {"maximumAvailable": most, "currentlyAvailable": most}
    return {"cost": {"requestedQueryCost": nodes, "throttleStatus": status}}


async def test_every_answer_says_what_its_operation_may_cost(api: Api) -> None:
    query = "query ($first: Int) { viewer { customers(first: $first) { nodes { id } } } }"
    for variables, nodes in (({}, 21), ({"first": 3}, 4), ({"first": 100}, 101)):
        answer = await api.answer(query, variables, by=api.operator)
        assert answer == {"data": {"viewer": {"customers": {"nodes": []}}}, "extensions": cost(nodes)}


@pytest.mark.parametrize(
    ("query", "variables", "nodes"),
    [
        ("{ viewer { customers(first: 101) { nodes { id } } } }", {}, 101),
        ("query ($first: Int) { viewer { customers(first: $first) { nodes { id } } } }", {"first": "3"}, 101),
        ('mutation { blockAccount(input: {accountId: "?"}) { errors { code } } }', {}, 11),
    ],
)
async def test_an_answer_with_errors_says_so_as_well(
    api: Api, query: str, variables: dict[str, Any], nodes: int
) -> None:
    assert (await api.answer(query, variables, by=api.operator))["extensions"] == cost(nodes)


@pytest.mark.parametrize("first", ["100", 100.5, [100], None])
async def test_a_wrong_variable_is_refused_as_such_and_not_for_what_it_would_cost(api: Api, first: object) -> None:
    query = f"query ($first: Int!) {{ viewer {{ customers(first: $first) {{ nodes {{ {THREE_PAGES} }} }} }} }}"
    answer = await api.answer(query, {"first": first}, by=api.operator)
    assert "data" not in answer
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "'$first'" in error["message"]
    assert answer["extensions"]["cost"]["requestedQueryCost"] > 25_000


async def test_a_text_that_is_no_operation_has_no_cost(api: Api) -> None:
    for query in ("{", "{ nothing }", "query A { viewer { id } } query B { viewer { id } }"):
        assert "extensions" not in await api.answer(query, by=api.operator)


async def test_a_query_that_asks_for_too_much_is_refused(api: Api) -> None:
    answer = await api.answer(f"{{ viewer {{ {THREE_PAGES} }} }}", by=api.operator)
    del answer["errors"][0]["extensions"]["requestId"]
    error = {"message": REFUSAL, "extensions": {"code": "COST_LIMIT_EXCEEDED"}}
    assert answer == {"errors": [error], "extensions": cost(210_101)}


async def test_a_mutation_whose_answer_would_be_too_large_changes_nothing(api: Api) -> None:
    customer = await api.customer("keytyh", of=api.operator)
    before = await api.rows()
    mutation = f"mutation ($id: ID!) {{ blockAccount(input: {{accountId: $id}}) {{ account {{ {THREE_PAGES} }} }} }}"
    answer = await api.answer(mutation, {"id": customer.id}, by=api.operator)
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
    assert await api.rows() == before


async def test_rates_nested_below_a_thousand_accounts_are_refused(api: Api) -> None:
    aliases = " ".join(f'a{number}: rates(search: "zzz", first: 500) {{ nodes {{ prefix }} }}' for number in range(40))
    query = (
        f"{{ viewer {{ customers(first: 100) {{ nodes {{ customers(first: 100) {{ nodes {{ {aliases} }} }} }} }} }} }}"
    )
    answer = await api.answer(query, by=api.operator)
    assert answer["extensions"] == cost(1 + 100 * (1 + 100 * (1 + 40 * 510)))
    assert answer["errors"][0]["extensions"]["code"] == "COST_LIMIT_EXCEEDED"


async def test_a_cost_beyond_every_number_of_json_is_still_told(api: Api) -> None:
    query = "{ viewer { " + "customers(first: 100) { nodes { " * 20 + "id" + " } }" * 20 + " } }"
    answer = await api.answer(query, by=api.operator)
    assert answer["extensions"] == cost(2**53 - 1)
    assert answer["errors"][0]["extensions"]["code"] == "COST_LIMIT_EXCEEDED"


async def test_the_limit_is_a_setting(database_url: str) -> None:
    async with running_api(database_url, query_cost_max=21) as api:
        query = "query ($first: Int) { viewer { customers(first: $first) { nodes { id } } } }"
        assert (await api.answer(query, by=api.operator))["extensions"] == cost(21, most=21)
        refused = await api.answer(query, {"first": 21}, by=api.operator)
        assert refused["extensions"] == cost(22, most=21)
        assert refused["errors"][0]["extensions"]["code"] == "COST_LIMIT_EXCEEDED"


@pytest.mark.parametrize(("accept", "status"), [("application/graphql-response+json", 400), ("application/json", 200)])
async def test_a_refusal_has_the_status_of_a_request_that_was_not_executed(api: Api, accept: str, status: int) -> None:
    headers = {"accept": accept, "authorization": f"Bearer {api.operator.token}"}
    body = {"query": f"{{ viewer {{ {THREE_PAGES} }} }}"}
    assert (await api.client.post("/graphql", json=body, headers=headers)).status_code == status


@pytest.mark.parametrize("subscribed", [over_websocket, over_sse], ids=["websocket", "sse"])
async def test_streams_have_the_same_limit_and_say_what_an_event_costs(
    api: Api, database_url: str, subscribed: Any
) -> None:
    watch = "subscription { balanceChanged { balance account { %s } } }"
    too_much = [watch % THREE_PAGES, f"{{ viewer {{ {THREE_PAGES} }} }}"]
    token = api.operator.token
    async with running(create_app(Settings(**CHEAP_HASH), database_url)) as address:  # type: ignore[arg-type]
        async with subscribed(address, token, watch % "id") as stream:
            event = await stream.next()
            assert event["data"]["balanceChanged"]["account"] == {"id": api.operator.id}
            assert event["extensions"] == cost(2)
        async with subscribed(address, token, "{ viewer { id } }") as stream:
            assert await stream.next() == {"data": {"viewer": {"id": api.operator.id}}, "extensions": cost(1)}
        for query in too_much:
            async with subscribed(address, token, query) as stream:
                refused = await stream.next()
                assert "data" not in refused
                assert refused["errors"][0]["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
