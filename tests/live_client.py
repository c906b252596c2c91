"""Subscriptions as clients have them: over graphql-transport-ws and over server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import connect

Answers = AsyncIterator[dict[str, Any]]


class Stream:
    """The results of one subscription, however they come."""

    def __init__(self, results: Answers) -> None:
        self._results = results

    async def next(self) -> dict[str, Any]:
        """The next result: ``data`` and ``errors``."""
        async with asyncio.timeout(10):
            return await anext(self._results)

    async def change(self) -> dict[str, Any]:
        """The next ``balanceChanged``."""
        result = await self.next()
        assert "errors" not in result, result
        change: dict[str, Any] = result["data"]["balanceChanged"]
        return change

    async def code_at_end(self) -> str:
        """The code of the error that is the last result; whatever comes before it is passed over."""
        result = await self.next()
        while "errors" not in result:
            result = await self.next()
        assert await anext(self._results, None) is None
        code: str = result["errors"][0]["extensions"]["code"]
        return code


@asynccontextmanager
async def over_websocket(
    address: str, token: str | None, query: str, variables: dict[str, Any] | None = None
) -> AsyncIterator[Stream]:
    """Subscribe over a WebSocket of its own."""
    url = address.replace("http", "ws", 1) + "/graphql"
    async with connect(url, subprotocols=["graphql-transport-ws"]) as socket:

        async def say(**message: Any) -> None:
            await socket.send(orjson.dumps(message).decode())

        async def results() -> Answers:
            while True:
                message = orjson.loads(await socket.recv())
                if message["type"] == "complete":
                    return
                if message["type"] == "error":
                    yield {"errors": message["payload"]}
                    return
                assert message["type"] == "next"
                yield message["payload"]

        payload = {"Authorization": f"Bearer {token}"} if token is not None else {}
        await say(type="connection_init", payload=payload)
        assert orjson.loads(await socket.recv())["type"] == "connection_ack"
        await say(type="subscribe", id="1", payload={"query": query, "variables": variables or {}})
        stream = results()
        yield Stream(stream)
        await stream.aclose()


@asynccontextmanager
async def over_sse(
    address: str, token: str | None, query: str, variables: dict[str, Any] | None = None
) -> AsyncIterator[Stream]:
    """Subscribe over a stream of server-sent events."""
    headers = {"accept": "text/event-stream"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    body = {"query": query, "variables": variables or {}}
    async with (
        httpx.AsyncClient(base_url=address, timeout=30) as client,
        client.stream("POST", "/graphql", json=body, headers=headers) as response,
    ):
        assert response.status_code == 200

        async def results() -> Answers:
            event = ""
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data:") and event == "next":
                    yield orjson.loads(line.removeprefix("data:"))
                elif line.startswith("data:") and event == "complete":
                    return

        stream = results()
        yield Stream(stream)
        await stream.aclose()
