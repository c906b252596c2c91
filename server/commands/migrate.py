"""`tollpath migrate`: bring the database up to date."""

from pathlib import Path
from typing import Annotated

import typer

from models.migrations.run import newest_revision
from server.commands.common import Opened, settings_for_command, with_database, write, write_json


def migrate(
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded PostgreSQL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Bring the database to the newest revision; on the first start also make the operator.

    `serve` does it by itself. Running it again changes nothing.
    """

    async def work(_: Opened) -> None:
        revision = newest_revision()
        if as_json:
            write_json({"revision": revision})
        else:
            write(f"The database is up to date (revision {revision}).")

    with_database(settings_for_command(data_dir=data_dir), work)
