"""Connections of the driver itself, for what comes so often that a pool which does more for each of us would show."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg


class DriverConnections:
    """At most ``size`` connections, opened by ``connect`` when they are first needed.

    asyncpg's own pool makes a task and a proxy for each statement, SQLAlchemy's a greenlet for each loan: they take
    longer than a small statement does. Nothing is reset between two loans: who borrows ends its own transactions.
    """

    def __init__(
        self, connect: "Callable[[], Awaitable[asyncpg.Connection[Any]]]", size: int, *, wait_s: float
    ) -> None:
        self._connect = connect
        self._size = size
        self._wait_s = wait_s
        self._permits = asyncio.Semaphore(size)
        self._free: list[asyncpg.Connection[Any]] = []

    @asynccontextmanager
    async def lent(self) -> "AsyncIterator[asyncpg.Connection[Any]]":
        """One of them, for as long as the context is open.

        Raises: TimeoutError: all are lent, and none comes back for ``wait_s``; whatever connecting raises.
        """
        if self._permits.locked():
            async with asyncio.timeout(self._wait_s):
                await self._permits.acquire()
        else:
            await self._permits.acquire()
        try:
            connection = self._open_one() or await self._connect()
            try:
                yield connection
            except BaseException:
                # Whatever state it is in, as after a cancelled wait, nobody else gets it.
                connection.terminate()
                raise
            self._free.append(connection)
        finally:
            self._permits.release()

    async def fetch(self, sql: str, arguments: Sequence[Any]) -> "list[asyncpg.Record]":
        """The rows that a statement answers, however long all connections are lent.

        Not by `lent`: its context manager would be a twentieth of what a small read costs.
        """
        async with self._permits:
            connection = self._open_one() or await self._connect()
            try:
                rows = await connection.fetch(sql, *arguments)
            except BaseException:
                connection.terminate()
                raise
            self._free.append(connection)
            return rows

    def _open_one(self) -> "asyncpg.Connection[Any] | None":
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        return None

    async def close(self) -> None:
        """Close all of them, once what runs is done."""
        async with AsyncExitStack() as stack:
            for _ in range(self._size):
                await stack.enter_async_context(self._permits)
            while connection := self._open_one():
                await connection.close()
