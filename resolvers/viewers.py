"""Whose token it is: asked anew for every request, so that a revoked one is good for nothing from then on.

A query need not ask first: whose a token is never changes, so that is remembered, and the query's own statement asks
whether the token is still good (`resolvers.visibility`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from billing import tokens
from billing.tokens import Scope
from models.database import Database
from resolvers.access import Viewer
from resolvers.gathering import Gathering

_VIEWERS = f"""
    SELECT t.secret_digest, t.id AS token_id, t.kind, t.scopes, a.id AS account_id, a.username, a.path, a.is_reseller,
           (SELECT s.account_id
              FROM unnest(a.path) WITH ORDINALITY AS p (account_id, level)
              JOIN account_state s USING (account_id)
             WHERE s.blocked ORDER BY p.level LIMIT 1) AS blocked_by
      FROM tokens t JOIN accounts a ON a.id = t.account_id
     WHERE t.secret_digest = ANY ($1::bytea[])
       AND {tokens.GOOD}
"""  # noqa: S608 - a constant

# Some hundred bytes each.
_REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class RememberedViewer:
    """Whose token it was when it was last looked up. It may have been revoked since, and ``blocked_by`` may differ."""

    viewer: Viewer
    token_digest: bytes
    confirm: Callable[[], Awaitable[Viewer | None]]


class Viewers:
    """Looks tokens up, those of concurrent requests together. One per process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._gathering = Gathering(self._load)
        self._known: dict[bytes, Viewer] = {}

    async def of_token(self, secret: str) -> Viewer | None:
        """Whose token this is, or None where it is unknown, expired or revoked."""
        return await self._look_up(tokens.digest(secret))

    def remembered(self, secret: str) -> RememberedViewer | None:
        """Whose token this was the last time; None where it is not remembered."""
        digest = tokens.digest(secret)
        viewer = self._known.get(digest)
        return None if viewer is None else RememberedViewer(viewer, digest, lambda: self._look_up(digest))

    async def _look_up(self, digest: bytes) -> Viewer | None:
        viewer = await self._gathering.load(digest)
        if viewer is None:
            self._known.pop(digest, None)
        else:
            if len(self._known) >= _REMEMBERED_MAX:
                self._known.clear()
            self._known[digest] = viewer
        return viewer

    async def _load(self, digests: Sequence[bytes]) -> dict[bytes, Viewer]:
        rows = await self._db.read_rows(_VIEWERS, [digests])
        return {row["secret_digest"]: _viewer(row) for row in rows}


def _viewer(row: Any) -> Viewer:
    of_session = row["kind"] == tokens.SESSION
    return Viewer(
        account_id=row["account_id"],
        username=row["username"],
        path=tuple(row["path"]),
        is_reseller=row["is_reseller"],
        scopes=_session_scopes(row["is_reseller"]) if of_session else frozenset(map(Scope, row["scopes"])),
        token_id=row["token_id"],
        blocked_by=row["blocked_by"],
    )


def _session_scopes(is_reseller: bool) -> frozenset[Scope]:
    """What a person signed in may do: a reseller (the operator is one) may also charge calls."""
    return frozenset(Scope) if is_reseller else frozenset({Scope.READ, Scope.MANAGE})
