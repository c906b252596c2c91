"""`tollpath serve`: start everything and answer until a signal."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from server.commands.common import (
    BadEnvironment,
    database_url,
    open_database,
    settings_for_command,
    write,
)
from server.listening import ListenError, address_of, bind, serve_http
from server.logs import configure_logs
from server.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 for any free one.  [default: 8000]")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the embedded PostgreSQL.  [default: .tollpath]")
    ] = None,
) -> None:
    """Start the database, bring it up to date, and serve GraphQL until Ctrl-C or SIGTERM."""
    # Not above: the GraphQL libraries take a second to import, and no other command needs them.
    from server.app import create_app

    settings = settings_for_command(host=host, port=port, data_dir=data_dir)
    configure_logs(settings.log_level, settings.log_format)
    try:
        bound = bind(settings.host, settings.port)
    except ListenError as error:
        raise BadEnvironment(str(error)) from None
    with (
        bound,
        database_url(settings) as url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):

        async def run() -> bool:
            async with open_database(settings, url):
                pass
            return await serve_http(
                create_app(settings, url), bound, lambda: write(welcome(settings, address_of(bound)))
            )

        if not runner.run(run()):
            raise BadEnvironment("the server did not start; the log above says why")


def welcome(settings: Settings, address: str) -> str:
    """What a person wants to know when the server is up."""
    database = "of DATABASE_URL" if settings.database_url else f"embedded PostgreSQL in {settings.data_dir.absolute()}"
    return f"""
Tollpath is running. Ctrl-C stops it.

  GraphQL    {address}/graphql
  GraphiQL   {address}/graphql (in a browser)
  Database   {database}
"""
