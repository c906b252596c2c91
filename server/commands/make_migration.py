"""`tollpath make-migration`: draft a migration from the models."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import create_async_engine

from models.migrations import run
from server.commands.common import BadEnvironment, Refused, settings_for_command, write
from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError


def make_migration(message: Annotated[str, typer.Argument(help="What it does, such as 'add a limit'.")]) -> None:
    """Write a migration from the difference between the models and the migrations so far.

    The two are compared in a database of its own that is thrown away; no other database is touched.
    Read the file it names before you commit it.
    """
    settings = settings_for_command()
    with tempfile.TemporaryDirectory(prefix="tollpath-migration-") as folder:
        try:
            with EmbeddedPostgres(Path(folder) / "data", bin_dir=settings.pg_bin, durable=False) as url:
                path = asyncio.run(_draft(url, message))
        except EmbeddedPostgresError as error:
            raise BadEnvironment(str(error)) from None
    if path is None:
        raise Refused("the migrations already make what the models say: there is nothing to write")
    write(str(path))


async def _draft(url: str, message: str) -> Path | None:
    await run.migrate(url)
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(run.draft, message)
    finally:
        await engine.dispose()
