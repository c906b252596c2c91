"""Frees the holds of calls whose end never came, once a second, in whichever process is alive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from billing.batcher import Batcher

# Nobody waits for this: an order that needs the money frees what has expired itself.
_INTERVAL_S = 1.0

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def hold_expiry(batcher: Batcher) -> AsyncIterator[None]:
    """Runs beside the block."""
    task = asyncio.create_task(_run(batcher))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run(batcher: Batcher) -> None:
    while True:
        await asyncio.sleep(_INTERVAL_S)
        try:
            freed = await batcher.free_expired()
        except Exception as error:
            # The database may be away; the next round tries again.
            _log.warning("expired_holds_not_freed", error=repr(error))
        else:
            if freed:
                _log.info("expired_holds_freed", holds=freed)
