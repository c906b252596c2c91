"""Fixtures that every test may use. The database is always a real, migrated PostgreSQL: the embedded one."""

import functools
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

from billing import balances
from models.database import Database
from models.migrations.run import migrate
from server.embedded_postgres import EmbeddedPostgres
from tests.graphql_client import Api, running_api
from tests.raw_connection import connect

# Modules of helpers whose asserts are to say what they compared.
pytest.register_assert_rewrite(
    *("tests.simulated_world", "tests.simulated_steps", "tests.simulated_holds", "tests.simulated_races"),
    "tests.simulated_run",
)

TEMPLATE = "migrated_template"
MEMORY = Path("/dev/shm")
# A whole run takes less than a gigabyte.
MEMORY_BYTES_MIN = 4_000_000_000


def _is_roomy_memory() -> bool:
    """Whether there is a folder in memory that takes the files of a run, and lets the programs among them start."""
    if not (os.path.ismount(MEMORY) and os.access(MEMORY, os.W_OK | os.X_OK)):
        return False
    return shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC


# A database of its own for each test is 400 files, which some disks take half a second to make; memory takes none.
# No test crashes the machine, so nothing depends on a disk.
if _is_roomy_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# Each application that starts makes an HTTP client for webhooks, which reads the certificates of a hundred authorities
# anew: 40 ms a test. They are the same for all.
ssl.create_default_context = functools.cache(ssl.create_default_context)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A loud line for each kind of test that lacked a program on this machine."""
    reasons = {str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped")}
    for reason in sorted(reason for reason in reasons if reason.endswith("DID NOT RUN")):
        terminalreporter.write_line(f"!!! {reason} !!!", red=True, bold=True)


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False).replace("%2F", "/")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of this test run; without fsync, which only matters when the machine crashes."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False) as url:
        yield url


@pytest.fixture(scope="session")
async def admin(postgres: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection that makes and drops databases; it has made the migrated template."""
    connection = await connect(postgres)
    await connection.execute(f"CREATE DATABASE {TEMPLATE}")
    await migrate(_text(make_url(postgres).set(database=TEMPLATE)))
    yield connection
    await connection.close()


@pytest.fixture
async def empty_database_url(admin: "asyncpg.Connection[asyncpg.Record]", postgres: str) -> AsyncIterator[str]:
    """The URL of a database of this test alone in which there is nothing."""
    await admin.execute("CREATE DATABASE empty_of_one_test")
    yield _text(make_url(postgres).set(database="empty_of_one_test"))
    await admin.execute("DROP DATABASE empty_of_one_test WITH (FORCE)")


@pytest.fixture
async def database_url(admin: "asyncpg.Connection[asyncpg.Record]", postgres: str) -> AsyncIterator[str]:
    """The URL of a migrated database of this test alone, without rows."""
    # A file copy takes 12 ms, the default (through the WAL) 90.
    await admin.execute(f"CREATE DATABASE of_one_test TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    yield _text(make_url(postgres).set(database="of_one_test"))
    await admin.execute("DROP DATABASE of_one_test WITH (FORCE)")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A `Database` on `database_url`."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    """The application on `database_url`, with an operator, to ask through GraphQL."""
    async with running_api(database_url) as api:
        yield api


@pytest.fixture(scope="session")
def stopped_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the embedded PostgreSQL as a first start and a stop leave it. Not to be changed."""
    data_dir = tmp_path_factory.mktemp("embedded") / "data"
    with EmbeddedPostgres(data_dir):
        pass
    return data_dir


@pytest.fixture
def data_dir(stopped_data_dir: Path, tmp_path: Path) -> Path:
    """Such a folder of this test alone."""
    subprocess.run(["cp", "-a", stopped_data_dir, tmp_path / "data"], check=True)
    return tmp_path / "data"


@pytest.fixture(params=["OLD", "looked for once more"])
def statement_of_each_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Charging by the statement for PostgreSQL 18, and by that for those before it, which 18 understands as well."""
    if request.param != "OLD":
        monkeypatch.setattr(balances, "_of_server", lambda by_version, _: by_version[0])
