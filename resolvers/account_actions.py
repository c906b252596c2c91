"""What viewers do to accounts: the gate first, then the rules of `billing` in one transaction.

Every function takes the viewer from the context; the mutation has checked that it is signed in and not blocked.
Raises, all of them: NotFound outside the viewer's subtree, NotAllowed where only somebody else may do it.
"""

from collections.abc import Mapping
from typing import Any

from billing import account_changes, accounts, credit
from billing.accounts import CreatedAccount
from billing.credit import BookedCredit
from billing.errors import InvalidCredentials, NotAllowed, NotAReseller, NotFound
from billing.passwords import check_password
from billing.usernames import bare_name, check_bare_name
from resolvers.access import Scope, require_below, require_manages
from resolvers.accounts import AccountRow, visible_account
from resolvers.context import RequestContext
from resolvers.sign_in import stored_password_hash


async def create_customer(
    context: RequestContext,
    *,
    reseller_id: int | None,
    reseller_given: bool,
    username: str,
    password: str,
    details: Mapping[str, Any],
    rate_list_id: int | None,
    rate_list_given: bool,
    **settings: Any,
) -> CreatedAccount:
    """A customer of the viewer, or, for the operator, of any reseller. ``settings`` as `accounts.create_customer`."""
    viewer = context.require_viewer(Scope.MANAGE)
    reseller = await _visible(context, reseller_id if reseller_given else viewer.account_id, ("resellerId",))
    if reseller.id != viewer.account_id and not viewer.is_operator:
        raise NotAllowed("A reseller makes customers of its own only.", path=("resellerId",), account_id=reseller.id)
    if not reseller.is_reseller:
        raise NotAReseller("Only a reseller can have customers.", path=("resellerId",), account_id=reseller.id)
    if rate_list_given and rate_list_id is None:
        raise NotFound("There is no such rate list.", path=("rateListId",))
    check_bare_name(username, suffix=bare_name(reseller.username))
    check_password(password, length_min=context.services.rules.password_length_min)
    password_hash = await context.services.passwords.hash(password)
    async with context.transaction() as tx:
        return await accounts.create_customer(
            tx,
            reseller_id=reseller.id,
            author_id=viewer.account_id,
            username=username,
            password_hash=password_hash,
            details=details,
            rate_list_id=rate_list_id,
            **settings,
        )


async def update_account(
    context: RequestContext,
    account_id: int | None,
    *,
    details: Mapping[str, Any],
    rate_list_id: int | None,
    rate_list_given: bool,
    is_reseller: bool | None,
    held_to_own_credit: bool | None,
) -> None:
    """Details by the account itself or its reseller; everything else by its reseller only."""
    viewer = context.require_viewer(Scope.MANAGE)
    account = await _visible(context, account_id)
    only_details = not rate_list_given and is_reseller is None and held_to_own_credit is None
    if account.id != viewer.account_id or not only_details:
        require_manages(viewer, account.path)
    if rate_list_given and rate_list_id is None:
        raise NotFound("There is no such rate list.", path=("rateListId",))
    async with context.transaction() as tx:
        await account_changes.update_details(tx, account_id=account.id, details=details)
        if rate_list_id is not None:
            await account_changes.select_rate_list(tx, account_id=account.id, rate_list_id=rate_list_id)
        if is_reseller is not None:
            await account_changes.set_reseller(tx, account_id=account.id, is_reseller=is_reseller)
        if held_to_own_credit is not None:
            await account_changes.hold_to_own_credit(tx, account_id=account.id, held_to=held_to_own_credit)


async def set_blocked(context: RequestContext, account_id: int | None, *, blocked: bool) -> None:
    """Block or unblock anybody below the viewer."""
    viewer = context.require_viewer(Scope.MANAGE)
    account = await _visible(context, account_id)
    require_below(viewer, account.path)
    async with context.transaction() as tx:
        await account_changes.set_blocked(tx, account_id=account.id, blocked=blocked)


async def make_reseller(context: RequestContext, account_id: int | None) -> None:
    """Set the reseller mark, for good."""
    account = await _managed(context, account_id)
    async with context.transaction() as tx:
        await account_changes.set_reseller(tx, account_id=account.id, is_reseller=True)


async def set_credit_limit(context: RequestContext, account_id: int | None, credit_limit_units: int | None) -> None:
    """Set how far below zero the account may go. Raises also: InvalidAmount."""
    account = await _managed(context, account_id)
    async with context.transaction() as tx:
        await account_changes.set_credit_limit(tx, account_id=account.id, credit_limit_units=credit_limit_units)


async def create_credit_transaction(
    context: RequestContext,
    account_id: int | None,
    *,
    amount_units: int,
    remark: str | None,
    private_remark: str | None,
    idempotency_key: str,
) -> BookedCredit:
    """Give credit, or take some back. Raises also what `billing.credit.create_credit_transaction` raises."""
    account = await _managed(context, account_id)
    async with context.transaction() as tx:
        return await credit.create_credit_transaction(
            tx,
            author_id=context.require_viewer(Scope.MANAGE).account_id,
            account_id=account.id,
            amount_units=amount_units,
            remark=remark,
            private_remark=private_remark,
            idempotency_key=idempotency_key,
        )


async def change_password(
    context: RequestContext, account_id: int | None, *, account_given: bool, current: str | None, new: str
) -> int:
    """The viewer's own password with the current one, or, without it, a customer's. Answers whose it was.

    Raises also: InvalidCredentials, PasswordTooShort, Throttled.
    """
    viewer = context.require_viewer(Scope.MANAGE)
    own = not account_given or account_id == viewer.account_id
    account = await _visible(context, viewer.account_id) if own else await _managed(context, account_id)
    check_password(new, length_min=context.services.rules.password_length_min, path=("newPassword",))
    passwords = context.services.passwords
    if own:
        stored = await stored_password_hash(context.services.db, account.id)
        async with context.services.sign_in_throttle.one_try(account.username, context.client_address):
            if current is None or not await passwords.matches(current, stored):
                raise InvalidCredentials("The current password is wrong.", path=("currentPassword",))
    password_hash = await passwords.hash(new)
    async with context.transaction() as tx:
        await account_changes.set_password(
            tx,
            account_id=account.id,
            password_hash=password_hash,
            kept_token_id=viewer.token_id if own else None,
        )
    return account.id


async def _managed(context: RequestContext, account_id: int | None) -> AccountRow:
    viewer = context.require_viewer(Scope.MANAGE)
    account = await _visible(context, account_id)
    require_manages(viewer, account.path)
    return account


async def _visible(
    context: RequestContext, account_id: int | None, field: tuple[str, ...] = ("accountId",)
) -> AccountRow:
    account = await visible_account(context, account_id)
    if account is None:
        raise NotFound("There is no such account.", path=field)
    return account
