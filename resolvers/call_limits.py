"""Limits on calls: who may set them, and how far they are used."""

from collections.abc import Mapping, Sequence
from typing import Any

from billing.call_limits import Limits
from billing.errors import NotAReseller
from billing.limit_store import find_limits, set_limits
from resolvers.access import Scope, require_manages
from resolvers.accounts import visible_account
from resolvers.context import RequestContext

# What a reseller decides for itself: it says what its own customers may do.
_OWN_POLICY = {"no_loss_calls"}


async def change_call_limits(context: RequestContext, account_id: int | None, changes: Mapping[str, Any]) -> None:
    """Change the given limits of an account that the viewer manages; its own policy a reseller sets itself, too.

    Raises: NotFound, NotAllowed, NotAReseller, InvalidInput, InvalidNumber.
    """
    viewer = context.require_viewer(Scope.MANAGE)
    account = await visible_account(context, account_id)
    own_policy = account is not None and account.id == viewer.account_id and changes.keys() <= _OWN_POLICY
    if not own_policy:
        require_manages(viewer, None if account is None else account.path)
    assert account is not None
    if changes.get("no_loss_calls") and not account.is_reseller:
        raise NotAReseller("Only a reseller has customers to lose by.", path=("noLossCalls",), account_id=account.id)
    async with context.transaction() as tx:
        await set_limits(tx, account_id=account.id, changes=changes)


async def call_limits(context: RequestContext, account_id: int) -> Limits:
    """The limits of a visible account and their use; batched with those of its siblings."""

    async def load_many(account_ids: Sequence[int]) -> dict[int, Limits]:
        async with context.services.db.charging_connection() as connection:
            return await find_limits(connection, account_ids, also_unlimited=True)

    return await context.loaders.loader("call limits", load_many).load(account_id) or Limits()
