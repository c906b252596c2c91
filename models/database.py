"""The engine: pooled connections for reading and writing, and raw ones for the hot path and the feed.

One request is one transaction: `Database.transaction` is opened at the edge and commits once; nothing below it commits.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from models.driver_connections import DriverConnections

# A statement that takes longer has gone wrong; without these limits a killed database would hang its callers.
_STATEMENT_TIMEOUT_MS = 30_000
_LOCK_TIMEOUT_MS = 10_000
_CONNECT_TIMEOUT_S = 10.0
# The server enforces the first two; a server that is frozen or cut off enforces nothing, so we stop waiting ourselves.
_ANSWER_TIMEOUT_S = 35.0

# What is read behind a lock has to be what stands then, whatever the server's own default is.
_ISOLATION = {"default_transaction_isolation": "read committed"}

_SETTINGS = {
    **_ISOLATION,
    "jit": "off",
    "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
    "lock_timeout": str(_LOCK_TIMEOUT_MS),
    "application_name": "tollpath",
}

# The hot statements join unnested arrays with tables by primary key. The planner guesses the arrays' sizes, and a
# wrong guess once turned 3,500 calls/s into 80 by scanning the whole table: leave it only the index.
_CHARGING_SETTINGS = {
    **_ISOLATION,
    "jit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "statement_timeout": "15000",
    "lock_timeout": "10000",
    "application_name": "tollpath charging",
}

# Statements that are made once for any viewer and any page: planned once as well, whatever their parameters.
_ROW_SETTINGS = {
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    # Rows without an ORDER BY have to come in the sequence in which the statement names them.
    "max_parallel_workers_per_gather": "0",
    "default_transaction_read_only": "on",
    "DateStyle": "ISO",
    "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
    "lock_timeout": str(_LOCK_TIMEOUT_MS),
    "application_name": "tollpath reading",
}


def database_url(text: str) -> URL:
    """``DATABASE_URL`` as SQLAlchemy takes it; ``postgres://`` and ``postgresql://`` mean asyncpg here.

    libpq's ``sslmode`` is ``ssl`` to asyncpg.
    """
    url = make_url(text)
    if "sslmode" in url.query:
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": url.query["sslmode"]})
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+asyncpg")
    return url


class Database:
    """One process's way to the database."""

    def __init__(self, url: str, *, pool_size: int = 10, charging_pool_size: int = 3) -> None:
        self.url = database_url(url)
        self._engine = self._create_engine(pool_size)
        self._charging = self._driver_connections(charging_pool_size, _CHARGING_SETTINGS)
        self._rows = self._driver_connections(pool_size, _ROW_SETTINGS, kept_statement_bytes_max=0)
        self._reading_engine = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def _create_engine(self, pool_size: int) -> AsyncEngine:
        engine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=_CONNECT_TIMEOUT_S,
            pool_pre_ping=False,
            # They hold password hashes and names; an error is shown to people and written to the log.
            hide_parameters=True,
            connect_args={
                "server_settings": _SETTINGS,
                "timeout": _CONNECT_TIMEOUT_S,
                "command_timeout": _ANSWER_TIMEOUT_S,
            },
        )
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
        return engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction: commits at the end, rolls all of it back on an exception."""
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading, each statement on its own."""
        async with self._reading_engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def read_by_value(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading on which each statement is planned for the very values it carries.

        For statements whose best plan depends on them: who has 200,000 customers, how rare a prefix is. Planning
        takes a millisecond, as do the round trips of the transaction around it.
        """
        async with self._engine.begin() as connection:
            await connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")
            yield connection

    def charging_connection(self) -> "AbstractAsyncContextManager[asyncpg.Connection[Any]]":
        """A raw asyncpg connection for set-based statements, with a statement and a lock timeout.

        The caller opens and ends its own transactions.
        """
        return self._charging.lent()

    async def read_rows(self, sql: str, arguments: Sequence[Any]) -> "list[asyncpg.Record]":
        """The rows that a statement answers; its plan is kept by the server. For statements that come often."""
        return await self._rows.fetch(sql, arguments)

    def _driver_connections(
        self, size: int, settings: dict[str, str], *, kept_statement_bytes_max: int = 15 * 1024
    ) -> DriverConnections:
        """``kept_statement_bytes_max``: longer statements are prepared anew each time; 0 is no limit."""

        async def connect() -> "asyncpg.Connection[Any]":
            connection: asyncpg.Connection[Any] = await asyncpg.connect(
                **self._driver_arguments(),
                timeout=_CONNECT_TIMEOUT_S,
                command_timeout=_ANSWER_TIMEOUT_S,
                max_cacheable_statement_size=kept_statement_bytes_max,
                server_settings=settings,
            )
            return connection

        return DriverConnections(connect, size, wait_s=_CONNECT_TIMEOUT_S)

    def _driver_arguments(self) -> dict[str, Any]:
        arguments = self._engine.dialect.create_connect_args(self.url)[1]
        return {key: value for key, value in arguments.items() if not key.startswith("prepared_statement")}

    async def listen_connection(self) -> "asyncpg.Connection[Any]":
        """A raw asyncpg connection outside the pools, for LISTEN. The caller closes it."""
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            **self._driver_arguments(),
            timeout=_CONNECT_TIMEOUT_S,
            server_settings={"application_name": "tollpath feed"},
        )
        return connection

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._rows.close()
        await self._charging.close()
        await self._engine.dispose()


def _refuse_closed(adapted: Any, _record: object, _proxy: object) -> None:
    """Pool event: a connection that died while idle is replaced, without a round trip at each checkout."""
    if adapted.driver_connection.is_closed():
        raise DisconnectionError("the server closed this idle connection")


async def driver_connection(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    """The asyncpg connection under SQLAlchemy's, for arrays and COPY."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    return driver  # type: ignore[no-any-return]
