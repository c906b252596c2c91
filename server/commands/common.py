"""What commands share: settings, the database from opening to closing, output, and how a failure is said.

Exit codes: 0 done; 1 refused, or differences found; 2 wrong use or environment. A failure is one line on stderr.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import orjson
import uvloop

from billing.call_months import make_coming_months
from billing.errors import Refusal
from models.database import Database
from models.migrations import run
from models.outage import is_database_outage
from server.database_refusal import database_refusal
from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from server.first_start import ensure_operator
from server.settings import Settings, SettingsError, load_settings

CONNECT_TIMEOUT_S = 5.0
# PostgreSQL 15: the oldest that knows NULLS NOT DISTINCT.
SERVER_VERSION_MIN = 15

T = TypeVar("T")


class CommandError(Exception):
    """A command cannot go on; its text is shown to the person as one line."""

    exit_code = 2


class Refused(CommandError):
    """The command understood and refuses, or found what it was to look for."""

    exit_code = 1


class BadEnvironment(CommandError):
    """An option, a file, a port, a folder or a database is not as it has to be."""


@dataclass(frozen=True)
class Opened:
    """An open, migrated database. ``url`` carries the password."""

    settings: Settings
    url: str
    database: Database

    @property
    def name(self) -> str:
        """Which database it is, for people: where it is and what it is called there; never with a password."""
        if self.settings.database_url is None:
            return f"{self.database.url.database} in {self.settings.data_dir.absolute()}"
        return _address(self.database)


def settings_for_command(**overrides: Any) -> Settings:
    """The settings with what the command line says. Raises: BadEnvironment."""
    try:
        return load_settings(**overrides)
    except SettingsError as error:
        raise BadEnvironment(str(error)) from None


def with_database(
    settings: Settings, work: Callable[[Opened], Awaitable[T]], *, migrate: bool = True, create: bool | None = None
) -> T:
    """Run ``work`` with the database of the settings, and close everything behind it.

    With ``migrate`` the database is brought up to date first and the operator is made on the first start; without,
    a database that is not up to date is refused. Without ``create``, by default as ``migrate``, a data folder in which
    there is none is refused as well: in the wrong folder nobody is to find empty books. Raises: BadEnvironment.
    """

    async def all_of_it(url: str) -> T:
        async with open_database(settings, url, migrate=migrate) as opened:
            return await work(opened)

    with (
        database_url(settings, create=migrate if create is None else create) as url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        try:
            return runner.run(all_of_it(url))
        except Exception as error:
            if is_database_outage(error) and not isinstance(error, BrokenPipeError):
                raise BadEnvironment(f"the database went away: {one_line(error)}; run the command again") from None
            raise


@contextmanager
def database_url(settings: Settings, *, create: bool = True) -> Iterator[str]:
    """`DATABASE_URL`, or the embedded server for as long as the context lives. Raises: BadEnvironment."""
    with database_server(settings, create=create) as (url, _):
        yield url


@contextmanager
def database_server(settings: Settings, *, create: bool = True) -> Iterator[tuple[str, EmbeddedPostgres | None]]:
    """The same, with the embedded server if it is that one."""
    if settings.database_url is not None:
        yield settings.database_url, None
        return
    embedded = EmbeddedPostgres(settings.data_dir, bin_dir=settings.pg_bin, create=create)
    try:
        url = embedded.start()
    except EmbeddedPostgresError as error:
        raise BadEnvironment(str(error)) from None
    try:
        yield url, embedded
    finally:
        embedded.stop()


@asynccontextmanager
async def open_database(settings: Settings, url: str, *, migrate: bool = True) -> AsyncIterator[Opened]:
    """The database at ``url``, checked and prepared as `with_database` says. Raises: BadEnvironment."""
    database = Database(url)
    try:
        await _check_server(database)
        if migrate:
            await _migrate(url)
            await make_coming_months(database)
            await _make_operator(database, settings)
        else:
            await _check_revision(database)
        yield Opened(settings, url, database)
    except Exception as error:
        refusal = database_refusal(error)
        if refusal is None:
            raise
        raise BadEnvironment(f"the database at {_address(database)} refuses: {refusal}") from None
    finally:
        await database.close()


def _address(database: Database) -> str:
    # The folder of a socket is easier to read as it is.
    return database.url.set(drivername="postgresql").render_as_string(hide_password=True).replace("%2F", "/")


async def _check_server(database: Database) -> None:
    address = _address(database)
    check = "check DATABASE_URL, and that this server runs"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            connection = await database.listen_connection()
    except TimeoutError:
        raise BadEnvironment(f"no database answers at {address} in {CONNECT_TIMEOUT_S:.0f} s: {check}") from None
    except asyncpg.InvalidCatalogNameError:
        name = database.url.database
        raise BadEnvironment(f"there is no database {name!r} at {address}: CREATE DATABASE it first") from None
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError) as error:
        raise BadEnvironment(f"the database at {address} refuses the sign-in: {one_line(error)}") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or one_line(error)
        raise BadEnvironment(f"cannot reach the database at {address} ({reason}): {check}") from None
    try:
        version = connection.get_server_version()
    finally:
        await connection.close()
    if version.major < SERVER_VERSION_MIN:
        raise BadEnvironment(
            f"the database at {address} is PostgreSQL {version.major}; {SERVER_VERSION_MIN} is the oldest supported"
        )


async def _migrate(url: str) -> None:
    try:
        await run.migrate(url)
    except run.NewerDatabaseError as error:
        raise BadEnvironment(one_line(error)) from None


async def _check_revision(database: Database) -> None:
    async with database.read() as connection:
        try:
            present = await connection.run_sync(run.known_revision)
        except run.NewerDatabaseError as error:
            raise BadEnvironment(one_line(error)) from None
    if present != run.newest_revision():
        raise BadEnvironment("the database is not up to date: run `tollpath migrate` first")


async def _make_operator(database: Database, settings: Settings) -> None:
    try:
        password = await ensure_operator(database, settings)
    except Refusal as refusal:
        variable = f"TOLLPATH_OPERATOR_{refusal.path[-1].upper()}" if refusal.path else "the operator"
        raise BadEnvironment(f"{variable}: {refusal.message}") from None
    if password is not None:
        say(
            f"The operator is made. Username: {settings.operator_username}  Password: {password}\n"
            "(The password is shown this once; set TOLLPATH_OPERATOR_PASSWORD to choose it.)"
        )


def existing_file(path: Path) -> Path:
    """The path, if it is a readable file with something in it. Raises: BadEnvironment."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise BadEnvironment(f"{path} is empty")
    except OSError as error:
        raise BadEnvironment(f"cannot read {path}: {error.strerror}") from None
    return path


def say(text: str) -> None:
    """A line for the person, beside the command's own output: on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def write(text: str) -> None:
    """The command's own output: on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """The command's own output for programs: one JSON object on stdout."""
    write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def one_line(error: BaseException) -> str:
    """An exception's text without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
