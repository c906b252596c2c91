"""`/graphql`: GraphQL over HTTP, event streams, WebSockets and, for a browser, the page to try it.

Follows "GraphQL over HTTP" so that every audit of the npm package graphql-http passes. Written on bare ASGI: a
request costs what reading it, executing it and writing the answer cost, and nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

from graphql import GraphQLError, OperationType
from starlette.types import Receive, Scope, Send
from strawberry.types.execution import ExecutionResult, PreExecutionError
from structlog.contextvars import bind_contextvars

from resolvers.context import RequestContext
from schema.failures import RequestRefused, explain, failure_of
from schema.operation import Operation
from schema.service import ServiceSchema, subscriptions_need_a_stream
from server import metrics
from server.graphiql import send_page
from server.graphql_answer import encoded, encoded_failure, status_of
from server.graphql_sse import send_events
from server.graphql_websocket import GraphQLOverWebSocket
from server.http_request import (
    ClientGone,
    Parameters,
    RefusedHere,
    bearer_token,
    client_address_of,
    headers_of,
    parameters_of_get,
    parameters_of_post,
    read_body,
    request_id_of,
    require_json,
)
from server.negotiation import JSON, Accepted, accepted

_SUBSCRIPTION = OperationType.SUBSCRIPTION

# The bearer token, if one was sent, and the request's id.
OpenContext = Callable[[str | None, str], Awaitable[RequestContext]]


@dataclass(slots=True)
class _Exchange:
    """One HTTP request on its way, and the ways to answer it."""

    scope: Scope
    receive: Receive
    send: Send
    headers: dict[bytes, bytes]
    accepts: Accepted
    request_id: str
    begun_at: float
    stopping: asyncio.Event

    async def answer(self, result: ExecutionResult) -> None:
        """One result as the whole answer."""
        media_type = self.accepts.answer or JSON
        await self._send_json(status_of(result, media_type), encoded(result, self.request_id))

    async def answer_unexecuted(self, errors: list[GraphQLError]) -> None:
        """Errors of a request that was not executed; to a reader of events as an event, if trying again is no use."""
        explain(errors, self.request_id)
        result = PreExecutionError(data=None, errors=errors)
        if self.accepts.answer is None and status_of(result, JSON) == 200:
            await self.answer_events(_only(result))
        else:
            await self.answer(result)
        metrics.refused_seconds.observe(perf_counter() - self.begun_at)

    async def answer_events(self, results: AsyncGenerator[ExecutionResult | str, None]) -> None:
        """A result after the other, as an event stream."""
        await send_events(self.receive, self.send, results, self.request_id, self.stopping)

    async def refuse(self, refused: RefusedHere) -> None:
        """An HTTP status, with one error as the body."""
        body = encoded_failure(refused.code, refused.message, self.request_id)
        allow = [(b"allow", refused.allow.encode())] if refused.allow else []
        await self._send_json(refused.status, body, allow)

    async def _send_json(self, status: int, body: bytes, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
        headers = [
            (b"content-type", f"{self.accepts.answer or JSON}; charset=utf-8".encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept"),
            (b"x-request-id", self.request_id.encode()),
            *more,
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def _only(result: ExecutionResult) -> AsyncGenerator[ExecutionResult, None]:
    yield result


class GraphQLEndpoint:
    """The ASGI application behind `/graphql`.

    ``open_context`` makes the context of one operation; it is called for each, also on a WebSocket that carries
    many. ``open_reading`` does it for a single query: its viewer may be one that is only remembered. A body larger
    than ``body_bytes_max`` is refused. Pages of ``allowed_origins`` may open WebSockets too. Event streams break off
    once ``stopping`` is set.
    """

    def __init__(
        self,
        schema: ServiceSchema,
        open_context: OpenContext,
        *,
        body_bytes_max: int,
        open_reading: OpenContext | None = None,
        allowed_origins: tuple[str, ...] = (),
        stopping: asyncio.Event | None = None,
    ) -> None:
        self._schema = schema
        self._stopping = stopping or asyncio.Event()
        self._open_context = open_context
        self._open_reading = open_reading or open_context
        self._body_bytes_max = body_bytes_max
        self._websocket = GraphQLOverWebSocket(schema, open_context, allowed_origins=allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        headers = headers_of(scope["headers"])
        exchange = _Exchange(
            scope,
            receive,
            send,
            headers,
            accepted(headers.get(b"accept")),
            request_id_of(headers),
            perf_counter(),
            self._stopping,
        )
        bind_contextvars(request_id=exchange.request_id)
        if scope["method"] == "GET" and exchange.accepts.page and b"query=" not in scope["query_string"]:
            await send_page(send)
            return
        try:
            await self._serve(exchange)
        except RefusedHere as refused:
            await exchange.refuse(refused)
        except ClientGone:
            return

    async def _serve(self, exchange: _Exchange) -> None:
        if exchange.accepts.answer is None and not exchange.accepts.events:
            raise RefusedHere(406, "Accept application/graphql-response+json, application/json or text/event-stream.")
        parameters = await self._parameters(exchange)
        try:
            operation = self._operation(exchange, parameters)
            token = bearer_token(exchange.headers.get(b"authorization"))
            open_context = self._open_reading if operation.type is OperationType.QUERY else self._open_context
            context = await open_context(token, exchange.request_id)
            context.client_address = client_address_of(exchange.scope)
        except RequestRefused as refused:
            await exchange.answer_unexecuted(refused.errors)
            return
        except RefusedHere:
            raise
        except Exception as error:
            await exchange.answer_unexecuted([failure_of(error)])
            return
        if exchange.accepts.events and (exchange.accepts.answer is None or operation.type is _SUBSCRIPTION):
            await exchange.answer_events(self._schema.events(operation, parameters.variables, context))
            return
        result = await self._schema.run(operation, parameters.variables, context)
        await exchange.answer(result)
        seconds = metrics.mutation_seconds if operation.type is OperationType.MUTATION else metrics.query_seconds
        seconds.observe(perf_counter() - exchange.begun_at)

    async def _parameters(self, exchange: _Exchange) -> Parameters:
        match exchange.scope["method"]:
            case "POST":
                require_json(exchange.headers)
                return parameters_of_post(await read_body(exchange.receive, exchange.headers, self._body_bytes_max))
            case "GET":
                return parameters_of_get(exchange.scope["query_string"])
            case _:
                raise RefusedHere(405, "Use POST, or GET for queries.", allow="GET, POST")

    def _operation(self, exchange: _Exchange, parameters: Parameters) -> Operation:
        operation = self._schema.prepare(parameters.query, parameters.operation_name)
        if operation.type is OperationType.MUTATION and exchange.scope["method"] == "GET":
            raise RefusedHere(405, "Send mutations by POST.", allow="POST")
        if operation.type is _SUBSCRIPTION and not exchange.accepts.events:
            raise RequestRefused([subscriptions_need_a_stream()])
        return operation
