"""Branding as the API reads it: the account's own, or that of the nearest account above it which has set one.

It is the one thing of its parent that a viewer sees, and only what is set: whose it is stays hidden.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import any_, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from billing import branding
from billing.errors import NotAReseller
from models.tables import Account, Branding
from resolvers.access import Scope
from resolvers.context import RequestContext


@dataclass(frozen=True, slots=True)
class BrandingRow:
    """What ``account_id`` has set; None where it has left something open."""

    account_id: int
    name: str | None
    logo_url: str | None
    primary_colour: str | None
    secondary_colour: str | None


async def branding_of(context: RequestContext, account_id: int) -> BrandingRow | None:
    """The branding that the account is shown, whoever set it; None where nobody on its path has. Batched."""
    context.require_viewer(scope=None)

    async def load_many(account_ids: Sequence[int]) -> dict[int, BrandingRow]:
        nearest = (
            select(Account.id, *(getattr(Branding, name) for name in BrandingRow.__slots__))
            .join(Branding, Branding.account_id == any_(Account.path))
            .where(Account.id.in_(account_ids))
            .ext(distinct_on(Account.id))
            .order_by(Account.id, func.array_position(Account.path, Branding.account_id).desc())
        )
        async with context.services.db.read() as connection:
            return {row[0]: BrandingRow(*row[1:]) for row in await connection.execute(nearest)}

    return await context.loaders.loader("branding", load_many).load(account_id)


async def update_branding(context: RequestContext, changes: Mapping[str, str | None]) -> int:
    """Set the viewer's own branding; its account. Raises: NotAReseller, InvalidInput."""
    viewer = context.require_viewer(Scope.MANAGE)
    if not viewer.is_reseller:
        raise NotAReseller("Only a reseller has a branding of its own.", account_id=viewer.account_id)
    async with context.transaction() as tx:
        await branding.update_branding(tx, account_id=viewer.account_id, changes=changes)
    return viewer.account_id
