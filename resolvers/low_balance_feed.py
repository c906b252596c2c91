"""Notices of low balances as they come: the process's one listener, and their way to whoever watches.

Whenever the listener begins to listen, anew after an interruption too, it first looks which watches are below their
threshold and tells the notice of each, if its watcher has not had it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import structlog
from sqlalchemy import TextClause, text

from billing.balances import LOW_BALANCE_CHANNEL
from models.database import Database

# A reader that is slower than this many notices loses the oldest; they are kept in the database.
_WAITING_MAX = 1_000
# Of so many accounts a watcher knows which notice it was told last; of others one may be told again.
_TOLD_MAX = 10_000
_RECONNECT_AFTER_S = 1.0
# How often the connection is proved alive, and how long that may take.
_CHECK_EVERY_S = 15.0
_ANSWER_WAIT_S = 10.0

_NOTICES = text(
    "SELECT id, account_id, author_id, available_units, threshold_units, at "
    "FROM low_balance_notices WHERE id = ANY(:ids) ORDER BY id"
)

# A watch that found its account below the threshold when it was set has been told of nothing yet.
_STANDING_NOTICES = text(
    "SELECT notice.id, notice.account_id, notice.author_id, notice.available_units, notice.threshold_units, notice.at "
    "FROM low_balance_watches AS watch CROSS JOIN LATERAL ("
    "SELECT * FROM low_balance_notices AS newest "
    "WHERE newest.author_id = watch.author_id AND newest.account_id = watch.account_id ORDER BY id DESC LIMIT 1"
    ") AS notice "
    "WHERE watch.told AND watch.author_id = ANY(:ids) AND notice.threshold_units = watch.threshold_units "
    "ORDER BY notice.id"
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LowBalance:
    """An account's available credit has fallen below the threshold of an author. Whole units of 0.00001."""

    id: int
    account_id: int
    author_id: int
    available_units: int
    threshold_units: int
    at: datetime


class LowBalanceFeed:
    """One process's listener to notices, and their way to whoever watches. Works while its context is open."""

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
    async def watch(self, author_id: int) -> AsyncIterator["LowBalanceWatcher"]:
        """The notices that this account has asked for, until the context is left."""
        watcher = LowBalanceWatcher(author_id)
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
            if self._watchers:
                await self._tell(_STANDING_NOTICES, {watcher.author_id for watcher in self._watchers})
            while not connection.is_closed():
                await self._until_woken(connection)
                ids = [self._ids.popleft() for _ in range(len(self._ids))]
                if ids and self._watchers:
                    await self._tell(_NOTICES, ids)
        finally:
            connection.terminate()

    async def _until_woken(self, connection: "asyncpg.Connection[Any]") -> None:
        try:
            async with asyncio.timeout(_CHECK_EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            await connection.execute("SELECT", timeout=_ANSWER_WAIT_S)
        self._wake.clear()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._ids.append(int(str(payload)))
        self._wake.set()

    async def _tell(self, statement: TextClause, ids: Collection[int]) -> None:
        async with self._db.read() as connection:
            rows = (await connection.execute(statement, {"ids": list(ids)})).all()
        for row in rows:
            notice = LowBalance(*row)
            for watcher in self._watchers:
                watcher.put(notice)


class LowBalanceWatcher:
    """One subscriber's notices, the newest thousand of those it has not read, each once."""

    def __init__(self, author_id: int) -> None:
        self.author_id = author_id
        self._waiting: deque[LowBalance] = deque(maxlen=_WAITING_MAX)
        # The newest notice of each account; those of one account are made one after the other.
        self._told: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None

    def put(self, notice: LowBalance) -> None:
        """Take a notice if it is for this author and newer than those before."""
        if notice.author_id != self.author_id or notice.id <= self._told.get(notice.account_id, 0):
            return
        self._told.pop(notice.account_id, None)
        self._told[notice.account_id] = notice.id
        if len(self._told) > _TOLD_MAX:
            del self._told[next(iter(self._told))]
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
