"""A database whose role may not do something, or that is read-only: every command says so in one line."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from models.database import Database
from tests.charging_tree import Tree, charging_tree
from tests.charging_world import call
from tests.command_line import Run, complaint, tollpath, tollpath_here
from tests.raw_connection import Connection, connected

ROLE = "weak_of_one_test"
RIGHT = "give its role this right, or name another in DATABASE_URL"
HEADER = "callId,username,number,startedAt,durationSeconds"
WRITES = "let it take writes, or name another in DATABASE_URL"


@pytest.fixture
async def weak_role(admin: Connection) -> AsyncIterator[str]:
    """A role that owns nothing and may do no more than everybody."""
    await admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'sesame'")
    yield ROLE
    await admin.execute(f"DROP ROLE {ROLE}")


def as_weak(database_url: str) -> str:
    """The URL of the same database for that role."""
    return make_url(database_url).set(username=ROLE, password="sesame").render_as_string(hide_password=False)


def shown(database_url: str) -> str:
    """The URL as messages show it."""
    return make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=True).replace("%2F", "/")


@pytest.fixture
async def read_only_url(tree: Tree, database_url: str) -> str:
    """A database in use, with two calls in January 2026, that takes no writes any more, as a standby does not."""
    await tree.world.booked(call(tree.keytyh, "a"), call(tree.keytyh, "b"))
    assert (await here(database_url, "migrate")).exit_code == 0
    async with connected(database_url) as connection:
        await connection.execute("ALTER DATABASE of_one_test SET default_transaction_read_only = on")
    return database_url


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    async with charging_tree(db) as tree:
        yield tree


async def here(url: str, *arguments: object, stdin: bytes | None = None) -> Run:
    return await asyncio.to_thread(tollpath_here, *arguments, stdin=stdin, DATABASE_URL=url)


@pytest.mark.usefixtures("weak_role")
async def test_a_role_that_may_make_no_tables_is_told_so(empty_database_url: str) -> None:
    url = as_weak(empty_database_url)
    expected = f"the database at {shown(url)} refuses: permission denied for schema public: {RIGHT}"
    assert complaint(await here(url, "migrate")) == expected
    assert complaint(tollpath("serve", "--port", "0", DATABASE_URL=url)) == expected


@pytest.mark.usefixtures("weak_role")
async def test_a_role_that_may_not_read_is_told_so(database_url: str) -> None:
    url = as_weak(database_url)
    expected = f"the database at {shown(url)} refuses: permission denied for table alembic_version: {RIGHT}"
    for command in ("audit", "months", "migrate", "demo"):
        assert complaint(await here(url, command)) == expected
    assert complaint(tollpath("serve", "--port", "0", DATABASE_URL=url)) == expected


@pytest.mark.usefixtures("weak_role")
async def test_a_role_that_may_read_one_table_alone_is_told_of_another(database_url: str) -> None:
    async with connected(database_url) as owner:
        await owner.execute(f"GRANT SELECT ON alembic_version TO {ROLE}")
    assert complaint(await here(as_weak(database_url), "audit")).endswith(
        f" refuses: permission denied for table calls: {RIGHT}"
    )


@pytest.mark.usefixtures("weak_role")
async def test_a_role_that_may_not_connect_is_told_so(empty_database_url: str) -> None:
    async with connected(empty_database_url) as owner:
        await owner.execute("REVOKE CONNECT ON DATABASE empty_of_one_test FROM PUBLIC")
    said = complaint(await here(as_weak(empty_database_url), "migrate"))
    assert ' refuses the sign-in: permission denied for database "empty_of_one_test"' in said


async def test_a_read_only_database_is_said_in_one_line(read_only_url: str, tmp_path: Path) -> None:
    calls, rates = tmp_path / "calls.csv", tmp_path / "rates.csv"
    calls.write_text(f"{HEADER}\nc,keytyh*good,+4312345,2026-01-31T13:00:00Z,90\n")
    rates.write_text("prefix,destination,rate\n43,Austria,0.1\n")
    for arguments in (
        ("reset-password", "op", "--password-stdin"),
        ("demo",),
        ("import-calls", calls),
        ("import-rates", rates),
        ("drop-month", "2026-01", "--yes"),
    ):
        said = complaint(await here(read_only_url, *arguments, stdin=b"brand new\n"))
        assert said.startswith(f"the database at {shown(read_only_url)} refuses: cannot execute "), arguments
        assert said.endswith(f" in a read-only transaction: {WRITES}"), arguments


async def test_what_only_reads_works_on_a_read_only_database(read_only_url: str) -> None:
    for command in ("audit", "months", "migrate"):
        assert (await here(read_only_url, command)).exit_code == 0


async def test_a_new_database_that_is_read_only_is_said_in_one_line(empty_database_url: str) -> None:
    async with connected(empty_database_url) as connection:
        await connection.execute("ALTER DATABASE empty_of_one_test SET default_transaction_read_only = on")
    for command in ("migrate", "demo"):
        assert complaint(await here(empty_database_url, command)).endswith(
            f" refuses: cannot execute CREATE TABLE in a read-only transaction: {WRITES}"
        )


async def test_no_error_shows_the_parameters_of_its_statement(db: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with db.transaction() as tx:
            await tx.execute(text("INSERT INTO no_such_table VALUES (:hash)"), {"hash": "$argon2id$secret"})
    assert "no_such_table" in str(caught.value)
    assert "secret" not in str(caught.value)
