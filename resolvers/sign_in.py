"""Who is asking: a token's secret to its `Viewer`, signing in and out."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, func, select

from billing import tokens
from billing.errors import InvalidCredentials
from billing.texts import is_storable
from models.database import Database
from models.tables import Account
from resolvers.access import Viewer
from resolvers.context import Services
from resolvers.viewers import Viewers


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh session: the secret is shown this once."""

    secret: str
    expires_at: datetime
    viewer: Viewer


async def viewer_of_token(db: Database, secret: str) -> Viewer | None:
    """Whose token this is, or None where it is unknown, expired or revoked."""
    return await Viewers(db).of_token(secret)


async def login(services: Services, *, username: str, password: str, client_address: str) -> SignedIn:
    """Open a session. Usernames are compared without case. Raises: InvalidCredentials, Throttled."""
    account = await account_named(services.db, username)
    async with services.sign_in_throttle.one_try(account.username if account else username, client_address):
        if not await services.passwords.matches(password, account.password_hash if account else None) or not account:
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
    if viewer is None:
        # That has ended the session already.
        raise InvalidCredentials("The password has just been changed.", path=("password",))
    return SignedIn(secret, expires_at, viewer)


async def account_named(db: Database, username: str) -> Row[int, str, str] | None:
    """Id, username and password hash of the account with this full username, whatever its case."""
    if not is_storable(username):
        return None
    statement = select(Account.id, Account.username, Account.password_hash).where(
        func.lower(Account.username) == func.lower(username)
    )
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
