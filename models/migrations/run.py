"""Migrations without an ini file: the only settings are the folder and the connection."""

from argparse import Namespace
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from models.database import database_url
from models.migrations.comparison import COMPARISON
from models.tables import Base

_FOLDER = Path(__file__).parent


class NewerDatabaseError(Exception):
    """The database has a revision that this code does not know: it was migrated by newer code."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, with the connection that env.py uses."""
    # quiet: what it does is told by whoever calls it, not on standard output.
    settings = Config(cmd_opts=Namespace(quiet=True))
    settings.set_main_option("script_location", str(_FOLDER))
    settings.set_main_option("path_separator", "os")
    settings.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    settings.attributes["connection"] = connection
    return settings


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at, None where it has never been migrated."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """The newest revision this code knows."""
    head = ScriptDirectory.from_config(config()).get_current_head()
    assert head is not None
    return head


def known_revision(connection: Connection) -> str | None:
    """The revision the database is at, None where it has never been migrated.

    Raises: NewerDatabaseError when this code does not know it.
    """
    present = current_revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    if present is not None and present not in known:
        raise NewerDatabaseError(
            f"The database is at revision {present}, which this version of Tollpath does not know: "
            "start the newer version that migrated it."
        )
    return present


def upgrade(connection: Connection, target: str = "head") -> None:
    """Migrate forward. Raises: NewerDatabaseError."""
    known_revision(connection)
    command.upgrade(config(connection), target)


def downgrade(connection: Connection, target: str) -> None:
    """Migrate back to ``target``."""
    command.downgrade(config(connection), target)


def draft(connection: Connection, message: str) -> Path | None:
    """Write a migration that brings the database, which is at the newest revision, to the models.

    Returns the new file, to be read and mended by a person; None where the models need no migration.
    """
    context = MigrationContext.configure(connection, opts=COMPARISON)
    if not compare_metadata(context, Base.metadata):
        return None
    number = int(newest_revision()) + 1
    script = command.revision(config(connection), message, autogenerate=True, rev_id=f"{number:04d}")
    assert isinstance(script, Script)
    return Path(script.path)


async def migrate(url: str) -> None:
    """Bring the database at ``url`` to the newest revision, one process at a time (an advisory lock)."""
    engine = create_async_engine(database_url(url), hide_parameters=True)
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('tollpath migrations'))")
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()
