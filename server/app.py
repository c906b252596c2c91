"""The web application: what is served where, and what lives as long as it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from models.migrations.run import newest_revision
from resolvers.context import RequestContext, Services
from resolvers.viewers import Viewers
from schema.assembled import schema
from server.exports.endpoint import ExportEndpoint
from server.graphiql import STATIC_FOLDER
from server.graphql_http import GraphQLEndpoint
from server.health import healthz, readiness
from server.metrics import metrics
from server.services import open_services
from server.settings import Settings


class _Process:
    """The services of the running application, once its lifespan has opened them."""

    services: Services
    viewers: Viewers

    async def open_context(self, token: str | None, request_id: str) -> RequestContext:
        viewer = await self.viewers.of_token(token) if token else None
        return RequestContext(services=self.services, viewer=viewer, request_id=request_id)

    async def open_reading(self, token: str | None, request_id: str) -> RequestContext:
        """For one query: who sent it is looked up together with what it asks for, if that can be done."""
        remembered = self.viewers.remembered(token) if token else None
        if remembered is None:
            return await self.open_context(token, request_id)
        return RequestContext(services=self.services, remembered=remembered, request_id=request_id)


class _Application(Starlette):
    """Starlette, except that `/graphql` is reached without its layers: a twentieth of what a small query costs."""

    def __init__(self, graphql: ASGIApp, **settings: Any) -> None:
        super().__init__(**settings)
        self._graphql = graphql

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope["path"] == "/graphql":
            scope["app"] = self
            await self._graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings, database_url: str) -> Starlette:
    """The application on a migrated database. It opens its services when it starts and closes them when it ends.

    ``state.stopping`` of the application is to be set when it should end: event streams then break off.
    """
    process = _Process()
    stopping = asyncio.Event()
    revision = newest_revision()
    origins = tuple(settings.allowed_origins.split())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_services(settings, database_url) as process.services:
            process.viewers = Viewers(process.services.db)
            yield

    async def readyz(request: Request) -> JSONResponse:
        return await readiness(process.services.db, revision)

    async def root(request: Request) -> RedirectResponse:
        return RedirectResponse("graphql")

    graphql = GraphQLEndpoint(
        schema,
        process.open_context,
        open_reading=process.open_reading,
        body_bytes_max=settings.request_bytes_max,
        allowed_origins=origins,
        stopping=stopping,
    )
    cross_origin = _cross_origin(origins)
    app = _Application(
        _wrapped(graphql, cross_origin),
        lifespan=lifespan,
        middleware=cross_origin,
        routes=[
            # Never come to, but what Starlette sends `/graphql/` on to.
            Route("/graphql", graphql),
            Route("/export/{file}", ExportEndpoint(process.open_context, stopping)),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Mount("/static", StaticFiles(directory=STATIC_FOLDER)),
            Route("/", root),
        ],
    )
    app.state.stopping = stopping
    return app


def _wrapped(app: ASGIApp, middleware: list[Middleware]) -> ASGIApp:
    for layer in reversed(middleware):
        app = layer.cls(app, *layer.args, **layer.kwargs)
    return app


def _cross_origin(origins: tuple[str, ...]) -> list[Middleware]:
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["content-disposition", "x-request-id"],
        )
    ]
