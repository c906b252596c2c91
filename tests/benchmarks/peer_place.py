"""The tree of `tests.benchmarks.place` with accounts that differ, tokens that may read, and PostGraphile's view."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from billing import tokens
from billing.tokens import Scope
from tests.benchmarks.node import FOLDER
from tests.benchmarks.place import Place, place_with_tree
from tests.raw_connection import Connection, connected

# Amounts, marks and times of different length, whatever the seed; resellers are not blocked.
_DIFFERENT = """
    UPDATE account_state
       SET balance_units = account_id * 7919 % 100000000, held_units = account_id % 50 * 1000,
           blocked = account_id % 97 = 0 AND account_id > (SELECT max(id) FROM accounts WHERE is_reseller);
    UPDATE accounts SET created_at = created_at - id * interval '1 minute 1 microsecond';
"""


@dataclass(frozen=True)
class PeerPlace:
    """The database, a reseller with customers, and the tokens of the operator and of that reseller's own reseller."""

    place: Place
    reseller_id: int
    operator_token: str
    reseller_token: str

    @property
    def url(self) -> str:
        """Of the database."""
        return self.place.url


@asynccontextmanager
async def peer_place(seed: int) -> AsyncIterator[PeerPlace]:
    """A server of its own, gone with everything in it at the end."""
    async with place_with_tree(seed) as place:
        reseller = place.tree.levels[-2][0]
        async with connected(place.url) as connection:
            await connection.execute(_DIFFERENT)
            await connection.execute((FOLDER / "view.sql").read_text())
            found = [await _token(connection, account_id) for account_id in (1, reseller.path[-2])]
            await connection.execute("VACUUM ANALYZE")
        yield PeerPlace(place, reseller.id, *found)


async def _token(connection: Connection, account_id: int) -> str:
    secret = tokens.new_secret()
    await connection.execute(
        "INSERT INTO tokens (account_id, kind, name, secret_digest, scopes) VALUES ($1, $2, 'benchmark', $3, $4)",
        *(account_id, tokens.API, tokens.digest(secret), [Scope.READ.value]),
    )
    return secret
