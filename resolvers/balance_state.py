"""Where an account stands, as the balance feed reads it and tells every watcher of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import asyncpg

from resolvers.access import AccountPath
from resolvers.account_directory import AccountRef
from resolvers.accounts import AccountRow

SCAN_ACCOUNTS = 500

# The clock is read after the snapshot is taken, so no change that a row shows is younger than it.
_STATES = """
SELECT account_id, balance_units, held_units, credit_limit_units, version, (SELECT clock_timestamp()) AS at
FROM account_state WHERE account_id = ANY($1::bigint[])
"""

_SCAN = f"""
SELECT account.id, account.username, account.path,
       state.balance_units, state.held_units, state.credit_limit_units, state.version,
       (SELECT clock_timestamp()) AS at
FROM accounts AS account JOIN account_state AS state ON state.account_id = account.id
WHERE account.path >= $1::bigint[] AND account.path < $2::bigint[]
ORDER BY account.path LIMIT {SCAN_ACCOUNTS}
"""  # noqa: S608

_REFS = "SELECT id, username, path FROM accounts WHERE id = ANY($1::bigint[])"

# No statement of the feed takes this long unless the connection is dead.
_TIMEOUT_S = 10.0

LoadRow = Callable[[int], Awaitable[AccountRow | None]]


class LiveCause(StrEnum):
    """Why a state is told: PRESENT is how the account stands, by no particular change; else see `Cause`."""

    PRESENT = "PRESENT"
    CALL = "CALL"
    CREDIT = "CREDIT"
    HOLD = "HOLD"
    LIMIT = "LIMIT"
    REFUND = "REFUND"


@dataclass(slots=True, eq=False)
class BalanceState:
    """How an account stood ``at`` a moment by the database's clock; one object for all who watch it.

    Amounts are whole units of 0.00001; ``credit_limit_units`` is None where credit is unlimited. ``cause`` is the
    newest change known of; where several came together, the state shows them all. ``texts`` is for whoever writes
    it: what was written for the first who watches serves the others too, by who wrote it.
    """

    account: AccountRef
    balance_units: int
    held_units: int
    credit_limit_units: int | None
    version: int
    at: datetime
    cause: LiveCause
    _load_row: LoadRow
    texts: dict[Any, str] = field(default_factory=dict, init=False)
    _row: "asyncio.Future[AccountRow | None] | None" = field(default=None, init=False)

    @property
    def available_units(self) -> int | None:
        """Balance + credit limit - held; None where credit is unlimited."""
        if self.credit_limit_units is None:
            return None
        return self.balance_units + self.credit_limit_units - self.held_units

    def told_as(self, cause: LiveCause) -> "BalanceState":
        """The same state under another cause."""
        return self if cause is self.cause else replace(self, cause=cause)

    async def account_row(self) -> AccountRow:
        """The whole account, read once for all watchers of this state, at or after its moment."""
        if self._row is None:
            self._row = asyncio.ensure_future(self._load_row(self.account.id))
        row = await asyncio.shield(self._row)
        assert row is not None, "accounts are never deleted"
        return row


async def read_refs(connection: "asyncpg.Connection[Any]", account_ids: Sequence[int]) -> list[AccountRef]:
    """Who these accounts are; an unknown id is left out."""
    rows = await connection.fetch(_REFS, account_ids, timeout=_TIMEOUT_S)
    return [AccountRef(row["id"], row["username"], tuple(row["path"])) for row in rows]


async def read_states(
    connection: "asyncpg.Connection[Any]",
    accounts: Mapping[int, AccountRef],
    causes: Mapping[int, LiveCause],
    load_row: LoadRow,
) -> list[BalanceState]:
    """How these accounts stand now, in one statement; without a cause in ``causes`` it is PRESENT."""
    rows = await connection.fetch(_STATES, list(accounts), timeout=_TIMEOUT_S)
    return [
        BalanceState(
            accounts[account_id], balance, held, limit, version, at, causes.get(account_id, _PRESENT), load_row
        )
        for account_id, balance, held, limit, version, at in rows
    ]


async def scan_states(
    connection: "asyncpg.Connection[Any]", begin: AccountPath, end: AccountPath, load_row: LoadRow
) -> list[BalanceState]:
    """How the first `SCAN_ACCOUNTS` accounts stand whose paths lie from ``begin`` up to before ``end``, by path."""
    rows = await connection.fetch(_SCAN, begin, end, timeout=_TIMEOUT_S)
    return [
        BalanceState(
            AccountRef(account_id, username, tuple(path)), balance, held, limit, version, at, _PRESENT, load_row
        )
        for account_id, username, path, balance, held, limit, version, at in rows
    ]


_PRESENT = LiveCause.PRESENT
