"""GraphQL over WebSocket: the protocol graphql-transport-ws (npm graphql-ws), and no older one."""

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.types.execution import PreExecutionError
from strawberry.types.unset import UNSET, UnsetType
from structlog.contextvars import bind_contextvars

from resolvers.context import RequestContext
from schema.failures import FailureCode, explain, failure, failure_of
from schema.service import ServiceSchema
from server.http_request import bearer_token, client_address_of, headers_of, request_id_of
from server.metrics import websocket_connections
from server.websocket_push import Push, push_of

log = structlog.get_logger(__name__)

_NO_PAYLOAD: UnsetType = UNSET
_OPERATIONS_MAX = 100
_CONNECTION_INIT_WAIT = timedelta(seconds=10)
_CONNECTION = "tollpath.connection"
_TRY_AGAIN_LATER = 1013
_INTERNAL_ERROR = 1011


@dataclass(slots=True)
class Connection:
    """What a WebSocket carries from its handshake; ``connection_params`` is the payload of connection_init."""

    header_token: str | None
    request_id: str
    send: Send
    client_address: str = ""
    push: Push | None = None
    connection_params: Mapping[str, object] | None = None

    @property
    def token(self) -> str | None:
        """The bearer token: the payload's ``Authorization`` (whatever its case), else the handshake's header."""
        for name, value in (self.connection_params or {}).items():
            if name.lower() == "authorization" and isinstance(value, str):
                return bearer_token(value)
        return self.header_token


class _Adapter(ASGIWebSocketAdapter):
    async def send_json(self, message: Mapping[str, object]) -> None:
        text = self.view.encode_json(message)
        assert isinstance(text, str), "bytes would go out as a binary frame"
        await self.send_text(text)

    async def send_text(self, text: str) -> None:
        """A message that is JSON already."""
        if self.ws.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnected
        connection: Connection = self.ws.scope[_CONNECTION]
        try:
            # Not through Starlette's WebSocket: it would look once more at what was looked at above.
            await connection.send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError) as error:
            # RuntimeError: the server has closed the connection of one who answered no ping.
            raise WebSocketDisconnected from error


class _Handler(BaseGraphQLTransportWSHandler[Any, None]):
    """Strawberry's handler of the protocol, where it trusts its client too much or gives up too early."""

    view: "GraphQLOverWebSocket"
    websocket: _Adapter

    async def handle_message(self, message: Any) -> None:
        if isinstance(message, dict) and message.get("payload", _NO_PAYLOAD) is None:
            message = {key: value for key, value in message.items() if key != "payload"}
        if problem := _malformed(message):
            await self.handle_invalid_message(problem)
        else:
            await super().handle_message(message)

    async def handle_connection_init(self, message: Any) -> None:
        try:
            await super().handle_connection_init(message)
        except WebSocketDisconnected:
            raise
        except Exception as error:
            errors = [failure_of(error)]
            explain(errors, self.context.request_id)
            unavailable = (errors[0].extensions or {})["code"] == FailureCode.SERVICE_UNAVAILABLE
            await self.websocket.close(_TRY_AGAIN_LATER if unavailable else _INTERNAL_ERROR, errors[0].message)

    async def handle_subscribe(self, message: Any) -> None:
        if self.connection_acknowledged and len(self.operations) >= _OPERATIONS_MAX:
            errors = [failure(FailureCode.THROTTLED, f"More than {_OPERATIONS_MAX} operations on one connection.")]
            explain(errors, self.context.request_id)
            await self.send_message({"id": message["id"], "type": "error", "payload": [errors[0].formatted]})
        else:
            await super().handle_subscribe(message)

    async def run_operation(self, operation: Operation[Any, None]) -> None:
        """Run it in a context of its own: who is asking is looked up each time, and loaders remember one operation."""
        connection: Connection = self.context
        try:
            context = await self.view.open_context(connection.token, connection.request_id)
            context.client_address = connection.client_address
        except Exception as error:
            errors = [failure_of(error)]
            explain(errors, connection.request_id)
            await operation.send_initial_errors(errors)
            return
        if (push := connection.push) is not None:
            beginning = self._beginning_of_next(operation)

            def push_event(text: str) -> bool:
                # Once it is no longer here, its id may already be another's.
                return self.operations.get(operation.id) is operation and push(f"{beginning}{text}}}")

            context.push_event = push_event
        handler = copy(self)
        handler.context = context
        await super(_Handler, handler).run_operation(operation)

    async def _send_result_stream(self, operation: Operation[Any, None], result_source: Any) -> None:
        """Strawberry's own, and what is text already goes out as it is: the bytes are the same."""
        beginning = self._beginning_of_next(operation)
        is_first = True  # what is pushed never is
        async for result in result_source:
            if isinstance(result, str):
                await self.websocket.send_text(f"{beginning}{result}}}")
            elif is_first and isinstance(result, PreExecutionError):
                await self._handle_pre_execution_error(operation, result)
                return
            else:
                await operation.send_next(result)
            is_first = False

    def _beginning_of_next(self, operation: Operation[Any, None]) -> str:
        """What stands before the payload of a result, as Strawberry would write it."""
        return f'{{"id":{self.view.encode_json(operation.id)},"type":"next","payload":'

    async def handle_task_exception(self, error: Exception) -> None:
        if not isinstance(error, WebSocketDisconnected):
            log.error("websocket_operation_failed", request_id=self.context.request_id, exc_info=error)

    @staticmethod
    def _get_pre_execution_close_reason(error: object) -> str | None:
        # A text that cannot be parsed ends its own operation, not every other one on the connection.
        return None


class GraphQLOverWebSocket(GraphQL[Any, None]):
    """Serves WebSockets. The rest of Strawberry's view is not used."""

    websocket_adapter_class = _Adapter
    graphql_transport_ws_handler_class = _Handler

    def __init__(
        self,
        schema: ServiceSchema,
        open_context: Callable[[str | None, str], Awaitable[RequestContext]],
        *,
        allowed_origins: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=_CONNECTION_INIT_WAIT,
            max_subscriptions_per_connection=None,
            allowed_origins=allowed_origins,
        )
        self.open_context = open_context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until either side closes it."""
        headers = headers_of(scope["headers"])
        scope[_CONNECTION] = Connection(
            bearer_token(headers.get(b"authorization")),
            request_id_of(headers),
            send,
            client_address_of(scope),
            push_of(scope),
        )
        bind_contextvars(request_id=scope[_CONNECTION].request_id)
        websocket_connections.inc()
        try:
            await super().__call__(scope, receive, send)
        finally:
            websocket_connections.dec()

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Connection:
        """The connection's own state, from which each operation gets its context."""
        connection: Connection = request.scope[_CONNECTION]
        return connection

    async def create_websocket_response(self, request: WebSocket, subprotocol: str | None) -> WebSocket:
        """Accept the handshake, naming the request's id."""
        connection: Connection = request.scope[_CONNECTION]
        await request.accept(subprotocol=subprotocol, headers=[(b"x-request-id", connection.request_id.encode())])
        return request

    async def on_ws_connect(self, context: Connection) -> UnsetType | dict[str, object] | None:
        """Close at once (4403) where a token was sent that is none; without a token the connection is anonymous."""
        if context.token is not None:
            opened = await self.open_context(context.token, context.request_id)
            if opened.viewer is None:
                raise ConnectionRejectionError
        return _NO_PAYLOAD

    def decode_json(self, data: str | bytes) -> object:
        """JSON as orjson reads it: strict."""
        return orjson.loads(data)

    def encode_json(self, data: object) -> str:
        """JSON as text: bytes would go out as a binary frame, which clients refuse."""
        return orjson.dumps(data).decode()


def _malformed(message: object) -> str | None:
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return "A message must be an object with a type"
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        return "A payload must be an object"
    if message["type"] in ("subscribe", "complete") and not isinstance(message.get("id"), str):
        return "The id must be a text"
    if message["type"] == "subscribe":
        payload = payload or {}
        if not isinstance(payload.get("query"), str):
            return "The query must be a text"
        if not isinstance(payload.get("variables"), dict | None):
            return "The variables must be an object"
        if not isinstance(payload.get("operationName"), str | None):
            return "The operationName must be a text"
    return None
