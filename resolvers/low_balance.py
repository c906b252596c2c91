"""Low balance: what each author watches accounts for, and its notices."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from sqlalchemy import select

from billing.errors import InvalidInput
from billing.low_balance import end_watch, set_watch
from models.tables import LowBalanceWatch
from resolvers.access import Scope, require_manages
from resolvers.accounts import visible_account
from resolvers.balance_watcher import Watcher
from resolvers.context import RequestContext
from resolvers.low_balance_feed import LowBalanceWatcher
from resolvers.request_errors import Unauthenticated


async def change_watch(
    context: RequestContext, account_id: int | None, threshold_units: int | None, webhook_url: str | None
) -> str | None:
    """Watch an account for the viewer, or without a threshold no more; its own account, or one that it manages.

    Answers the secret of the webhook. Raises: NotFound, NotAllowed, InvalidInput.
    """
    viewer = context.require_viewer(Scope.MANAGE)
    account = await visible_account(context, account_id)
    if account is None or account.id != viewer.account_id:
        require_manages(viewer, None if account is None else account.path)
    assert account is not None
    if webhook_url is not None:
        _check_url(webhook_url)
        if threshold_units is None:
            raise InvalidInput("Give a threshold as well: without one nothing is posted.", path=("threshold",))
    async with context.transaction() as tx:
        if threshold_units is None:
            await end_watch(tx, account_id=account.id, author_id=viewer.account_id)
            return None
        return await set_watch(
            tx,
            account_id=account.id,
            author_id=viewer.account_id,
            threshold_units=threshold_units,
            webhook_url=webhook_url,
        )


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
        _ = parts.port
    except ValueError:
        good = False
    if not good or not url.isprintable():
        raise InvalidInput("Give a URL that begins with https:// or http://.", path=("webhookUrl",))


async def low_balance_threshold(context: RequestContext, account_id: int) -> int | None:
    """What the viewer watches the account for, in whole units; None if it does not. Batched with its siblings."""
    author_id = context.require_viewer(None).account_id

    async def load_many(account_ids: Sequence[int]) -> dict[int, int]:
        statement = select(LowBalanceWatch.account_id, LowBalanceWatch.threshold_units)
        async with context.services.db.read() as connection:
            rows = await connection.execute(
                statement.where(LowBalanceWatch.account_id.in_(account_ids), LowBalanceWatch.author_id == author_id)
            )
            return {row.account_id: row.threshold_units for row in rows}

    return await context.loaders.loader("low balance thresholds", load_many).load(account_id)


@asynccontextmanager
async def watch_low_balances(context: RequestContext) -> AsyncIterator[LowBalanceWatcher]:
    """Notices of what the viewer watches, until its token ends: then Unauthenticated."""
    viewer = context.require_viewer()
    services = context.services
    async with (
        services.low_balance_feed.watch(viewer.account_id) as watcher,
        services.feed.watch([], token_id=viewer.token_id) as token,
    ):
        ending = asyncio.create_task(_end_with(token, watcher))
        try:
            yield watcher
        finally:
            ending.cancel()


async def _end_with(token: Watcher, watcher: LowBalanceWatcher) -> None:
    try:
        async for _ in token:
            pass
    except Unauthenticated as error:
        watcher.end(error)
    else:
        watcher.end()
