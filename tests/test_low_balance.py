"""Low-balance notices: one when what is available falls below the threshold, until it has been above it again."""

import asyncio
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from resolvers.low_balance_feed import LowBalanceFeed
from tests.graphql_client import Api, Person, running_api
from tests.test_holds import a_call, one_a_minute


@pytest.fixture
async def keytyh(api: Api) -> Person:
    """A customer with 10.00000, calling at 1.00 a minute, below a reseller with 100.00000."""
    await one_a_minute(api)
    good = await api.reseller("good", of=api.operator, credit="100")
    return await api.customer("keytyh", of=good, credit="10")


async def charge(api: Api, call_id: str, seconds: int) -> None:
    call = a_call(call_id) | {"startedAt": "2026-05-04T12:00:00Z", "durationSeconds": seconds}
    await api.done("chargeCall", "duplicate", {"call": call}, by=api.operator)


async def notices(api: Api) -> list[tuple[int, int]]:
    """Available and threshold of every notice so far."""
    async with api.db.read() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT available_units, threshold_units FROM low_balance_notices ORDER BY id"
        )
        return [tuple(row) for row in rows]


async def test_one_notice_is_given_until_the_balance_has_risen_above_the_threshold_again(
    api: Api, keytyh: Person
) -> None:
    watch = {"accountId": keytyh.id, "threshold": "5"}
    set_ = await api.done("setLowBalanceNotice", "account { lowBalanceThreshold } webhookSecret", watch, by=keytyh)
    assert (set_["account"], set_["webhookSecret"]) == ({"lowBalanceThreshold": "5.00000"}, None)
    await charge(api, "c-1", 300)
    assert await notices(api) == [], "5.00000 is not below 5.00000"
    await charge(api, "c-2", 60)
    assert await notices(api) == [(400_000, 500_000)]
    await charge(api, "c-3", 60)
    assert await notices(api) == [(400_000, 500_000)]
    credit = {"accountId": keytyh.id, "amount": "3", "idempotencyKey": "k-1"}
    await api.done("createCreditTransaction", "duplicate", credit, by=api.operator)
    await charge(api, "c-4", 180)
    assert await notices(api) == [(400_000, 500_000), (300_000, 500_000)]


async def test_a_hold_takes_from_what_is_available_and_so_gives_notice(api: Api, keytyh: Person) -> None:
    watch = {"accountId": keytyh.id, "threshold": "9.5"}
    await api.done("setLowBalanceNotice", "account { id }", watch, by=keytyh)
    await api.done("authorizeCall", "duplicate", a_call("c-1"), by=api.operator)
    assert await notices(api) == [(900_000, 950_000)]


async def test_an_account_that_is_low_already_is_told_of_when_it_has_been_above(api: Api, keytyh: Person) -> None:
    await api.done("setLowBalanceNotice", "account { id }", {"accountId": keytyh.id, "threshold": "20"}, by=keytyh)
    await charge(api, "c-1", 60)
    assert await notices(api) == []
    assert await api.rows("low_balance_watches")
    ended = await api.done(
        "setLowBalanceNotice", "account { lowBalanceThreshold }", {"accountId": keytyh.id}, by=keytyh
    )
    assert ended["account"] == {"lowBalanceThreshold": None}


async def test_who_may_set_a_watch(api: Api, keytyh: Person) -> None:
    stranger = await api.reseller("stranger", of=api.operator)
    watch = {"accountId": keytyh.id, "threshold": "5"}
    assert (await api.refused("setLowBalanceNotice", watch, by=stranger))["code"] == "NOT_FOUND"
    own = {"accountId": api.operator.id, "threshold": "5"}
    assert (await api.refused("setLowBalanceNotice", own, by=api.operator))["code"] == "NOT_ALLOWED"
    bad = {**watch, "webhookUrl": "ftp://example.com"}
    assert (await api.refused("setLowBalanceNotice", bad, by=keytyh))["path"] == ["webhookUrl"]
    nothing = {"accountId": keytyh.id, "webhookUrl": "https://example.com"}
    assert (await api.refused("setLowBalanceNotice", nothing, by=keytyh))["path"] == ["threshold"]
    assert await api.rows("low_balance_watches") == {"low_balance_watches": []}


async def test_each_author_sets_sees_and_ends_a_watch_of_its_own(api: Api, keytyh: Person) -> None:
    good = await api.sign_in("good*operator")
    threshold = "query ($id: ID!) { account(id: $id) { lowBalanceThreshold } }"

    async def thresholds() -> list[str | None]:
        people = (keytyh, good, api.operator)
        return [(await api(threshold, {"id": keytyh.id}, by=by))["account"]["lowBalanceThreshold"] for by in people]

    for by, amount in ((keytyh, "5"), (good, "8")):
        watch = {"accountId": keytyh.id, "threshold": amount}
        await api.done("setLowBalanceNotice", "account { id }", watch, by=by)
    assert await thresholds() == ["5.00000", "8.00000", None]
    await charge(api, "c-1", 150)
    assert await notices(api) == [(750_000, 800_000)], "7.50000 is only below what the reseller watches for"
    await charge(api, "c-2", 180)
    assert await notices(api) == [(750_000, 800_000), (450_000, 500_000)]
    await api.done("setLowBalanceNotice", "account { id }", {"accountId": keytyh.id}, by=good)
    assert await thresholds() == ["5.00000", None, None]


async def test_each_author_is_told_of_what_it_watches_and_of_nothing_else(api: Api, keytyh: Person) -> None:
    good = await api.sign_in("good*operator")
    for by, amount in ((keytyh, "5"), (good, "8")):
        watch = {"accountId": keytyh.id, "threshold": amount}
        await api.done("setLowBalanceNotice", "account { id }", watch, by=by)
    async with (
        LowBalanceFeed(api.db) as feed,
        feed.watch(keytyh.account_id) as customers,
        feed.watch(good.account_id) as resellers,
        feed.watch(api.operator.account_id) as operators,
    ):
        await listening(api)
        await charge(api, "c-1", 360)
        for watcher, threshold_units in ((customers, 500_000), (resellers, 800_000)):
            notice = await asyncio.wait_for(anext(aiter(watcher)), 10)
            told = (notice.account_id, notice.available_units, notice.threshold_units)
            assert told == (keytyh.account_id, 400_000, threshold_units)
        for watcher in (customers, resellers, operators):
            watcher.end()
            assert [notice async for notice in watcher] == []


async def test_what_fell_while_the_feed_could_not_listen_is_told_once_when_it_can(api: Api, keytyh: Person) -> None:
    good = await api.sign_in("good*operator")
    anna = await api.customer("anna", of=good, credit="10")
    for account in (keytyh, anna):
        watch = {"accountId": account.id, "threshold": "5"}
        await api.done("setLowBalanceNotice", "account { id }", watch, by=good)
    async with LowBalanceFeed(api.db) as feed, feed.watch(good.account_id) as watcher:
        await listening(api)
        told = aiter(watcher)
        await charge(api, "c-1", 360)
        assert (await asyncio.wait_for(anext(told), 10)).account_id == keytyh.account_id
        await cut_off(api)
        call = a_call("c-2", username=anna.username) | {"startedAt": "2026-05-04T12:00:00Z", "durationSeconds": 330}
        await api.done("chargeCall", "duplicate", {"call": call}, by=api.operator)
        missed = await asyncio.wait_for(anext(told), 10)
        assert (missed.account_id, missed.available_units, missed.threshold_units) == (
            anna.account_id,
            450_000,
            500_000,
        )
        await listening(api)
        watcher.end()
        assert [notice async for notice in told] == [], "keytyh is low still, and was told"


async def test_what_has_risen_again_while_the_feed_could_not_listen_is_not_told(api: Api, keytyh: Person) -> None:
    await api.done("setLowBalanceNotice", "account { id }", {"accountId": keytyh.id, "threshold": "5"}, by=keytyh)
    await charge(api, "c-1", 360)
    credit = {"accountId": keytyh.id, "amount": "3", "idempotencyKey": "k-1"}
    await api.done("createCreditTransaction", "duplicate", credit, by=api.operator)
    async with LowBalanceFeed(api.db) as feed, feed.watch(keytyh.account_id) as watcher:
        await listening(api)
        await charge(api, "c-2", 180)
        notice = await asyncio.wait_for(anext(aiter(watcher)), 10)
        assert notice.available_units == 400_000


async def cut_off(api: Api) -> None:
    """Break the connections of every listener, as a restart of the database does."""
    async with api.db.read() as connection:
        await connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'tollpath feed'"
        )


async def listening(api: Api) -> None:
    """Wait until the feed's own connection listens (the application's listens as well)."""
    for _ in range(200):
        async with api.db.read() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND query LIKE 'LISTEN%tollpath_low_balance%'"
            )
            if rows.scalar_one() >= 2:
                return
        await asyncio.sleep(0.02)
    raise AssertionError("nobody listens")


@asynccontextmanager
async def receiver(answers: list[int]) -> AsyncIterator[tuple[str, "asyncio.Queue[tuple[bytes, str]]"]]:
    """A webhook's other end on this machine: answers with these statuses in turn, then with 200."""
    received: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()

    async def take(request: Request) -> Response:
        await received.put((await request.body(), request.headers["tollpath-signature"]))
        return Response(status_code=answers.pop(0) if answers else 200)

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(Starlette(routes=[Route("/hook", take, methods=["POST"])]), log_config=None)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}/hook", received
        finally:
            server.should_exit = True
            await task


async def test_a_webhook_is_posted_signed_and_again_until_it_is_taken(database_url: str) -> None:
    async with running_api(database_url, webhook_private_addresses=True) as api, receiver([500]) as (url, received):
        await one_a_minute(api)
        good = await api.reseller("good", of=api.operator, credit="100")
        keytyh = await api.customer("keytyh", of=good, credit="10")
        watch = {"accountId": keytyh.id, "threshold": "5", "webhookUrl": url}
        secret = (await api.done("setLowBalanceNotice", "webhookSecret", watch, by=keytyh))["webhookSecret"]
        await charge(api, "c-1", 360)
        first = await asyncio.wait_for(received.get(), 20)
        async with api.db.transaction() as tx:  # half a minute passes
            await tx.exec_driver_sql("UPDATE low_balance_notices SET next_attempt_at = clock_timestamp()")
        second = await asyncio.wait_for(received.get(), 20)
        for body, header in (first, second):
            seconds, _, digest = header.removeprefix("t=").partition(",v1=")
            assert digest == hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
            posted: dict[str, Any] = orjson.loads(body)
            posted.pop("at")
            assert posted == {
                "id": "1",
                "type": "balance.low",
                "account": {"id": keytyh.id, "username": "keytyh*good"},
                "available": "4.00000",
                "threshold": "5.00000",
                "currency": "EUR",
            }
        assert (await delivery(api, delivered=True))[:2] == (2, True)


async def test_each_author_has_a_webhook_and_a_secret_of_its_own(database_url: str) -> None:
    async with (
        running_api(database_url, webhook_private_addresses=True) as api,
        receiver([]) as (customers_url, customers),
        receiver([]) as (resellers_url, resellers),
    ):
        await one_a_minute(api)
        good = await api.reseller("good", of=api.operator, credit="100")
        keytyh = await api.customer("keytyh", of=good, credit="10")
        posts = ((keytyh, "5", customers_url, customers), (good, "8", resellers_url, resellers))
        secrets = []
        for by, threshold, url, _ in posts:
            watch = {"accountId": keytyh.id, "threshold": threshold, "webhookUrl": url}
            secrets.append((await api.done("setLowBalanceNotice", "webhookSecret", watch, by=by))["webhookSecret"])
        await charge(api, "c-1", 360)
        for secret, (_, threshold, _, received) in zip(secrets, posts, strict=True):
            body, header = await asyncio.wait_for(received.get(), 20)
            seconds, _, digest = header.removeprefix("t=").partition(",v1=")
            assert digest == hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
            posted = orjson.loads(body)
            assert (posted["available"], posted["threshold"]) == ("4.00000", f"{threshold}.00000")
        assert customers.empty()
        assert resellers.empty()


async def test_a_webhook_is_not_posted_to_an_address_that_is_not_public(api: Api, keytyh: Person) -> None:
    async with receiver([]) as (url, received):
        watch = {"accountId": keytyh.id, "threshold": "5", "webhookUrl": url}
        await api.done("setLowBalanceNotice", "webhookSecret", watch, by=keytyh)
        await charge(api, "c-1", 360)
        attempts, delivered, error = await delivery(api, delivered=False)
        assert (attempts, delivered) == (1, False)
        assert "no public address" in error
        assert received.empty()


async def delivery(api: Api, *, delivered: bool) -> tuple[int, bool, str]:
    """Attempts, whether delivered, and the last error, once the attempt has been noted."""
    for _ in range(500):
        async with api.db.read() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT attempts, delivered_at IS NOT NULL, COALESCE(last_error, '') FROM low_balance_notices"
            )
            found = tuple(rows.one())
        if found[1] is delivered and (delivered or found[2]):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"the post was not noted: {found}")
