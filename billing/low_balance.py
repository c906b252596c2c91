"""Low-balance notices: each author's watches, and handing out what is to be posted to webhooks.

The notice itself is made by `billing.balances`, in the statement that changes the balance.
"""

import secrets
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import InvalidInput, NotAllowed
from models.tables import AccountState, LowBalanceNotice, LowBalanceWatch

WEBHOOK_URL_LENGTH_MAX = 2000
# Half a minute after the first attempt, a minute after the second, then twice as long each time: some 17 hours.
ATTEMPTS_MAX = 12
_FIRST_RETRY_S = 30

# Whoever claims a notice has until the next attempt to report back; if it dies, somebody else tries again then.
_CLAIM = text(
    "UPDATE low_balance_notices AS notice SET attempts = attempts + 1, "
    "next_attempt_at = CASE WHEN attempts + 1 < :attempts_max "
    "THEN clock_timestamp() + make_interval(secs => :first_retry_s * 2 ^ attempts) END "
    "FROM low_balance_watches AS watch, accounts "
    "WHERE notice.id IN (SELECT id FROM low_balance_notices WHERE next_attempt_at <= clock_timestamp() "
    "ORDER BY next_attempt_at LIMIT :count FOR UPDATE SKIP LOCKED) "
    "AND watch.account_id = notice.account_id AND watch.author_id = notice.author_id "
    "AND accounts.id = notice.account_id AND watch.webhook_url IS NOT NULL "
    "RETURNING notice.id, notice.account_id, accounts.username, notice.available_units, notice.threshold_units, "
    "notice.at, notice.attempts, watch.webhook_url AS url, watch.webhook_secret AS secret"
)


class DuePost(NamedTuple):
    """A notice to post now. ``secret`` signs it."""

    id: int
    account_id: int
    username: str
    available_units: int
    threshold_units: int
    at: datetime
    attempts: int
    url: str
    secret: str


async def set_watch(
    tx: AsyncConnection, *, account_id: int, author_id: int, threshold_units: int, webhook_url: str | None
) -> str | None:
    """Watch an account for one author, beside what others watch it for; answers the secret of its webhook.

    None without one; a new URL gets a new secret. An account that is below the threshold already is told of when it
    has been above it. Locks the state row.

    Raises: InvalidInput for a URL that is too long; NotAllowed for the operator, whose credit is unlimited.
    """
    if webhook_url is not None and len(webhook_url) > WEBHOOK_URL_LENGTH_MAX:
        raise InvalidInput(f"Give a URL of at most {WEBHOOK_URL_LENGTH_MAX} characters.", path=("webhookUrl",))
    available = AccountState.balance_units + AccountState.credit_limit_units - AccountState.held_units
    state = select(available.label("available")).where(AccountState.account_id == account_id).with_for_update()
    available_units = (await tx.execute(state)).scalar_one()
    if available_units is None:
        raise NotAllowed("The operator's credit is unlimited.", path=("accountId",), account_id=account_id)
    own = (LowBalanceWatch.account_id == account_id, LowBalanceWatch.author_id == author_id)
    kept = (await tx.execute(select(LowBalanceWatch.__table__).where(*own))).first()
    secret = None if webhook_url is None else secrets.token_urlsafe(32)
    if kept is not None and kept.webhook_url == webhook_url:
        secret = kept.webhook_secret
    values = {
        "threshold_units": threshold_units,
        "told": available_units < threshold_units,
        "webhook_url": webhook_url,
        "webhook_secret": secret,
    }
    key = [LowBalanceWatch.account_id, LowBalanceWatch.author_id]
    statement = insert(LowBalanceWatch).values(account_id=account_id, author_id=author_id, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=key, set_=values))
    return secret


async def end_watch(tx: AsyncConnection, *, account_id: int, author_id: int) -> None:
    """Watch the account no more for this author. What was to be posted for it is dropped."""
    await tx.execute(
        delete(LowBalanceWatch).where(LowBalanceWatch.account_id == account_id, LowBalanceWatch.author_id == author_id)
    )
    await tx.execute(
        update(LowBalanceNotice)
        .where(
            LowBalanceNotice.account_id == account_id,
            LowBalanceNotice.author_id == author_id,
            LowBalanceNotice.next_attempt_at.is_not(None),
        )
        .values(next_attempt_at=None)
    )


async def claim_due_posts(tx: AsyncConnection, count: int) -> list[DuePost]:
    """Take notices that are due, at most ``count``, so that no other process posts them before their next attempt."""
    rows: Any = await tx.execute(
        _CLAIM, {"count": count, "attempts_max": ATTEMPTS_MAX, "first_retry_s": _FIRST_RETRY_S}
    )
    return [DuePost(*row) for row in rows]


async def report_post(tx: AsyncConnection, *, notice_id: int, error: str | None) -> None:
    """Note that a notice was delivered, or why not."""
    values: dict[str, Any] = {"last_error": error}
    if error is None:
        values |= {"delivered_at": func.clock_timestamp(), "next_attempt_at": None}
    await tx.execute(update(LowBalanceNotice).where(LowBalanceNotice.id == notice_id).values(values))
