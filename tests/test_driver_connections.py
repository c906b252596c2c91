"""The driver's own connections: few, used again, and never one whose state is not sure."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from models.driver_connections import DriverConnections


class Opened(DriverConnections):
    """Two at most, and all that were ever opened."""

    def __init__(self, url: str) -> None:
        self.opened: list[asyncpg.Connection[Any]] = []
        self._url = url.replace("+asyncpg", "")
        super().__init__(self._open, 2, wait_s=0.3)

    async def _open(self) -> "asyncpg.Connection[Any]":
        self.opened.append(await asyncpg.connect(self._url))
        return self.opened[-1]

    async def pid(self) -> int:
        """The server's process behind the connection that a statement gets now."""
        (row,) = await self.fetch("SELECT pg_backend_pid() AS pid", [])
        return int(row["pid"])


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[Opened]:
    connections = Opened(database_url)
    yield connections
    await connections.close()


async def test_statements_one_after_the_other_share_a_connection(connections: Opened) -> None:
    assert await connections.pid() == await connections.pid()
    assert len(connections.opened) == 1


async def test_no_more_than_its_size_are_open_at_once(connections: Opened) -> None:
    found = await asyncio.gather(*(connections.fetch("SELECT $1::int AS number", [number]) for number in range(20)))

    assert [rows[0]["number"] for rows in found] == list(range(20))
    assert len(connections.opened) == 2


async def test_a_connection_whose_reader_went_away_is_given_to_nobody_else(connections: Opened) -> None:
    first = await connections.pid()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connections.fetch("SELECT pg_sleep(60)", [])

    assert connections.opened[0].is_closed()
    assert await connections.pid() != first


async def test_a_connection_that_broke_is_replaced(connections: Opened) -> None:
    first = await connections.pid()
    with pytest.raises(asyncpg.PostgresError):
        await connections.fetch("SELECT pg_terminate_backend(pg_backend_pid())", [])

    assert await connections.pid() != first


async def test_closing_waits_for_what_runs(connections: Opened) -> None:
    running = asyncio.create_task(connections.fetch("SELECT pg_sleep(0.2), 7 AS number", []))
    await asyncio.sleep(0)
    await connections.close()

    assert (await running)[0]["number"] == 7
    assert connections.opened[0].is_closed()


async def test_who_borrows_has_a_connection_to_itself_and_who_waits_too_long_is_told(connections: Opened) -> None:
    async with connections.lent() as one, connections.lent() as other:
        assert one is not other
        with pytest.raises(TimeoutError):
            async with connections.lent():
                raise AssertionError("there are two")

    assert await connections.pid() in {one.get_server_pid(), other.get_server_pid()}
    assert len(connections.opened) == 2


async def test_a_loan_that_failed_frees_its_place(connections: Opened) -> None:
    async def fail() -> None:
        async with connections.lent() as connection:
            await connection.execute("BEGIN")
            raise LookupError

    for _ in range(5):
        with pytest.raises(LookupError):
            await fail()
    assert all(connection.is_closed() for connection in connections.opened)
    async with connections.lent() as connection:
        assert not connection.is_in_transaction()


async def test_who_cannot_connect_frees_its_place(connections: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse() -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(connections, "_connect", refuse)
        for _ in range(5):
            with pytest.raises(ConnectionRefusedError):
                await connections.pid()

    assert await connections.pid()
