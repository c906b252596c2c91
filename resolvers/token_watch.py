"""Ends what is watched under a token when the token ends: revoked anywhere, or expired."""

import asyncio
from collections.abc import Iterable
from typing import Any

import asyncpg

from resolvers.balance_watcher import Watcher
from resolvers.request_errors import Unauthenticated

_TIMEOUT_S = 10.0
# Sessions that were opened together end together, not one check each.
_CHECK_AFTER_S_MIN = 0.05

# An end beyond tomorrow is as good as none until then: it is checked again long before.
_ENDED = """
SELECT array_agg(watched.id) FILTER (WHERE token.id IS NULL) AS ended,
       EXTRACT(EPOCH FROM LEAST(min(token.expires_at), now() + interval '1 day') - now())::float8 AS next_end_in_s
FROM unnest($1::bigint[]) AS watched (id)
LEFT JOIN tokens AS token ON token.id = watched.id
 AND token.revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > now())
"""


class TokenWatch:
    """The tokens of all watchers. The database's clock says when one has expired."""

    def __init__(self) -> None:
        self._watchers: dict[int, set[Watcher]] = {}
        self._unchecked: set[int] = set()
        self._check_all_at = 0.0

    def add(self, watcher: Watcher) -> None:
        """From now on the watcher ends with its token, which is looked at by the next `check`."""
        if watcher.token_id is not None:
            self._watchers.setdefault(watcher.token_id, set()).add(watcher)
            self._unchecked.add(watcher.token_id)

    def remove(self, watcher: Watcher) -> None:
        """The watcher has gone."""
        if watcher.token_id is not None and watcher.token_id in self._watchers:
            self._watchers[watcher.token_id].discard(watcher)
            if not self._watchers[watcher.token_id]:
                del self._watchers[watcher.token_id]

    def end(self, token_ids: Iterable[int]) -> None:
        """End the watchers of these tokens with Unauthenticated."""
        for token_id in token_ids:
            for watcher in self._watchers.get(token_id, ()):
                watcher.end(Unauthenticated())

    def check_all(self) -> None:
        """Let the next `check` look at every token."""
        self._check_all_at = 0.0

    def next_check_in_s(self, *, at_most: float) -> float:
        """How long the next `check` may be put off: until the next token expires."""
        now = asyncio.get_running_loop().time()
        self._check_all_at = min(self._check_all_at, now + at_most)
        return max(self._check_all_at - now, _CHECK_AFTER_S_MIN)

    async def check(self, connection: "asyncpg.Connection[Any]") -> None:
        """End the watchers whose tokens have ended: of the new tokens, or when it is time of all of them."""
        now = asyncio.get_running_loop().time()
        if now >= self._check_all_at:
            self._unchecked.update(self._watchers)
            self._check_all_at = float("inf")
        elif not self._unchecked:
            return
        checked, self._unchecked = self._unchecked, set()
        found = await connection.fetchrow(_ENDED, list(checked), timeout=_TIMEOUT_S)
        assert found is not None
        self.end(found["ended"] or ())
        self._check_all_at = min(self._check_all_at, now + found["next_end_in_s"])
