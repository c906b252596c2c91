"""GraphQL over server-sent events, in distinct connections: one operation, one event stream (npm graphql-sse)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from starlette.types import Receive, Send
from strawberry.types.execution import ExecutionResult

from server.graphql_answer import encoded
from server.http_request import wait_until_gone
from server.metrics import event_stream_connections

# Proxies close connections on which nothing is said, mostly after a minute.
HEARTBEAT_S = 15.0

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"accept"),
]


async def send_events(
    receive: Receive,
    send: Send,
    results: AsyncGenerator[ExecutionResult | str, None],
    request_id: str,
    stopping: asyncio.Event,
) -> None:
    """Send each result as it comes, until there are no more or the client is gone; ``results`` is closed either way.

    A slow client holds back the next result, so whatever makes the results may skip some; nothing is queued here.
    When the server is ``stopping`` the stream breaks off without a "complete", so that clients connect again.
    """
    headers = [*_HEADERS, (b"x-request-id", request_id.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sending = asyncio.create_task(_send_all(send, results, request_id))
    leaving = asyncio.create_task(wait_until_gone(receive))
    ending = asyncio.create_task(stopping.wait())
    tasks = (sending, leaving, ending)
    event_stream_connections.inc()
    try:
        while not any(task.done() for task in tasks):
            done, _ = await asyncio.wait(tasks, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                await _send_chunk(send, b":\n\n")
        if sending.done():
            sending.result()
        broken_off = ending.done() and not sending.done() and not leaving.done()
    finally:
        event_stream_connections.dec()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    if broken_off:
        await _send_chunk(send, b"", last=True)


async def _send_all(send: Send, results: AsyncGenerator[ExecutionResult | str, None], request_id: str) -> None:
    async with aclosing(results):
        async for result in results:
            data = result.encode() if isinstance(result, str) else encoded(result, request_id)
            await _send_chunk(send, b"event: next\ndata: " + data + b"\n\n")
    await _send_chunk(send, b"event: complete\ndata:\n\n", last=True)


async def _send_chunk(send: Send, chunk: bytes, *, last: bool = False) -> None:
    # A chunk is written in one piece, so a heartbeat never gets into the middle of an event.
    await send({"type": "http.response.body", "body": chunk, "more_body": not last})
