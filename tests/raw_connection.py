"""The driver's own connections, for tests and benchmarks that read and write behind the product's back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[Any]"


async def connect(database_url: str) -> Connection:
    """A connection to a URL as the product takes it; the caller closes it."""
    return await asyncpg.connect(database_url.replace("postgresql+asyncpg://", "postgresql://"))


@asynccontextmanager
async def connected(database_url: str) -> AsyncIterator[Connection]:
    """The same, closed at the end."""
    connection = await connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()
