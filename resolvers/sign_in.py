"""Who is asking: a token's secret to its `Viewer`, signing in and out."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, func, select, text

from billing import tokens
from billing.errors import InvalidCredentials
from billing.texts import is_storable
from billing.tokens import Scope
from models.database import Database
from models.tables import Account
from resolvers.access import Viewer
from resolvers.context import Services

_VIEWER_OF_TOKEN = text("""
    SELECT t.id AS token_id, t.kind, t.scopes, a.id AS account_id, a.username, a.path, a.is_reseller,
           (SELECT s.account_id
              FROM unnest(a.path) WITH ORDINALITY AS p (account_id, level)
              JOIN account_state s USING (account_id)
             WHERE s.blocked ORDER BY p.level LIMIT 1) AS blocked_by
      FROM tokens t JOIN accounts a ON a.id = t.account_id
     WHERE t.secret_digest = :digest AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
""")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh session: the secret is shown this once."""

    secret: str
    expires_at: datetime
    viewer: Viewer


async def viewer_of_token(db: Database, secret: str) -> Viewer | None:
    """Whose token this is, or None where it is unknown, expired or revoked."""
    async with db.read() as connection:
        row = (await connection.execute(_VIEWER_OF_TOKEN, {"digest": tokens.digest(secret)})).one_or_none()
    if row is None:
        return None
    return Viewer(
        account_id=row.account_id,
        username=row.username,
        path=tuple(row.path),
        is_reseller=row.is_reseller,
        scopes=(
            session_scopes(is_reseller=row.is_reseller)
            if row.kind == tokens.SESSION
            else frozenset(Scope(scope) for scope in row.scopes)
        ),
        token_id=row.token_id,
        blocked_by=row.blocked_by,
    )


def session_scopes(*, is_reseller: bool) -> frozenset[Scope]:
    """What a person signed in may do: a reseller (the operator is one) may also charge calls."""
    return frozenset(Scope) if is_reseller else frozenset({Scope.READ, Scope.MANAGE})


async def login(services: Services, *, username: str, password: str) -> SignedIn:
    """Open a session. Usernames are compared without case. Raises: InvalidCredentials."""
    account = await _account_named(services.db, username)
    if not await services.passwords.matches(password, account.password_hash if account else None) or account is None:
        raise InvalidCredentials("The username or the password is wrong.", path=("username",))
    secret = tokens.new_secret()
    async with services.db.transaction() as tx:
        expires_at = await tokens.create_session(
            tx,
            account_id=account.id,
            checked_hash=account.password_hash,
            secret=secret,
            ttl_s=services.rules.session_ttl_s,
        )
    viewer = await viewer_of_token(services.db, secret)
    assert viewer is not None
    return SignedIn(secret, expires_at, viewer)


async def _account_named(db: Database, username: str) -> Row[int, str] | None:
    if not is_storable(username):
        return None
    statement = select(Account.id, Account.password_hash).where(func.lower(Account.username) == func.lower(username))
    async with db.read() as connection:
        return (await connection.execute(statement)).one_or_none()


async def stored_password_hash(db: Database, account_id: int) -> str:
    """The account's password hash."""
    async with db.read() as connection:
        found = await connection.execute(select(Account.password_hash).where(Account.id == account_id))
        return found.scalar_one()


async def logout(services: Services, viewer: Viewer) -> None:
    """End the token the viewer came with."""
    if viewer.token_id is not None:
        async with services.db.transaction() as tx:
            await tokens.revoke(tx, token_id=viewer.token_id, account_id=viewer.account_id)
