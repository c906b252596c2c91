"""Who may watch which balances: the gate before the feed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from resolvers.access import require_visible
from resolvers.balance_watcher import Tell, Watcher
from resolvers.context import RequestContext
from resolvers.request_errors import BadUserInput

ACCOUNTS_MAX = 1_000


@asynccontextmanager
async def watch_balances(
    context: RequestContext,
    account_ids: Sequence[int | None] | None,
    *,
    include_descendants: bool,
    tell: Tell | None = None,
) -> AsyncIterator[Watcher]:
    """Watch these accounts, or the viewer itself without ``account_ids``; None in it is an account there is not.

    A blocked viewer may watch. The watcher gives the present state of each account first, then every newer one, and
    raises Unauthenticated when the viewer's token ends. ``tell``: see `Watcher`.

    Raises: Unauthenticated, Forbidden; BadUserInput for none or more than `ACCOUNTS_MAX` accounts; NotFound where
    the viewer may not see one of them.
    """
    viewer = context.require_viewer()
    wanted = dict.fromkeys([viewer.account_id] if account_ids is None else account_ids)
    if not wanted:
        raise BadUserInput("Name at least one account in `accountIds`, or leave it out to watch your own.")
    if len(wanted) > ACCOUNTS_MAX:
        raise BadUserInput(f"One subscription watches at most {ACCOUNTS_MAX} accounts by name.")
    found = await context.services.directory.by_id(account_id for account_id in wanted if account_id is not None)
    accounts = []
    for account_id in wanted:
        account = None if account_id is None else found.get(account_id)
        require_visible(viewer, None if account is None else account.path, field=("accountIds",))
        assert account is not None
        accounts.append(account)
    feed = context.services.feed
    watching = feed.watch(accounts, include_descendants=include_descendants, token_id=viewer.token_id, tell=tell)
    async with watching as watcher:
        yield watcher
