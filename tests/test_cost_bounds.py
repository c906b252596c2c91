"""No answer has more nodes than its cost: any query, on the tree of the demo."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings

from server.demo import load_demo
from server.settings import Settings
from tests.cost_questions import Question, nodes_of, questions
from tests.graphql_client import CHEAP_HASH, Api, Person, running_api


@pytest.fixture
async def demo(database_url: str) -> AsyncIterator[tuple[Api, Person, str]]:
    """The demo, one of its resellers, and the `callId` of a call below it."""
    async with running_api(database_url, query_cost_max=10_000_000) as api:
        await load_demo(Settings(**CHEAP_HASH), database_url)  # type: ignore[arg-type]
        luluka = await api.sign_in("luluka*operator", "demo")
        calls = await api("{ viewer { calls(first: 1) { nodes { callId } } } }", by=luluka)
        yield api, luluka, calls["viewer"]["calls"]["nodes"][0]["callId"]


@given(question=questions())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_answer_has_more_nodes_than_its_cost(demo: tuple[Api, Person, str], question: Question) -> None:
    api, luluka, call_id = demo
    variables = {"id": luluka.id, "username": "good*luluka", "callId": call_id, **question.variables}
    answer = await api.answer(question.query, variables, by=luluka)
    assert "errors" not in answer, answer["errors"]
    assert nodes_of(answer["data"]) <= answer["extensions"]["cost"]["requestedQueryCost"]
