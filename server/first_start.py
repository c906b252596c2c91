"""The first start makes the operator, with a password from the settings or a random one."""

import secrets

from sqlalchemy import select, text

from billing.accounts import create_operator
from billing.passwords import check_password
from models.database import Database
from models.tables import Account
from server.settings import Settings


async def ensure_operator(database: Database, settings: Settings) -> str | None:
    """Make the operator where there is none. Returns the password if it was made up, to be shown once.

    One process at a time (an advisory lock), so that two first starts make one operator.
    Raises: InvalidUsername, PasswordTooShort.
    """
    async with database.read() as connection:
        if await connection.scalar(select(Account.id).where(Account.parent_id.is_(None))) is not None:
            return None
    chosen = settings.operator_password.get_secret_value() if settings.operator_password else None
    password = chosen or secrets.token_urlsafe(12)
    check_password(password, length_min=settings.password_length_min)
    password_hash = await settings.passwords().hash(password)
    async with database.transaction() as tx:
        await tx.execute(text("SELECT pg_advisory_xact_lock(hashtext('tollpath first start'))"))
        if await tx.scalar(select(Account.id).where(Account.parent_id.is_(None))) is not None:
            return None
        await create_operator(tx, username=settings.operator_username, password_hash=password_hash)
    return None if chosen else password
