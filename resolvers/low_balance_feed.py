"""Notices of low balances as they come: the process's one listener, and their way to whoever watches."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import text

from billing.balances import LOW_BALANCE_CHANNEL
from models.database import Database
from resolvers.access import AccountPath

# A reader that is slower than this many notices loses the oldest; they are kept in the database.
_WAITING_MAX = 1_000
_RECONNECT_AFTER_S = 1.0

_NOTICES = text(
    "SELECT notice.id, notice.account_id, accounts.path, notice.available_units, notice.threshold_units, notice.at "
    "FROM low_balance_notices AS notice JOIN accounts ON accounts.id = notice.account_id "
    "WHERE notice.id = ANY(:ids) ORDER BY notice.id"
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LowBalance:
    """An account's available credit has fallen below its threshold. Whole units of 0.00001."""

    id: int
    account_id: int
    path: AccountPath
    available_units: int
    threshold_units: int
    at: datetime


class LowBalanceFeed:
    """One process's listener to notices, and their way to whoever watches. Works while its context is open.

    While the connection is being made anew nothing is told; webhooks lose nothing, they go by the rows.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._watchers: set[LowBalanceWatcher] = set()
        self._ids: deque[int] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LowBalanceFeed":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        for watcher in self._watchers:
            watcher.end()

    @asynccontextmanager
    async def watch(self, account_id: int) -> AsyncIterator["LowBalanceWatcher"]:
        """Notices of this account and of everything below it, until the context is left."""
        watcher = LowBalanceWatcher(account_id)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:
                _log.warning("low_balance_feed_interrupted", error=repr(error))
            await asyncio.sleep(_RECONNECT_AFTER_S)

    async def _listen(self) -> None:
        connection = await self._db.listen_connection()
        try:
            connection.add_termination_listener(lambda _: self._wake.set())
            await connection.add_listener(LOW_BALANCE_CHANNEL, self._heard)
            while not connection.is_closed():
                await self._wake.wait()
                self._wake.clear()
                ids = [self._ids.popleft() for _ in range(len(self._ids))]
                if ids and self._watchers:
                    await self._tell(ids)
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._ids.append(int(str(payload)))
        self._wake.set()

    async def _tell(self, ids: Sequence[int]) -> None:
        async with self._db.read() as connection:
            rows = (await connection.execute(_NOTICES, {"ids": list(ids)})).all()
        for row in rows:
            notice = LowBalance(
                row.id, row.account_id, tuple(row.path), row.available_units, row.threshold_units, row.at
            )
            for watcher in self._watchers:
                watcher.put(notice)


class LowBalanceWatcher:
    """One subscriber's notices, the newest thousand of those it has not read."""

    def __init__(self, account_id: int) -> None:
        self._account_id = account_id
        self._waiting: deque[LowBalance] = deque(maxlen=_WAITING_MAX)
        self._wake = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None

    def put(self, notice: LowBalance) -> None:
        """Take a notice if it is of the watched subtree."""
        if self._account_id in notice.path:
            self._waiting.append(notice)
            self._wake.set()

    def end(self, error: Exception | None = None) -> None:
        """Let the iteration end, or raise."""
        self._ended, self._error = True, error
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[LowBalance]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                yield self._waiting.popleft()
            if self._error is not None:
                raise self._error
            if self._ended:
                return
