"""Keeps the embedded PostgreSQL of a running server alive, also where its keeper was killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

# A look costs some microseconds.
_LOOK_EVERY_S = 0.5
_AGAIN_AFTER_S_MAX = 30.0

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def kept_running(embedded: EmbeddedPostgres | None) -> AsyncIterator[None]:
    """Beside the block, start the embedded server again whenever nobody keeps it; without one do nothing."""
    if embedded is None:
        yield
        return
    ending = asyncio.Event()
    task = asyncio.create_task(_watch(embedded, ending))
    try:
        yield
    finally:
        # Not cancelled: whoever stops the server next must not meet somebody who is starting it.
        ending.set()
        await task


async def _watch(embedded: EmbeddedPostgres, ending: asyncio.Event) -> None:
    failures = 0
    while not ending.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(min(_LOOK_EVERY_S * 2**failures, _AGAIN_AFTER_S_MAX)):
                await ending.wait()
        if ending.is_set() or embedded.is_kept():
            continue
        _log.error("embedded_postgres_lost", failures=failures)
        try:
            await asyncio.to_thread(embedded.start)
        except EmbeddedPostgresError as error:
            failures = min(failures + 1, 10)
            _log.error("embedded_postgres_not_started", error=str(error))
        else:
            failures = 0
            _log.warning("embedded_postgres_started_again")
