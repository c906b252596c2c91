"""Connections that only ever read, each statement on its own: nothing to roll back, nothing to reset."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg


class ReadingConnections:
    """At most ``size`` connections, opened by ``connect`` when they are first needed.

    asyncpg's own pool makes a task and a proxy for each statement, which take longer than a small statement does.
    """

    def __init__(self, connect: "Callable[[], Awaitable[asyncpg.Connection[Any]]]", size: int) -> None:
        self._connect = connect
        self._size = size
        self._permits = asyncio.Semaphore(size)
        self._free: list[asyncpg.Connection[Any]] = []

    async def fetch(self, sql: str, arguments: Sequence[Any]) -> "list[asyncpg.Record]":
        """The rows that a statement answers."""
        async with self._permits:
            connection = self._open_one() or await self._connect()
            try:
                rows = await connection.fetch(sql, *arguments)
            except BaseException:
                # Whatever state it is in, as after a cancelled wait, nobody else gets it.
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
