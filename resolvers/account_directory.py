"""Who an account is, from memory: ids, full usernames and paths never change, so they are asked for once."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text

from billing.texts import is_storable
from models.database import Database
from resolvers.access import AccountPath

# About 100 MB at the most; beyond it the directory starts anew.
_ENTRIES_MAX = 300_000

_BY_ID = text("SELECT id, username, path FROM accounts WHERE id = ANY(:keys)")
_BY_USERNAME = text(
    "SELECT wanted.name AS wanted, accounts.id, accounts.username, accounts.path "
    "FROM unnest(CAST(:keys AS text[])) AS wanted (name) JOIN accounts ON lower(accounts.username) = lower(wanted.name)"
)


@dataclass(frozen=True, slots=True)
class AccountRef:
    """An account's unchanging identity."""

    id: int
    username: str
    path: AccountPath


class AccountDirectory:
    """One process's memory of accounts. Says nothing about who may see them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._by_id: dict[int, AccountRef] = {}
        self._by_username: dict[str, AccountRef] = {}

    def known(self, account_id: int) -> AccountRef | None:
        """The account, if it has been asked for before."""
        return self._by_id.get(account_id)

    def remember(self, accounts: Iterable[AccountRef]) -> None:
        """Take over what somebody else has read."""
        self._make_room(self._by_id)
        self._by_id.update((account.id, account) for account in accounts)

    async def by_id(self, ids: Iterable[int]) -> dict[int, AccountRef]:
        """The accounts with these ids; an unknown id is left out."""
        wanted = set(ids)
        # Taken before anything is awaited: whoever asks meanwhile may make the directory start anew.
        found = {account_id: self._by_id[account_id] for account_id in wanted if account_id in self._by_id}
        missing = wanted - found.keys()
        if missing:
            async with self._db.read() as connection:
                rows = (await connection.execute(_BY_ID, {"keys": list(missing)})).all()
            read = {row.id: AccountRef(row.id, row.username, tuple(row.path)) for row in rows}
            self.remember(read.values())
            found.update(read)
        return found

    async def by_username(self, usernames: Iterable[str]) -> dict[str, AccountRef]:
        """The accounts of these full usernames in any case, by the text asked for; unknown ones are left out."""
        wanted = set(usernames)
        known = self._by_username
        found = {name: account for name in wanted if (account := known.get(name)) is not None}
        missing = [name for name in wanted - found.keys() if is_storable(name)]
        if missing:
            async with self._db.read() as connection:
                rows = (await connection.execute(_BY_USERNAME, {"keys": missing})).all()
            read = {row.wanted: AccountRef(row.id, row.username, tuple(row.path)) for row in rows}
            self._make_room(self._by_username)
            self._by_username.update(read)
            found.update(read)
        return found

    @staticmethod
    def _make_room(entries: dict[int, AccountRef] | dict[str, AccountRef]) -> None:
        if len(entries) >= _ENTRIES_MAX:
            entries.clear()
