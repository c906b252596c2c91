"""Live balances: the process's one listener to changes, and their way to whoever watches.

A notification names the accounts that changed. Those that somebody watches are read, all that have gathered in one
statement, and each state is handed to its watchers as one shared object. Every read is made by one task on the
listening connection, one after the other, so no watcher is ever handed an older state after a newer one.

When the connection dies it is made anew; whatever was missed meanwhile is made good by reading the present state of
everything that is watched.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import asyncpg
import structlog

from billing.balances import BALANCE_CHANNEL
from billing.tokens import TOKEN_CHANNEL
from models.database import Database
from models.outage import is_database_outage
from resolvers.account_directory import AccountDirectory, AccountRef
from resolvers.accounts import AccountRow, accounts_by_id
from resolvers.balance_state import LiveCause, read_refs, read_states, scan_states
from resolvers.balance_watcher import SubtreeWatcher, Tell, Watcher
from resolvers.loader import Loader
from resolvers.token_watch import TokenWatch
from resolvers.watcher_register import WatcherRegister

# How often the tokens of all watchers are looked at, and the connection is proved alive.
CHECK_EVERY_S = 15.0
# What gathers within this time is read together; the first change after a pause is read at once. A read costs half a
# millisecond: at a thousand changes a second, each alone, ten times as often it would be most of what an event costs.
READ_EVERY_S = 0.04

_RECONNECT_AFTER_S = 0.1
_RECONNECT_AFTER_S_MAX = 5.0
_ACCOUNTS_READ_MAX = 5_000

_log = structlog.get_logger(__name__)


class BalanceFeed:
    """One per process. Works while its context (`async with`) is open."""

    def __init__(self, db: Database, directory: AccountDirectory) -> None:
        self._db = db
        self._directory = directory
        self._watchers = WatcherRegister()
        self._tokens = TokenWatch()
        # What is to be read, with the newest cause; None where it is only for those who are joining.
        self._due: dict[int, LiveCause | None] = {}
        self._scans: deque[SubtreeWatcher] = deque()
        self._work = asyncio.Event()
        self._failures = 0
        self._rows: Loader[int, AccountRow] = Loader(self._load_rows)
        self._task: asyncio.Task[None] | None = None
        self._open: set[Watcher] = set()

    async def __aenter__(self) -> "BalanceFeed":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; every watcher's iteration ends."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        for watcher in self._open:
            watcher.end()

    @property
    def watcher_count(self) -> int:
        """How many watch."""
        return len(self._open)

    @asynccontextmanager
    async def watch(
        self,
        accounts: Sequence[AccountRef],
        *,
        include_descendants: bool = False,
        token_id: int | None,
        tell: Tell | None = None,
    ) -> AsyncIterator[Watcher]:
        """Watch these accounts, or with ``include_descendants`` their subtrees, until the context is left.

        The watcher's iteration raises Unauthenticated when the token ends. ``tell``: see `Watcher`.
        """
        watcher: Watcher
        if include_descendants:
            watcher = SubtreeWatcher(accounts, token_id=token_id, ask=self._ask_for_scan, tell=tell)
        else:
            watcher = Watcher(accounts, token_id=token_id, tell=tell)
            for account in accounts:
                self._due.setdefault(account.id)
        self._open.add(watcher)
        self._watchers.add(watcher)
        self._tokens.add(watcher)
        self._work.set()
        try:
            yield watcher
        finally:
            watcher.end()
            self._tokens.remove(watcher)
            self._watchers.remove(watcher)
            self._open.remove(watcher)

    def _ask_for_scan(self, watcher: SubtreeWatcher) -> None:
        self._scans.append(watcher)
        self._work.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:
                if is_database_outage(error):
                    _log.warning("feed_interrupted", error=repr(error), failures=self._failures)
                else:
                    _log.error("feed_failed", exc_info=error, failures=self._failures)
            await asyncio.sleep(min(_RECONNECT_AFTER_S * 2**self._failures, _RECONNECT_AFTER_S_MAX))
            self._failures = min(self._failures + 1, 10)

    async def _listen(self) -> None:
        """Serve the watchers by one connection until it fails."""
        connection = await self._db.listen_connection()
        try:
            connection.add_termination_listener(lambda _: self._work.set())
            await connection.add_listener(BALANCE_CHANNEL, self._on_change)
            await connection.add_listener(TOKEN_CHANNEL, self._on_ended_tokens)
            self._let_all_be_due()
            while not connection.is_closed():
                self._work.clear()
                await self._tokens.check(connection)
                await self._read_due(connection)
                await self._scan_next(connection)
                self._failures = 0
                await self._until_work()
        finally:
            await _close(connection)
        raise ConnectionResetError("the connection was closed")

    async def _until_work(self) -> None:
        if self._scans:
            return
        await asyncio.sleep(READ_EVERY_S)
        if not self._due:
            try:
                async with asyncio.timeout(self._tokens.next_check_in_s(at_most=CHECK_EVERY_S)):
                    await self._work.wait()
            except TimeoutError:
                return

    def _let_all_be_due(self) -> None:
        """Nobody knows what happened while nobody listened."""
        self._tokens.check_all()
        self._due.update(dict.fromkeys(self._watchers.named_ids, LiveCause.PRESENT))
        for watcher in self._watchers.subtree_watchers:
            watcher.start_over()

    def _on_change(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        if not self._watchers:
            return
        cause, account_ids = _parse(str(payload))
        for account_id in account_ids:
            if self._watchers.named(account_id) is not None or self._may_be_covered(account_id):
                self._due[account_id] = cause
        if self._due:
            self._work.set()

    def _may_be_covered(self, account_id: int) -> bool:
        if not self._watchers.has_subtrees:
            return False
        account = self._directory.known(account_id)
        return account is None or self._watchers.covers(account.path)

    def _on_ended_tokens(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._tokens.end(int(token_id) for token_id in str(payload).split(","))

    async def _read_due(self, connection: "asyncpg.Connection[Any]") -> None:
        due = {account_id: self._due[account_id] for account_id in islice(self._due, _ACCOUNTS_READ_MAX)}
        for account_id in due:
            del self._due[account_id]
        accounts = await self._watched(connection, due)
        # Only those who are there before the read begins: a change that was notified before somebody came is
        # nowhere but in what is read from then on.
        joining = self._watchers.take_joining(accounts)
        causes = {account_id: cause for account_id, cause in due.items() if cause is not None}
        if not accounts:
            return
        states = await read_states(connection, accounts, causes, self._load_row)
        self._rows = Loader(self._load_rows)
        for state in states:
            account_id = state.account.id
            self._watchers.hand_out(state, joining=joining.get(account_id, ()), changed=account_id in causes)

    async def _watched(
        self, connection: "asyncpg.Connection[Any]", account_ids: Iterable[int]
    ) -> dict[int, AccountRef]:
        """Those of the accounts that are named, or in a watched subtree."""
        watchers = self._watchers
        accounts: dict[int, AccountRef] = {}
        unknown: list[int] = []
        for account_id in account_ids:
            account = watchers.named(account_id)
            if account is None and watchers.has_subtrees:
                account = self._directory.known(account_id)
                if account is None:
                    unknown.append(account_id)
                elif not watchers.covers(account.path):
                    account = None
            if account is not None:
                accounts[account_id] = account
        if unknown:
            found = await read_refs(connection, unknown)
            self._directory.remember(found)
            accounts.update((account.id, account) for account in found if watchers.covers(account.path))
        return accounts

    async def _scan_next(self, connection: "asyncpg.Connection[Any]") -> None:
        """The next part of one subtree, in turn: changes wait for one short statement, however many scans run."""
        while self._scans:
            watcher = self._scans[0]
            begin_end = watcher.next_range
            if not watcher.ended and begin_end is not None:
                states = await scan_states(connection, *begin_end, self._load_row)
                self._rows = Loader(self._load_rows)
                self._scans.popleft()
                watcher.put_scanned(states)
                return
            self._scans.popleft()

    async def _load_row(self, account_id: int) -> AccountRow | None:
        # The loader is made anew with each read, so what it remembers is never older than a state handed out.
        return await self._rows.load(account_id)

    async def _load_rows(self, account_ids: Sequence[int]) -> dict[int, AccountRow]:
        return await accounts_by_id(self._db, account_ids)


def _parse(payload: str) -> tuple[LiveCause, list[int]]:
    """Cause and account ids of a notification. A cause of a newer version than ours is shown as PRESENT."""
    cause, _, account_ids = payload.partition(" ")
    known = LiveCause(cause) if cause in LiveCause.__members__ else LiveCause.PRESENT
    return known, [int(account_id) for account_id in account_ids.split(",")]


async def _close(connection: "asyncpg.Connection[Any]") -> None:
    try:
        await connection.close(timeout=1)
    except Exception as error:
        # It is of no use any more, in whatever way it went.
        _log.debug("feed_connection_not_closed", error=repr(error))
        connection.terminate()
