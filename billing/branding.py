"""Branding: what a reseller sets for itself and for everybody below it that has set nothing."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import InvalidInput
from billing.texts import check_name
from models.tables import Account, Branding

LOGO_URL_LENGTH_MAX = 2000

BRANDING_COLUMNS = ("name", "logo_url", "primary_colour", "secondary_colour")

_COLOUR = re.compile("#[0-9a-fA-F]{6}")
# What a URL is written in, but for what would end it in a style or an attribute: quotes, parentheses, angle brackets
# can be percent-encoded.
_URL = re.compile(r"https://[A-Za-z0-9\-._~:/?#\[\]@!$&*+,;=%]+")


async def update_branding(tx: AsyncConnection, *, account_id: int, changes: Mapping[str, str | None]) -> None:
    """Change the named columns of `BRANDING_COLUMNS`; None or blank text clears one.

    Once all are clear nothing is set any more, and the nearest branding above holds again. Locks the account's row.
    Raises: InvalidInput.
    """
    checked = {column: _checked(column, value) for column, value in changes.items()}
    await tx.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))
    found = await tx.execute(select(Branding.__table__).where(Branding.account_id == account_id))
    kept = found.mappings().one_or_none()
    values = {column: kept[column] if kept else None for column in BRANDING_COLUMNS} | checked
    if not any(values.values()):
        await tx.execute(delete(Branding).where(Branding.account_id == account_id))
        return
    statement = insert(Branding).values(account_id=account_id, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=[Branding.account_id], set_=values))


def _checked(column: str, value: str | None) -> str | None:
    if value is None or not value.strip():
        return None
    if column == "name":
        return check_name(value)
    if column == "logo_url":
        return _checked_logo_url(value)
    if not _COLOUR.fullmatch(value):
        field = {"primary_colour": "primaryColour", "secondary_colour": "secondaryColour"}[column]
        raise InvalidInput("A colour is # and six hexadecimal digits, such as #1a2b3c.", path=(field,))
    return value.lower()


def _checked_logo_url(url: str) -> str:
    """Every browser below loads it, so it is https and carries no one's password."""
    refusal = InvalidInput(
        f"Give an address that begins with https://, of at most {LOGO_URL_LENGTH_MAX} characters, without a sign-in; "
        "blanks, quotes, parentheses, angle brackets and letters with accents are percent-encoded.",
        path=("logoUrl",),
    )
    if len(url) > LOGO_URL_LENGTH_MAX or not _URL.fullmatch(url):
        raise refusal
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refusal from None
    if not parts.hostname or "@" in parts.netloc or port == 0:
        raise refusal
    return url
