"""GraphQL over server-sent events: one operation, one stream."""

from collections.abc import AsyncIterator

import httpx
import orjson
import pytest

from server import graphql_sse
from tests.http_face import Face, Seen, running

EVENTS = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
async def serving() -> AsyncIterator[tuple[Face, str]]:
    face = Face()
    async with running(face.app) as address:
        yield face, address


@pytest.fixture
def seen(serving: tuple[Face, str]) -> Seen:
    serving[0].seen = Seen()
    return serving[0].seen


@pytest.fixture
async def client(serving: tuple[Face, str], seen: Seen) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=serving[1]) as client:
        yield client


def next_event(payload: object) -> str:
    return f"event: next\ndata: {orjson.dumps(payload).decode()}\n\n"


COMPLETE = "event: complete\ndata:\n\n"


async def text_of(client: httpx.AsyncClient, query: str, headers: dict[str, str] = EVENTS) -> str:
    response = await client.post("/graphql", json={"query": query}, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    return response.text


@pytest.mark.parametrize(
    "accept", ["text/event-stream", "application/graphql-response+json, application/json, text/event-stream"]
)
async def test_a_subscription_sends_an_event_for_each_result_and_then_completes(
    client: httpx.AsyncClient, seen: Seen, accept: str
) -> None:
    text = await text_of(client, "subscription { countdown(start: 2) { left } }", {"accept": accept})
    events = [next_event({"data": {"countdown": {"left": left}}}) for left in (2, 1, 0)]
    assert text == "".join([*events, COMPLETE])
    await seen.no_subscription()


async def test_a_subscription_may_come_by_get(client: httpx.AsyncClient) -> None:
    parameters = {"query": "subscription ($n: Int!) { countdown(start: $n) { left } }", "variables": '{"n": 0}'}
    response = await client.get("/graphql", params=parameters, headers=EVENTS)
    assert response.text == next_event({"data": {"countdown": {"left": 0}}}) + COMPLETE


async def test_a_query_or_mutation_is_one_event(client: httpx.AsyncClient) -> None:
    assert await text_of(client, "{ half(number: 5) }") == next_event({"data": {"half": 2}}) + COMPLETE
    assert await text_of(client, "mutation { change }") == next_event({"data": {"change": 1}}) + COMPLETE


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { signedIn { left } }", "UNAUTHENTICATED"),
        ("subscription ($n: Int!) { countdown(start: $n) { left } }", "BAD_USER_INPUT"),
    ],
)
async def test_errors_are_an_event_without_data(client: httpx.AsyncClient, query: str, code: str) -> None:
    first, *rest = (await text_of(client, query)).split("\n\n")
    payload = orjson.loads(first.removeprefix("event: next\ndata: "))
    assert payload.keys() == {"errors"}
    assert payload["errors"][0]["extensions"]["code"] == code
    assert rest == ["event: complete\ndata:", ""]


async def test_an_error_after_the_first_event_ends_the_stream(client: httpx.AsyncClient) -> None:
    first, second, *rest = (await text_of(client, "subscription { brokenOff { left } }")).split("\n\n")
    assert first == 'event: next\ndata: {"data":{"brokenOff":{"left":1}}}'
    assert '"code":"UNAUTHENTICATED"' in second
    assert rest == ["event: complete\ndata:", ""]


async def test_the_subscription_ends_when_its_client_goes(client: httpx.AsyncClient, seen: Seen) -> None:
    query = {"query": "subscription { forever { left } }"}
    async with client.stream("POST", "/graphql", json=query, headers=EVENTS) as response:
        assert await anext(response.aiter_text()) == next_event({"data": {"forever": {"left": 1}}})
        assert seen.open_subscriptions == 1
    await seen.no_subscription()


async def test_a_quiet_stream_is_kept_open_by_comments(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphql_sse, "HEARTBEAT_S", 0.01)
    query = {"query": "subscription { forever { left } }"}
    async with client.stream("POST", "/graphql", json=query, headers=EVENTS) as response:
        text = response.aiter_text()
        assert (await anext(text)).startswith("event: next")
        assert (await anext(text)).startswith(":\n\n")
