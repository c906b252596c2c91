"""A small schema behind the real HTTP face, with every way a field can go wrong; and a real server to put it on."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NewType

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from strawberry.schema.config import StrawberryConfig

from billing.errors import InvalidNumber
from billing.tokens import Scope
from models.database import Database
from resolvers.access import Viewer
from resolvers.context import RequestContext
from resolvers.request_errors import Forbidden, Unauthenticated
from schema.info import Info
from schema.service import ServiceSchema
from server.graphiql import STATIC_FOLDER
from server.graphql_http import GraphQLEndpoint
from server.websocket_push import PushingWebSocket

BODY_BYTES_MAX = 20_000
# Nothing listens on this port: it is reserved and needs no privilege to be refused.
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"

Opaque = NewType("Opaque", object)


class Seen:
    """What the resolvers did."""

    def __init__(self) -> None:
        self.changes = 0
        self.open_subscriptions = 0
        self.contexts: list[RequestContext] = []
        self._no_subscription = asyncio.Event()

    @contextmanager
    def subscription(self) -> Iterator[None]:
        """Counts a subscription for as long as its resolver lives."""
        self._no_subscription.clear()
        self.open_subscriptions += 1
        try:
            yield
        finally:
            self.open_subscriptions -= 1
            if not self.open_subscriptions:
                self._no_subscription.set()

    async def no_subscription(self) -> None:
        """Wait until the last of them has ended."""
        async with asyncio.timeout(5):
            await self._no_subscription.wait()


@strawberry.type
class Account:
    id: strawberry.ID
    username: str

    @strawberry.field
    async def parent(self) -> "Account":
        return self


@strawberry.type
class Query:
    @strawberry.field
    async def account(self, id: strawberry.ID) -> Account:
        return Account(id=id, username="keytyh*good")

    @strawberry.field
    async def viewer(self, info: Info) -> str | None:
        return info.context.viewer and info.context.viewer.username

    @strawberry.field
    async def half(self, number: int) -> int:
        return number // 2

    @strawberry.field
    async def bug(self) -> str | None:
        raise ZeroDivisionError("the secret is in here")

    @strawberry.field
    async def too_large_for_int(self) -> int | None:
        return 3_000_000_000

    @strawberry.field
    async def opaque(self) -> Opaque:
        return Opaque(object())

    @strawberry.field
    async def signed_in(self) -> str | None:
        raise Unauthenticated

    @strawberry.field
    async def scoped(self) -> str | None:
        raise Forbidden("This token does not carry the scope MANAGE.")

    @strawberry.field
    async def quote(self, number: str) -> str | None:
        raise InvalidNumber(number)

    @strawberry.field
    async def stored(self) -> str | None:
        return await read_of_no_database()


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def change(self, info: Info) -> int:
        seen(info.context).changes += 1
        return seen(info.context).changes


@strawberry.type
class Tick:
    left: int


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def countdown(self, info: Info, start: int) -> AsyncIterator[Tick]:
        with seen(info.context).subscription():
            for left in range(start, -1, -1):
                yield Tick(left=left)

    @strawberry.subscription
    async def forever(self, info: Info) -> AsyncIterator[Tick]:
        with seen(info.context).subscription():
            yield Tick(left=1)
            await asyncio.Event().wait()

    @strawberry.subscription
    async def signed_in(self) -> AsyncIterator[Tick]:
        raise Unauthenticated
        yield Tick(left=0)

    @strawberry.subscription
    async def broken_off(self) -> AsyncIterator[Tick]:
        yield Tick(left=1)
        raise Unauthenticated


async def read_of_no_database() -> str:
    database = Database(NO_DATABASE)
    try:
        async with database.read():
            return "reached"
    finally:
        await database.close()


def seen(context: RequestContext) -> Seen:
    found = context.services
    assert isinstance(found, Seen)
    return found


def viewer_of(token: str | None) -> Viewer | None:
    if token != "good":
        return None
    return Viewer(
        account_id=2, username="keytyh*good", path=(1, 2), is_reseller=False, scopes=frozenset(Scope), token_id=1
    )


class Face:
    """The HTTP face on the small schema; ``seen`` may be replaced between tests.

    The token "good" is somebody's; with "database away" no database is found.
    """

    def __init__(self) -> None:
        self.seen = Seen()
        config = StrawberryConfig(scalar_map={Opaque: strawberry.scalar(name="Opaque", serialize=lambda value: value)})
        schema = ServiceSchema(Query, Mutation, Subscription, config=config)
        graphql = GraphQLEndpoint(schema, self._open_context, body_bytes_max=BODY_BYTES_MAX)
        self.app = Starlette(
            routes=[
                Route("/graphql", graphql),
                WebSocketRoute("/graphql", graphql),
                Mount("/static", StaticFiles(directory=STATIC_FOLDER)),
            ]
        )

    async def _open_context(self, token: str | None, request_id: str) -> RequestContext:
        if token == "database away":
            await read_of_no_database()
        context = RequestContext(services=self.seen, viewer=viewer_of(token), request_id=request_id)
        self.seen.contexts.append(context)
        return context


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running(app: Starlette, *, bound: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve the app with uvicorn in this event loop; gives the address, such as http://127.0.0.1:4711."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http="httptools",
        ws=PushingWebSocket,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(None if bound is None else [bound]))
    while not server.started:
        if serving.done():
            serving.result()
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
