"""graphql-transport-ws: what the protocol promises, also to clients that break it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.http_face import Face, Seen, running


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
def address(serving: tuple[Face, str], seen: Seen) -> str:
    return serving[1].replace("http", "ws") + "/graphql"


@asynccontextmanager
async def connected(
    address: str, payload: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> AsyncIterator[ClientConnection]:
    """A connection that has been acknowledged."""
    async with connect(address, subprotocols=["graphql-transport-ws"], additional_headers=headers) as socket:
        await say(socket, type="connection_init", **({} if payload is None else {"payload": payload}))
        assert await heard(socket) == {"type": "connection_ack"}
        yield socket


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(orjson.dumps(message).decode())


async def heard(socket: ClientConnection) -> Any:
    message = await socket.recv()
    assert isinstance(message, str), "a binary frame"
    return orjson.loads(message)


async def subscribe(socket: ClientConnection, query: str, *, id: str = "1", **payload: Any) -> None:
    await say(socket, type="subscribe", id=id, payload={"query": query, **payload})


async def closing(socket: ClientConnection) -> tuple[int, str]:
    """The code and reason the server closes with."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


async def test_a_subscription_sends_each_result_and_completes(address: str, seen: Seen) -> None:
    async with connected(address) as socket:
        await subscribe(socket, "subscription { countdown(start: 1) { left } }")
        for left in (1, 0):
            assert await heard(socket) == {
                "type": "next",
                "id": "1",
                "payload": {"data": {"countdown": {"left": left}}},
            }
        assert await heard(socket) == {"type": "complete", "id": "1"}
        await seen.no_subscription()


async def test_a_query_and_a_mutation_are_answered_once(address: str) -> None:
    async with connected(address) as socket:
        await subscribe(socket, "query ($n: Int!) { half(number: $n) }", variables={"n": 5})
        assert (await heard(socket))["payload"] == {"data": {"half": 2}}
        assert await heard(socket) == {"type": "complete", "id": "1"}
        await subscribe(socket, "mutation { change }")
        assert (await heard(socket))["payload"] == {"data": {"change": 1}}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($n: Int!) { half(number: $n) }", "BAD_USER_INPUT"),
        ("subscription { signedIn { left } }", "UNAUTHENTICATED"),
    ],
)
async def test_an_operation_that_cannot_begin_ends_with_an_error_and_harms_no_other(
    address: str, query: str, code: str
) -> None:
    async with connected(address) as socket:
        await subscribe(socket, "subscription { forever { left } }", id="other")
        assert (await heard(socket))["id"] == "other"
        await subscribe(socket, query)
        message = await heard(socket)
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == code
        await subscribe(socket, "{ half(number: 5) }")
        assert (await heard(socket))["payload"] == {"data": {"half": 2}}


async def test_errors_carry_the_request_id_of_the_handshake(address: str) -> None:
    async with connected(address, headers={"x-request-id": "from-the-client"}) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"] == "from-the-client"
        await subscribe(socket, "{ bug }")
        errors = (await heard(socket))["payload"]["errors"]
        assert errors[0]["message"] == "Internal error"
        assert errors[0]["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "from-the-client"}


@pytest.mark.parametrize(
    ("payload", "headers", "viewer"),
    [
        (None, None, None),
        ({"Authorization": "Bearer good"}, None, "keytyh*good"),
        ({"authorization": "bearer good"}, None, "keytyh*good"),
        ({"Authorization": "Bearer "}, None, None),
        (None, {"authorization": "Bearer good"}, "keytyh*good"),
        ({"Authorization": "Bearer good"}, {"authorization": "Bearer other"}, "keytyh*good"),
    ],
)
async def test_the_token_comes_in_connection_init_or_in_the_handshake(
    address: str, payload: dict[str, Any] | None, headers: dict[str, str] | None, viewer: str | None
) -> None:
    async with connected(address, payload, headers) as socket:
        await subscribe(socket, "{ viewer }")
        assert (await heard(socket))["payload"] == {"data": {"viewer": viewer}}


async def test_a_token_that_is_none_closes_the_connection_with_4403(address: str) -> None:
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await say(socket, type="connection_init", payload={"Authorization": "Bearer other"})
        assert await closing(socket) == (4403, "Forbidden")


async def test_without_the_database_the_client_is_asked_to_try_again(address: str) -> None:
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await say(socket, type="connection_init", payload={"Authorization": "Bearer database away"})
        assert await closing(socket) == (1013, "The database cannot be reached right now. Try again shortly.")


async def test_each_operation_has_a_context_of_its_own(address: str, seen: Seen) -> None:
    async with connected(address) as socket:
        for _ in range(2):
            await subscribe(socket, "{ viewer }")
            await heard(socket)
            await heard(socket)
    first, second = seen.contexts
    assert first.loaders is not second.loaders


async def test_completing_ends_the_subscription_and_frees_its_id(address: str, seen: Seen) -> None:
    async with connected(address) as socket:
        await subscribe(socket, "subscription { forever { left } }")
        await heard(socket)
        assert seen.open_subscriptions == 1
        await say(socket, type="complete", id="1")
        await subscribe(socket, "{ half(number: 5) }")
        assert (await heard(socket))["payload"] == {"data": {"half": 2}}
        await seen.no_subscription()


async def test_closing_the_connection_ends_its_subscriptions(address: str, seen: Seen) -> None:
    async with connected(address) as socket:
        for number in range(3):
            await subscribe(socket, "subscription { forever { left } }", id=str(number))
            await heard(socket)
        assert seen.open_subscriptions == 3
    await seen.no_subscription()


async def test_a_ping_is_answered(address: str) -> None:
    async with connected(address) as socket:
        await say(socket, type="ping")
        assert await heard(socket) == {"type": "pong"}


@pytest.mark.parametrize(
    "message",
    [
        b"{",
        b"[]",
        b"1",
        b"{}",
        b'{"type": 1}',
        b'{"type": "nothing"}',
        b'{"type": "subscribe"}',
        b'{"type": "subscribe", "id": 1, "payload": {"query": "{ viewer }"}}',
        b'{"type": "subscribe", "id": ["1"], "payload": {"query": "{ viewer }"}}',
        b'{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        b'{"type": "subscribe", "id": "1", "payload": "{ viewer }"}',
        b'{"type": "subscribe", "id": "1", "payload": {"query": "{ viewer }", "variables": []}}',
        b'{"type": "subscribe", "id": "1", "payload": {"query": "{ viewer }", "operationName": {}}}',
        b'{"type": "complete", "id": []}',
    ],
)
async def test_a_message_that_is_none_closes_the_connection_with_4400(address: str, message: bytes) -> None:
    async with connected(address) as socket:
        await socket.send(message.decode())
        assert (await closing(socket))[0] == 4400


async def test_a_binary_message_closes_the_connection_with_4400(address: str) -> None:
    async with connected(address) as socket:
        await socket.send(b'{"type": "ping"}')
        assert (await closing(socket))[0] == 4400


async def test_null_as_a_payload_is_as_good_as_none(address: str) -> None:
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await say(socket, type="connection_init", payload=None)
        assert await heard(socket) == {"type": "connection_ack"}


async def test_breaking_the_order_closes_the_connection_as_the_protocol_says(address: str) -> None:
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await subscribe(socket, "{ viewer }")
        assert await closing(socket) == (4401, "Unauthorized")
    async with connected(address) as socket:
        await say(socket, type="connection_init")
        assert (await closing(socket))[0] == 4429
    async with connected(address) as socket:
        for _ in range(2):
            await subscribe(socket, "subscription { forever { left } }")
        assert await closing(socket) == (4409, "Subscriber for 1 already exists")


async def test_a_connection_carries_a_hundred_operations_at_once(address: str) -> None:
    async with connected(address) as socket:
        for number in range(101):
            await subscribe(socket, "subscription { forever { left } }", id=str(number))
        answers = {(message := await heard(socket))["id"]: message for _ in range(101)}
        assert answers["99"]["type"] == "next"
        assert answers["100"]["type"] == "error"
        assert answers["100"]["payload"][0]["extensions"]["code"] == "THROTTLED"


@pytest.mark.parametrize("subprotocols", [["graphql-ws"], None])
async def test_no_other_protocol_is_spoken(address: str, subprotocols: Any) -> None:
    async with connect(address, subprotocols=subprotocols) as socket:
        assert await closing(socket) == (4406, "Subprotocol not acceptable")


async def test_a_page_of_another_origin_cannot_connect(address: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(address, subprotocols=["graphql-transport-ws"], origin="https://elsewhere.example"):
            pass
    assert caught.value.response.status_code == 403
