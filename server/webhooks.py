"""Posts low-balance notices to webhooks: signed, again until they are taken, each by one process at a time.

At least once: a process that dies between the answer and its note of it leads to a second post, with the same ``id``.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import orjson
import structlog

from billing.low_balance import DuePost, claim_due_posts, report_post
from billing.money import format_money
from models.database import Database
from schema.node import global_id
from schema.scalars import format_instant

_INTERVAL_S = 1.0
_POSTS_AT_ONCE = 20
_TIMEOUT_S = 10.0

_log = structlog.get_logger(__name__)


class _PostError(Exception):
    """Why a notice was not delivered."""


@asynccontextmanager
async def webhook_posts(database: Database, *, currency: str, private_addresses: bool) -> AsyncIterator[None]:
    """Runs beside the block; what is under way at the end is posted again by whoever comes next."""
    task = asyncio.create_task(_run(database, currency, private_addresses))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run(database: Database, currency: str, private_addresses: bool) -> None:
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            try:
                async with database.transaction() as tx:
                    due = await claim_due_posts(tx, _POSTS_AT_ONCE)
                async with asyncio.TaskGroup() as group:
                    for post in due:
                        group.create_task(_deliver(database, client, post, currency, private_addresses))
            except Exception as error:
                # The database may be away; the next round tries again.
                _log.warning("webhooks_interrupted", error=repr(error))


async def _deliver(
    database: Database, client: httpx.AsyncClient, post: DuePost, currency: str, private_addresses: bool
) -> None:
    try:
        await _post(client, post, currency, private_addresses)
        error = None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, _PostError) as failure:
        error = f"{type(failure).__name__}: {failure}"[:500]
        _log.info("webhook_not_taken", notice=post.id, attempt=post.attempts, error=error)
    async with database.transaction() as tx:
        await report_post(tx, notice_id=post.id, error=error)


async def _post(client: httpx.AsyncClient, post: DuePost, currency: str, private_addresses: bool) -> None:
    url = httpx.URL(post.url)
    address = await _address_of(url, private_addresses)
    body = body_of(post, currency)
    headers = {
        "Host": url.netloc.decode(),
        "Content-Type": "application/json",
        "User-Agent": "Tollpath",
        "Tollpath-Signature": signature(post.secret, int(time.time()), body),
    }
    # Sent to the very address that was checked: the name may mean another one by now.
    request = client.build_request(
        "POST", url.copy_with(host=address), content=body, headers=headers, extensions={"sni_hostname": url.host}
    )
    response = await client.send(request)
    if not response.is_success:
        raise _PostError(f"answered with status {response.status_code}")


async def _address_of(url: httpx.URL, private_addresses: bool) -> str:
    port = url.port or (443 if url.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(url.host, port, proto=6)
    address = str(found[0][4][0])
    if not private_addresses and not ipaddress.ip_address(address).is_global:
        raise _PostError(f"{address} is no public address")
    return address


def body_of(post: DuePost, currency: str) -> bytes:
    """What is posted: amounts as decimal text, ids as in the API. ``id`` is the same in every attempt."""
    return orjson.dumps(
        {
            "id": str(post.id),
            "type": "balance.low",
            "account": {"id": global_id("Account", post.account_id), "username": post.username},
            "available": format_money(post.available_units),
            "threshold": format_money(post.threshold_units),
            "currency": currency,
            "at": format_instant(post.at),
        }
    )


def signature(secret: str, at: int, body: bytes) -> str:
    """The header's value: the HMAC-SHA-256 of ``SECONDS.BODY``, with the seconds, so that an old post is no new one."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
