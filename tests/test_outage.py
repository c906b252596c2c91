"""A database that is away or too busy is told apart from a bug of ours, whichever way it shows."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import models.database
from models.database import Database
from models.outage import is_database_outage
from tests.raw_connection import connect

TERMINATE_ALL_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def terminate_connections(database_url: str) -> None:
    connection = await connect(database_url)
    await connection.execute(TERMINATE_ALL_OTHERS)
    await connection.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://nobody@127.0.0.1:1/none",
        "postgresql://nobody@/none?host=/there/is/no/such/folder",
        "postgresql://nobody@no-such-host.invalid/none",
    ],
)
async def test_a_database_that_cannot_be_reached_is_an_outage(url: str) -> None:
    database = Database(url)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - each has another class and text
        await read(database, "SELECT 1")
    assert is_database_outage(caught.value)


async def read(database: Database, statement: str) -> None:
    async with database.read() as connection:
        await connection.execute(text(statement))


async def test_a_connection_that_is_cut_is_an_outage_and_the_next_one_works(db: Database, database_url: str) -> None:
    with pytest.raises(DBAPIError) as caught:
        await read_while_cut(db, database_url)
    assert is_database_outage(caught.value)
    await read(db, "SELECT 1")


async def read_while_cut(database: Database, database_url: str) -> None:
    async with database.transaction() as tx:
        await terminate_connections(database_url)
        await tx.execute(text("SELECT 1"))


async def test_a_raw_connection_that_was_cut_is_an_outage_at_once_and_ever_after(
    db: Database, database_url: str
) -> None:
    connection = await db.listen_connection()
    await terminate_connections(database_url)
    for _ in range(2):
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)) as caught:
            await connection.execute("SELECT 1")
        assert is_database_outage(caught.value)


async def test_a_statement_or_lock_that_takes_too_long_is_an_outage(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(text("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"))
        for setting in ("statement_timeout", "lock_timeout"):
            with pytest.raises(DBAPIError) as caught:
                await read_within(db, setting)
            assert is_database_outage(caught.value)


async def read_within(database: Database, setting: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(f"SET LOCAL {setting} = '10ms'"))
        await tx.execute(text("SELECT count(*) FROM accounts"))


async def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_the_limit(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.database, "_ANSWER_TIMEOUT_S", 0.1)
    database = Database(database_url)
    try:
        with pytest.raises((DBAPIError, TimeoutError)) as caught:
            await read(database, "SELECT pg_sleep(10)")
        assert is_database_outage(caught.value)
    finally:
        await database.close()


@pytest.mark.parametrize("statement", ["SELECT nothing", "SELECT 1 / 0", "INSERT INTO pricing_epoch VALUES (false)"])
async def test_a_wrong_statement_is_none(db: Database, statement: str) -> None:
    with pytest.raises(DBAPIError) as caught:
        await read(db, statement)
    assert not is_database_outage(caught.value)


@pytest.mark.parametrize("error", [ZeroDivisionError(), ValueError("closed"), asyncio.CancelledError()])
def test_what_has_nothing_to_do_with_the_database_is_none(error: BaseException) -> None:
    assert not is_database_outage(error)


def test_a_rollback_that_fails_because_the_connection_was_cut_is_an_outage() -> None:
    cut = asyncpg.InternalClientError("cannot switch to state 21; another operation (2) is in progress")
    rollback = asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    assert not is_database_outage(rollback)
    rollback.__context__ = cut
    assert is_database_outage(rollback)
