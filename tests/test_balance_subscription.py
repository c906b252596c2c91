"""`balanceChanged` as clients see it: over WebSockets and event streams, from one or two server processes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from billing.accounts import create_operator
from models.database import Database
from resolvers.context import RequestContext, Services
from resolvers.sign_in import viewer_of_token
from schema.assembled import schema
from schema.event_teller import EventTeller
from server.graphql_http import GraphQLEndpoint
from server.services import open_services
from server.settings import Settings
from tests.graphql_client import CHEAP_HASH, PASSWORD, Api, Person
from tests.http_face import running
from tests.live_client import over_sse, over_websocket
from tests.server_process import server_processes

WATCH = """
subscription ($accountIds: [ID!], $includeDescendants: Boolean = false) {
  balanceChanged(accountIds: $accountIds, includeDescendants: $includeDescendants) {
    account { username } balance held available version cause at
  }
}
"""
NextChange = Callable[[], Awaitable[dict[str, Any]]]
OVER = pytest.mark.parametrize("subscribed", [over_websocket, over_sse], ids=["websocket", "sse"])


@dataclass(frozen=True)
class Live:
    """A real server in this process, with operator ▶ luluka ▶ good ▶ keytyh and a stranger beside luluka."""

    address: str
    services: Services
    api: Api
    luluka: Person
    good: Person
    keytyh: Person
    stranger: Person

    async def credit(self, account: Person, amount: str, *, by: Person, key: str) -> None:
        await give(self.api, account, amount, by=by, key=key)

    async def nobody_watches(self) -> None:
        """Wait until the last watcher has gone."""
        for _ in range(500):
            if not self.services.feed.watcher_count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("somebody still watches")


async def give(api: Api, account: Person, amount: str, *, by: Person, key: str) -> None:
    """Credit an account through the API."""
    fields = {"accountId": account.id, "amount": amount, "idempotencyKey": key}
    await api.done("createCreditTransaction", "duplicate", fields, by=by)


def application(services: Services) -> Starlette:
    async def open_context(token: str | None, request_id: str) -> RequestContext:
        viewer = await viewer_of_token(services.db, token) if token else None
        return RequestContext(services=services, viewer=viewer, request_id=request_id)

    graphql = GraphQLEndpoint(schema, open_context, body_bytes_max=1_000_000)
    return Starlette(routes=[Route("/graphql", graphql), WebSocketRoute("/graphql", graphql)])


@asynccontextmanager
async def api_at(address: str, db: Database) -> AsyncIterator[Api]:
    """The API of a running server, with its operator signed in."""
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        api = Api(client, db)
        api.operator = await api.sign_in("operator")
        yield api


@pytest.fixture
async def live(database_url: str, db: Database) -> AsyncIterator[Live]:
    settings = Settings(**CHEAP_HASH)
    async with db.transaction() as tx:
        await create_operator(tx, username="operator", password_hash=await settings.passwords().hash(PASSWORD))
    async with (
        open_services(settings, database_url) as services,
        running(application(services)) as address,
        api_at(address, db) as api,
    ):
        luluka = await api.reseller("luluka", of=api.operator)
        good = await api.reseller("good", of=luluka)
        keytyh = await api.customer("keytyh", of=good)
        stranger = await api.reseller("stranger", of=api.operator)
        yield Live(address, services, api, luluka, good, keytyh, stranger)


@OVER
async def test_a_viewer_watches_its_own_balance(live: Live, subscribed: Any) -> None:
    await live.credit(live.keytyh, "9.25", by=live.good, key="1")
    before = datetime.now(UTC)
    async with subscribed(live.address, live.keytyh.token, WATCH) as stream:
        first = await stream.change()
        at = datetime.fromisoformat(first.pop("at"))
        assert first == {
            "account": {"username": "keytyh*good"},
            "balance": "9.25000",
            "held": "0.00000",
            "available": "9.25000",
            "version": 1,
            "cause": "PRESENT",
        }
        assert abs(at - before) < timedelta(seconds=10)
        await live.credit(live.keytyh, "-0.25", by=live.good, key="2")
        change = await stream.change()
        assert datetime.fromisoformat(change.pop("at")) > at
        assert change == first | {"balance": "9.00000", "available": "9.00000", "version": 2, "cause": "CREDIT"}
        await live.api.done(
            "setCreditLimit", "account { id }", {"accountId": live.keytyh.id, "creditLimit": "5"}, by=live.good
        )
        change = await stream.change()
        assert (change["available"], change["version"], change["cause"]) == ("14.00000", 3, "LIMIT")
    await live.nobody_watches()


@OVER
async def test_a_reseller_watches_everything_below_it(live: Live, subscribed: Any) -> None:
    async with subscribed(live.address, live.luluka.token, WATCH, {"includeDescendants": True}) as stream:
        names = [(await stream.change())["account"]["username"] for _ in range(3)]
        assert names == ["luluka*operator", "good*luluka", "keytyh*good"]
        await live.credit(live.stranger, "1", by=live.api.operator, key="1")
        await live.credit(live.keytyh, "1", by=live.good, key="1")
        change = await stream.change()
        assert (change["account"]["username"], change["balance"]) == ("keytyh*good", "1.00000")
    await live.nobody_watches()


async def test_over_a_websocket_events_are_told_at_once_and_others_wait_their_turn(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    tell = EventTeller.tell
    monkeypatch.setattr(EventTeller, "tell", lambda self, event: told.append(tell(self, event)) or told[-1])
    queries = {
        # Of the last two, one needs a look at the database and the other an execution. The first state is the stream's.
        "subscription { balanceChanged { version account { username } } }": [True] * 3,
        "subscription { balanceChanged { version account { username blocked } } }": [False] * 3,
        "subscription { balanceChanged { version account { username parent { id } } } }": [],
    }
    for number, (query, expected) in enumerate(queries.items()):
        async with over_websocket(live.address, live.keytyh.token, query) as stream:
            versions = [(await stream.change())["version"]]
            for key in range(3):
                await live.credit(live.keytyh, "1", by=live.good, key=f"{number}.{key}")
                versions.append((await stream.change())["version"])
        assert versions == list(range(3 * number, 3 * number + 4))
        assert told == expected
        told.clear()
    async with over_sse(live.address, live.keytyh.token, WATCH) as stream:
        assert (await stream.change())["version"] == 9
    assert told == []


async def test_several_subscriptions_share_one_connection_and_end_one_by_one(live: Live) -> None:
    ids = [live.luluka.id, live.keytyh.id]
    async with over_websocket(live.address, live.luluka.token, WATCH, {"accountIds": ids}) as stream:
        names = {(await stream.change())["account"]["username"] for _ in ids}
        assert names == {"luluka*operator", "keytyh*good"}
        assert live.services.feed.watcher_count == 1
    await live.nobody_watches()


async def test_a_blocked_account_may_watch(live: Live) -> None:
    await live.api.done("blockAccount", "account { blocked }", {"accountId": live.good.id}, by=live.luluka)
    async with over_sse(live.address, live.good.token, WATCH) as stream:
        assert (await stream.change())["version"] == 0
        await live.credit(live.good, "1", by=live.luluka, key="1")
        assert (await stream.change())["version"] == 1


@OVER
@pytest.mark.parametrize(
    ("viewer", "watched"),
    [
        ("keytyh", "good"),
        ("good", "luluka"),
        ("good", "operator"),
        ("luluka", "stranger"),
        ("stranger", "keytyh"),
    ],
)
async def test_an_account_outside_the_viewers_subtree_does_not_exist(
    live: Live, viewer: str, watched: str, subscribed: Any
) -> None:
    people = {name: getattr(live, name) for name in ("luluka", "good", "keytyh", "stranger")}
    people["operator"] = live.api.operator
    errors = []
    for account_id in (people[watched].id, "QWNjb3VudDo5OTk5", "nonsense"):
        variables = {"accountIds": [people[viewer].id, account_id], "includeDescendants": True}
        async with subscribed(live.address, people[viewer].token, WATCH, variables) as stream:
            result = await stream.next()
        assert "data" not in result
        error = result["errors"][0]
        del error["extensions"]["requestId"]
        errors.append(error)
    assert errors[0] == errors[1] == errors[2]
    assert errors[0]["extensions"] == {"code": "BAD_USER_INPUT", "reason": "NOT_FOUND"}
    assert live.services.feed.watcher_count == 0


@OVER
async def test_watching_needs_a_token_that_may_read(live: Live, subscribed: Any) -> None:
    async with subscribed(live.address, None, WATCH) as stream:
        assert await stream.code_at_end() == "UNAUTHENTICATED"
    created = await live.api.done("createApiToken", "token", {"name": "t", "scopes": ["MANAGE"]}, by=live.good)
    async with subscribed(live.address, created["token"], WATCH) as stream:
        assert await stream.code_at_end() == "FORBIDDEN"
    assert live.services.feed.watcher_count == 0


async def test_no_account_and_too_many_accounts_are_refused(live: Live) -> None:
    for ids in ([], [f"Account:{n}" for n in range(1_001)]):
        async with over_sse(live.address, live.good.token, WATCH, {"accountIds": ids}) as stream:
            # Refused for their number: ids that name nothing count as one.
            assert await stream.code_at_end() == "BAD_USER_INPUT"
    assert live.services.feed.watcher_count == 0


@OVER
async def test_signing_out_ends_what_the_session_watches(live: Live, subscribed: Any) -> None:
    other = await live.api.sign_in("keytyh*good")
    async with (
        subscribed(live.address, live.keytyh.token, WATCH) as ending,
        subscribed(live.address, other.token, WATCH) as staying,
    ):
        await ending.change()
        await staying.change()
        await live.api("mutation { logout { errors { code } } }", by=live.keytyh)
        assert await ending.code_at_end() == "UNAUTHENTICATED"
        await live.credit(live.keytyh, "1", by=live.good, key="1")
        assert (await staying.change())["version"] == 1


async def test_a_new_password_ends_what_the_other_sessions_watch(live: Live) -> None:
    other = await live.api.sign_in("keytyh*good")
    async with (
        over_websocket(live.address, other.token, WATCH) as ending,
        over_websocket(live.address, live.keytyh.token, WATCH) as staying,
    ):
        await ending.change()
        await staying.change()
        passwords = {"currentPassword": PASSWORD, "newPassword": "an0ther"}
        await live.api.done("changePassword", "account { id }", passwords, by=live.keytyh)
        assert await ending.code_at_end() == "UNAUTHENTICATED"
        await live.credit(live.keytyh, "1", by=live.good, key="1")
        assert (await staying.change())["version"] == 1


async def test_an_api_token_that_expires_or_is_revoked_ends_what_it_watches(live: Live) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
    expiring = await live.api.done(
        "createApiToken", "token", {"name": "short", "scopes": ["READ"], "expiresAt": soon}, by=live.good
    )
    revoked = await live.api.done(
        "createApiToken", "token apiToken { id }", {"name": "long", "scopes": ["READ"]}, by=live.good
    )
    async with (
        over_sse(live.address, expiring["token"], WATCH) as one,
        over_sse(live.address, revoked["token"], WATCH, {"includeDescendants": True}) as other,
    ):
        await one.change()
        await other.change()
        await live.api.done("revokeApiToken", "apiToken { id }", {"tokenId": revoked["apiToken"]["id"]}, by=live.good)
        assert await other.code_at_end() == "UNAUTHENTICATED"
        assert await one.code_at_end() == "UNAUTHENTICATED"


@asynccontextmanager
async def narrow_connection(live: Live) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server of its own through the smallest buffers there are."""
    with socket.socket() as listening, socket.socket() as client:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        async with running(application(live.services), bound=listening):
            await asyncio.get_running_loop().sock_connect(client, listening.getsockname())
            reader, writer = await asyncio.open_connection(sock=client, limit=2**14)
            yield reader, writer
            writer.close()


@asynccontextmanager
async def narrow_sse(live: Live, query: str) -> AsyncIterator[NextChange]:
    """An event stream."""
    async with narrow_connection(live) as (reader, writer):
        body = orjson.dumps({"query": query})
        writer.write(
            b"POST /graphql HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b" % (live.keytyh.token.encode(), len(body), body)
        )

        async def change() -> dict[str, Any]:
            async with asyncio.timeout(10):
                while not (line := await reader.readline()).startswith(b"data: {"):
                    pass
            found: dict[str, Any] = orjson.loads(line.removeprefix(b"data: "))["data"]["balanceChanged"]
            return found

        yield change


@asynccontextmanager
async def narrow_websocket(live: Live, query: str) -> AsyncIterator[NextChange]:
    """A WebSocket."""
    async with narrow_connection(live) as (reader, writer):

        def say(**message: Any) -> None:
            payload = orjson.dumps(message)
            # Masked with zeros, which leaves it as it is.
            writer.write(bytes((0x81, 0xFE)) + len(payload).to_bytes(2, "big") + bytes(4) + payload)

        async def message() -> Any:
            async with asyncio.timeout(10):
                opcode, length = await reader.readexactly(2)
                if length >= 126:
                    length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
                payload = await reader.readexactly(length)
            if opcode == 0x89:
                writer.write(bytes((0x8A, 0x80 | length)) + bytes(4) + payload)
                return await message()
            assert opcode == 0x81
            return orjson.loads(payload)

        async def change() -> dict[str, Any]:
            found: dict[str, Any] = (await message())["payload"]["data"]["balanceChanged"]
            return found

        writer.write(
            b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        say(type="connection_init", payload={"Authorization": f"Bearer {live.keytyh.token}"})
        assert (await message())["type"] == "connection_ack"
        say(type="subscribe", id="1", payload={"query": query})
        yield change


@pytest.mark.parametrize("narrow", [narrow_websocket, narrow_sse], ids=["websocket", "sse"])
async def test_a_client_that_stops_reading_gets_fewer_and_newer_states_and_others_get_theirs(
    live: Live, narrow: Any
) -> None:
    # Few enough to be made before the server looks whether a WebSocket is still read.
    changes_max = 600
    # Large events, so that the way to the client is full after a few of them.
    fields = " ".join(f"at{n}: at" for n in range(90))
    async with (
        narrow(live, f"subscription {{ balanceChanged {{ version {fields} }} }}") as slow,
        over_sse(live.address, live.keytyh.token, WATCH) as quick,
    ):
        assert (await slow())["version"] == 0
        changes = waiting_in_a_row = 0
        while waiting_in_a_row < 20:
            changes += 1
            assert changes < changes_max, "the way to the client is never full"
            async with live.api.db.transaction() as tx:
                await tx.exec_driver_sql(
                    "WITH changed AS (UPDATE account_state SET version = version + 1 "
                    f"WHERE account_id = {live.keytyh.account_id} RETURNING account_id) "
                    "SELECT pg_notify('tollpath_balance', 'CALL ' || account_id) FROM changed"
                )
            while (await quick.change())["version"] < changes:
                pass
            # The newest state, and no more, waits for the other until it has room.
            waiting = sum(len(watcher._waiting) for watcher in live.services.feed._open)
            assert waiting <= 1
            waiting_in_a_row = waiting_in_a_row + 1 if waiting else 0
        versions = [(await slow())["version"]]
        while versions[-1] < changes:
            versions.append((await slow())["version"])
    assert versions == sorted(set(versions))
    assert len(versions) < changes - 15
    await live.nobody_watches()


async def test_two_server_processes_tell_each_others_changes(database_url: str, db: Database, tmp_path: Path) -> None:
    async with (
        server_processes(database_url, tmp_path, 2) as (one, other),
        api_at(one.address, db) as api,
    ):
        good = await api.reseller("good", of=api.operator, credit="10")
        keytyh = await api.customer("keytyh", of=good, credit="10")
        lists = (await api("{ viewer { rateLists { id isBase } } }", by=api.operator))["viewer"]["rateLists"]
        base_id = next(rate_list["id"] for rate_list in lists if rate_list["isBase"])
        rates = [{"prefix": "43", "pricePerMinute": "0.06"}]
        await api.done("setRates", "changed", {"rateListId": base_id, "rates": rates}, by=api.operator)
        async with (
            over_websocket(other.address, keytyh.token, WATCH) as own,
            over_sse(other.address, good.token, WATCH, {"includeDescendants": True}) as below,
            over_websocket(one.address, api.operator.token, WATCH) as top,
        ):
            assert (await own.change())["balance"] == "10.00000"
            assert [(await below.change())["account"]["username"] for _ in range(2)] == ["good*operator", "keytyh*good"]
            assert (await top.change())["available"] is None
            await give(api, keytyh, "5", by=good, key="1")
            for stream in (own, below):
                change = await stream.change()
                assert (change["balance"], change["version"], change["cause"]) == ("15.00000", 2, "CREDIT")
            call = {
                "callId": "c-1",
                "username": "keytyh*good",
                "number": "+43 1 5123456",
                "startedAt": datetime.now(UTC).isoformat(),
                "durationSeconds": 100,
            }
            await api.done("chargeCall", "call { charged }", {"call": call}, by=good)
            change = await own.change()
            assert (change["balance"], change["version"], change["cause"]) == ("14.90000", 3, "CALL")
            changes = [await below.change() for _ in range(2)]
            assert {(change["account"]["username"], change["balance"]) for change in changes} == {
                ("good*operator", "9.90000"),
                ("keytyh*good", "14.90000"),
            }
            assert (await top.change())["balance"] == "-0.10000"
            await api("mutation { logout { errors { code } } }", by=keytyh)
            assert await own.code_at_end() == "UNAUTHENTICATED"
            passwords = {"currentPassword": PASSWORD, "newPassword": "an0ther"}
            again = await api.sign_in("good*operator")
            await api.done("changePassword", "account { id }", passwords, by=again)
            assert await below.code_at_end() == "UNAUTHENTICATED"
