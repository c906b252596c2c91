"""`tollpath serve`: start everything and answer until a signal."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from billing.errors import Refusal
from server.commands.common import (
    BadEnvironment,
    Opened,
    Refused,
    database_server,
    open_database,
    settings_for_command,
    write,
)
from server.commands.demo import demo_text
from server.demo import Demo, load_demo
from server.embedded_postgres import EmbeddedPostgres
from server.listening import ListenError, address_of, bind, serve_http
from server.logs import configure_logs
from server.postgres_watch import kept_running
from server.settings import Settings
from server.workers import serve_by_workers


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 for any free one.  [default: 8000]")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the embedded PostgreSQL.  [default: .tollpath]")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes on the one port.  [default: 1]")] = None,
    with_demo: Annotated[
        bool, typer.Option("--demo", help="Load the demo on the first start, and print how to try it.")
    ] = False,
) -> None:
    """Start the database, bring it up to date, and serve GraphQL until Ctrl-C or SIGTERM."""
    settings = settings_for_command(host=host, port=port, data_dir=data_dir, workers=workers)
    configure_logs(settings.log_level, settings.log_format)
    try:
        bound = bind(settings.host, settings.port)
    except ListenError as error:
        raise BadEnvironment(str(error)) from None

    async def run(url: str, embedded: EmbeddedPostgres | None) -> bool:
        async with open_database(settings, url) as opened:
            demo = await _load_demo(opened) if with_demo else None
        address = address_of(bound)

        def greet() -> None:
            write(welcome(settings, address))
            if demo is not None:
                write(demo_text(demo, address))

        async with kept_running(embedded):
            if settings.workers > 1:
                return await serve_by_workers(settings, bound, greet)
            # Not above: the GraphQL libraries take a second to import, which no other command needs, nor a refusal.
            from server.app import create_app

            app = create_app(settings, url)
            return await serve_http(app, bound, greet, trusted_proxies=settings.trusted_proxies)

    with (
        bound,
        database_server(settings) as (url, embedded),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if not runner.run(run(url, embedded)):
            raise BadEnvironment("the server did not start; the log above says why")


async def _load_demo(opened: Opened) -> Demo | None:
    try:
        return await load_demo(opened.settings, opened.url, on_first_start_only=True)
    except Refusal as refusal:
        raise Refused(f"the demo cannot be loaded: {refusal.message}") from None


def welcome(settings: Settings, address: str) -> str:
    """What a person wants to know when the server is up."""
    database = "of DATABASE_URL" if settings.database_url else f"embedded PostgreSQL in {settings.data_dir.absolute()}"
    workers = f"\n  Workers    {settings.workers} processes" if settings.workers > 1 else ""
    return f"""
Tollpath is running. Ctrl-C stops it.

  GraphQL    {address}/graphql
  GraphiQL   {address}/graphql (in a browser){workers}
  Database   {database}
"""
