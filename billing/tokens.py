"""Sessions and API tokens: a random secret of 256 bits, of which only a digest is kept."""

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import BigInteger, Text, cast, func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import InvalidCredentials
from models.tables import Account, Token

SESSION = "SESSION"
API = "API"

# Tells every process, at commit, the ids of tokens that were ended before their time: "1,2,3".
TOKEN_CHANNEL = "tollpath_token"

# In SQL: whether a row of `tokens` is good for anything.
GOOD = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"

# Recognizable in a log or a leaked file, by people and by scanners.
_SECRET_PREFIX = "tollpath_"


class Scope(StrEnum):
    """What a token may be used for."""

    READ = "READ"
    MANAGE = "MANAGE"
    CALLS_CHARGE = "CALLS_CHARGE"


def new_secret() -> str:
    """A fresh secret. It is shown once and never stored."""
    return _SECRET_PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of a secret. A plain hash is enough: 256 random bits cannot be guessed from it."""
    return hashlib.sha256(secret.encode()).digest()


async def create_session(
    tx: AsyncConnection, *, account_id: int, checked_hash: str, secret: str, ttl_s: int
) -> datetime:
    """Store a session that ends by itself after ``ttl_s`` seconds. Returns its end.

    ``checked_hash`` is the password hash that the password was checked against. It is compared once more under a
    lock, so that no session of the old password is left when the password changes meanwhile. Raises:
    InvalidCredentials.
    """
    stored = await tx.execute(select(Account.password_hash).where(Account.id == account_id).with_for_update(read=True))
    if stored.scalar_one() != checked_hash:
        raise InvalidCredentials("The password has just been changed.", path=("password",))
    expires_at = (
        await tx.execute(
            insert(Token)
            .values(
                account_id=account_id,
                kind=SESSION,
                secret_digest=digest(secret),
                expires_at=func.now() + timedelta(seconds=ttl_s),
            )
            .returning(Token.expires_at)
        )
    ).scalar_one()
    assert expires_at is not None
    return expires_at


async def create_api_token(
    tx: AsyncConnection,
    *,
    account_id: int,
    secret: str,
    name: str,
    scopes: frozenset[Scope],
    expires_at: datetime | None,
) -> int:
    """Store an API token that carries ``scopes`` and nothing else. Returns its id."""
    row = await tx.execute(
        insert(Token)
        .values(
            account_id=account_id,
            kind=API,
            name=name,
            secret_digest=digest(secret),
            scopes=[scope.value for scope in Scope if scope in scopes],
            expires_at=expires_at,
        )
        .returning(Token.id)
    )
    return row.scalar_one()


async def revoke(tx: AsyncConnection, *, token_id: int, account_id: int) -> bool:
    """End a token of the account, at once. True where it was still good; a second time changes nothing."""
    row = await tx.execute(
        update(Token)
        .where(Token.id == token_id, Token.account_id == account_id, Token.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(Token.id)
    )
    if row.first() is None:
        return False
    await _tell_of_ended(tx, [token_id])
    return True


async def end_sessions(tx: AsyncConnection, *, account_id: int, except_token_id: int | None = None) -> int:
    """End every session of the account but one. API tokens go on. Returns how many ended."""
    good = (
        select(Token.id)
        .where(
            Token.account_id == account_id,
            Token.kind == SESSION,
            text(GOOD),
            Token.id.is_distinct_from(except_token_id),
        )
        .order_by(Token.id)
        .with_for_update()
    )
    rows = await tx.execute(
        update(Token).where(Token.id.in_(good.scalar_subquery())).values(revoked_at=func.now()).returning(Token.id)
    )
    ended = list(rows.scalars())
    await _tell_of_ended(tx, ended)
    return len(ended)


async def _tell_of_ended(tx: AsyncConnection, token_ids: list[int]) -> None:
    # One row a token: a payload has a limit, the number of sessions has none.
    token_id = func.unnest(literal(token_ids, ARRAY(BigInteger))).column_valued("token_id")
    await tx.execute(select(func.pg_notify(TOKEN_CHANNEL, cast(token_id, Text))))
