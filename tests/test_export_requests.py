"""Requests for exports: which are refused and how, who waits for whom, and how an export ends before its last byte."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from models.database import Database
from resolvers.context import RequestContext, Services
from resolvers.viewers import Viewers
from server.exports.endpoint import ExportEndpoint
from server.exports.slots import ExportSlots
from server.services import open_services
from server.settings import Settings
from tests.exported import csv_of, failure_of, get
from tests.graphql_client import CHEAP_HASH, Api, Person
from tests.http_face import read_of_no_database

NO_ACCOUNT = (404, "NOT_FOUND", "There is no such account.")
# More than three pages, with the opening credit of the account.
TRANSACTIONS = 1_700


async def test_without_a_good_token_nothing_is_exported(api: Api) -> None:
    for token in (None, "wrong"):
        response = await get(api, "calls.csv", by=token)
        assert (await failure_of(response))[:2] == (401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_token_in_the_address_is_no_token(api: Api) -> None:
    response = await get(api, "calls.csv", token=api.operator.token, access_token=api.operator.token)
    assert response.status_code == 401


async def test_a_token_that_may_not_read_exports_nothing(api: Api) -> None:
    input = {"name": "switch", "scopes": ["CALLS_CHARGE", "MANAGE"]}
    token = (await api.done("createApiToken", "token", input, by=api.operator))["token"]

    assert (await failure_of(await get(api, "rates.xlsx", by=token)))[:2] == (403, "FORBIDDEN")


async def test_an_account_outside_the_subtree_does_not_exist_by_id_nor_by_name(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    keytyh = await api.customer("keytyh", of=luluka)

    for by, other in ((keytyh, luluka), (keytyh, api.operator), (luluka, api.operator)):
        assert await failure_of(await get(api, "calls.csv", by=by, accountId=other.id)) == NO_ACCOUNT
        assert await failure_of(await get(api, "calls.csv", by=by, username=other.username)) == NO_ACCOUNT
    for other_id in ("", "x", "UmF0ZUxpc3Q6MQ==", "QWNjb3VudDo5OTk="):
        assert await failure_of(await get(api, "calls.csv", by=luluka, accountId=other_id)) == NO_ACCOUNT
    assert await failure_of(await get(api, "calls.csv", by=luluka, username="nobody")) == NO_ACCOUNT
    assert (await get(api, "calls.csv", by=luluka, accountId=keytyh.id)).status_code == 200
    assert (await get(api, "calls.csv", by=luluka, username="KEYTYH*luluka")).status_code == 200


@pytest.mark.parametrize("file", ["calls", "calls.pdf", "holds.csv", "calls.csv.csv", "CALLS.csv", "calls.csv%0a"])
async def test_a_file_that_there_is_not_is_not_found(api: Api, file: str) -> None:
    assert await failure_of(await get(api, file, by=api.operator)) == (
        *(404, "NOT_FOUND", "There are calls, rates, transactions, customers, each as .csv and as .xlsx."),
    )


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
async def test_only_get_is_taken(api: Api, method: str) -> None:
    headers = {"authorization": f"Bearer {api.operator.token}"}
    response = await api.client.request(method, "/export/calls.csv", headers=headers)

    assert (response.status_code, response.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "calls.csv?sinse=2026-01-31T12:00:00Z",
            "There is no parameter 'sinse' here; there are accountId, username, since, until, number, "
            "direction, destination, status.",
        ),
        (
            "rates.csv?since=2026-01-31T12:00:00Z",
            "There is no parameter 'since' here; there are accountId, username, prefix, search, at.",
        ),
        (
            "transactions.csv?number=43",
            "There is no parameter 'number' here; there are accountId, username, since, until.",
        ),
        (
            "customers.csv?first=5",
            "There is no parameter 'first' here; there are accountId, username, search, isReseller, blocked, orderBy, "
            "descending, since, until.",
        ),
        ("calls.csv?direction=ASC&direction=DESC", "Give each parameter once."),
        ("calls.csv?accountId=x&username=y", "Give `accountId` or `username`, one of them."),
        (
            "calls.csv?since=2026-01-31",
            '`since`: A time must be text with its zone as Z or +01:00, such as "2026-01-31T12:00:00Z".',
        ),
        ("calls.csv?until=2026-02-30T12:00:00Z", "`until`: There is no such time as 2026-02-30T12:00:00Z."),
        ("calls.csv?direction=desc", "`direction`: It must be ASC or DESC."),
        (
            "calls.csv?number=abc",
            "'abc' is no telephone number: give 1 to 15 digits with the country code, such as +43664123456.",
        ),
        ("calls.csv?username=a%00", "`username`: It has characters that nothing here has."),
        ("customers.csv?blocked=1", "`blocked`: It must be true or false."),
        ("customers.csv?orderBy=BALANCE", "`orderBy`: It must be USERNAME or CREATED_AT or PATH."),
        ("customers.csv?since=31.1.2026", '`since`: A day must be text such as "2026-01-31".'),
        ("customers.csv?since=2026-02-01&until=2026-01-31", "`since` must not be after `until`."),
        ("rates.csv?prefix=x", "`prefix` must be digits: what the prefixes begin with."),
        ("rates.csv?at=", '`at`: A time must be text with its zone as Z or +01:00, such as "2026-01-31T12:00:00Z".'),
    ],
)
async def test_a_parameter_that_means_nothing_is_refused_by_name(api: Api, query: str, message: str) -> None:
    response = await api.client.get(f"/export/{query}", headers={"authorization": f"Bearer {api.operator.token}"})

    assert await failure_of(response) == (400, "BAD_USER_INPUT", message)


async def test_a_blocked_account_still_reads_its_calls(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    await api.done("blockAccount", "account { id }", {"accountId": keytyh.id}, by=api.operator)

    assert len(await csv_of(api, "calls", by=keytyh)) == 1


async def test_every_answer_is_kept_by_nobody_and_is_nothing_but_what_it_says(api: Api) -> None:
    for file in ("calls.csv", "calls.xlsx", "none.csv"):
        headers = (await get(api, file, by=api.operator)).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


class Client:
    """One request at the endpoint itself, by a client that decides when it reads on and when it leaves."""

    def __init__(self, endpoint: ExportEndpoint, file: str, person: Person, *, reads: int) -> None:
        self.messages: list[Any] = []
        self._reads = asyncio.Semaphore(reads)
        self._stuck = asyncio.Event()
        self._gone = asyncio.Event()
        self._requested = False
        headers = [(b"authorization", f"Bearer {person.token}".encode())]
        scope = {
            "type": "http",
            "method": "GET",
            "query_string": b"",
            "headers": headers,
            "path_params": {"file": file},
        }
        self.answer = asyncio.create_task(endpoint(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        if not self._requested:
            self._requested = True
            return {"type": "http.request"}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self._reads.locked():
            self._stuck.set()
        await self._reads.acquire()
        self.messages.append(message)

    async def stuck(self) -> None:
        """Wait until it is the client that is waited for."""
        async with asyncio.timeout(30):
            await self._stuck.wait()

    def read_on(self) -> None:
        """Read whatever comes."""
        for _ in range(1000):
            self._reads.release()

    def leave(self) -> None:
        """Close the connection."""
        self._gone.set()

    async def ended(self) -> None:
        """Wait until the endpoint has returned."""
        async with asyncio.timeout(30):
            await self.answer

    @property
    def is_complete(self) -> bool:
        """Whether the body has its end."""
        return bool(self.messages) and self.messages[-1].get("more_body") is False

    @property
    def body(self) -> bytes:
        """What was read of the body."""
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def failure(self) -> tuple[int, str]:
        """Status and code of an answer that is an error."""
        return self.messages[0]["status"], orjson.loads(self.body)["errors"][0]["extensions"]["code"]


class Place:
    """Endpoints on one database, and two accounts with credit transactions."""

    def __init__(self, services: Services, keytyh: Person, anna: Person) -> None:
        self.services = services
        self.keytyh = keytyh
        self.anna = anna
        self.stopping = asyncio.Event()
        self._viewers = Viewers(services.db)

    def endpoint(self, *, total: int = 4, per_account: int = 2, duration_s_max: float = 30) -> ExportEndpoint:
        slots = ExportSlots(total, per_account)
        return ExportEndpoint(self._open_context, self.stopping, slots=slots, duration_s_max=duration_s_max)

    async def _open_context(self, token: str | None, request_id: str) -> RequestContext:
        viewer = await self._viewers.of_token(token or "")
        return RequestContext(services=self.services, viewer=viewer, request_id=request_id)

    @property
    def connections_in_use(self) -> int:
        return int(self.services.db._engine.sync_engine.pool.checkedout())  # type: ignore[attr-defined]


@pytest.fixture
async def place(api: Api, database_url: str) -> AsyncIterator[Place]:
    people = [await api.customer(name, of=api.operator, credit="1") for name in ("keytyh", "anna")]
    async with api.db.transaction() as tx:
        for person in people:
            await tx.execute(
                text(
                    "INSERT INTO credit_transactions "
                    "(account_id, kind, amount_units, balance_after_units, created_by_id) "
                    "SELECT :account_id, 'CREDIT', 1, n, 1 FROM generate_series(1, :count) AS n"
                ),
                {"account_id": person.account_id, "count": TRANSACTIONS},
            )
    # With connections of its own, which nothing but requests takes.
    db = Database(database_url)
    async with open_services(Settings(**CHEAP_HASH), database_url) as services:  # type: ignore[arg-type]
        yield Place(replace(services, db=db), *people)
    await db.close()


async def test_a_client_that_does_not_read_holds_no_connection_and_nothing_is_read_ahead(
    place: Place, api: Api
) -> None:
    client = Client(place.endpoint(), "transactions.csv", place.keytyh, reads=2)
    await client.stuck()
    assert place.connections_in_use == 0
    assert client.body.count(b"\r\n") == 1 + 500

    # One page is read and waits to be sent. What is behind it can still be taken away: all but the opening credit.
    async with api.db.transaction() as tx:
        await tx.execute(text("DELETE FROM credit_transactions WHERE kind = 'CREDIT' AND balance_after_units <= 700"))
    client.read_on()
    await client.ended()
    assert client.is_complete
    assert client.body.count(b"\r\n") == 1 + 1000 + 1


@pytest.mark.parametrize("file", ["transactions.csv", "transactions.xlsx"])
async def test_when_the_client_leaves_the_export_ends_and_leaves_nothing_behind(
    place: Place, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    endpoint = place.endpoint(total=1, per_account=1)
    client = Client(endpoint, file, place.keytyh, reads=1)
    await client.stuck()

    client.leave()
    await client.ended()

    assert not client.is_complete
    assert os.listdir(tmp_path) == []
    assert place.connections_in_use == 0
    following = Client(endpoint, file, place.keytyh, reads=1000)
    await following.ended()
    assert following.messages[0]["status"] == 200
    assert following.is_complete


async def test_as_many_exports_as_may_run_at_once_run_and_others_are_told_to_wait(place: Place) -> None:
    endpoint = place.endpoint(total=2, per_account=1)
    running = Client(endpoint, "transactions.csv", place.keytyh, reads=1)
    await running.stuck()

    again = Client(endpoint, "rates.csv", place.keytyh, reads=2)
    await again.ended()
    assert again.failure == (429, "THROTTLED")
    assert (b"retry-after", b"10") in again.messages[0]["headers"]
    other = Client(endpoint, "transactions.csv", place.anna, reads=1)
    await other.stuck()
    full = Client(place.endpoint(total=0), "rates.csv", place.anna, reads=2)
    await full.ended()
    assert full.failure == (429, "THROTTLED")

    for client in (running, other):
        client.read_on()
        await client.ended()
        assert client.is_complete
    again = Client(endpoint, "rates.csv", place.keytyh, reads=1000)
    await again.ended()
    assert again.is_complete


async def test_an_export_that_takes_too_long_is_cut_off_without_its_end(place: Place) -> None:
    client = Client(place.endpoint(duration_s_max=1), "transactions.csv", place.keytyh, reads=2)
    await client.ended()

    assert client.body.count(b"\r\n") == 1 + 500
    assert not client.is_complete


async def test_a_server_that_stops_cuts_off_what_has_begun_and_says_so_where_nothing_has(place: Place) -> None:
    client = Client(place.endpoint(), "transactions.csv", place.keytyh, reads=2)
    await client.stuck()
    place.stopping.set()
    await client.ended()
    assert not client.is_complete

    late = Client(place.endpoint(), "transactions.xlsx", place.keytyh, reads=1000)
    await late.ended()
    assert late.failure == (503, "SERVICE_UNAVAILABLE")


async def test_without_a_database_the_answer_says_so(place: Place) -> None:
    async def open_context(token: str | None, request_id: str) -> RequestContext:
        await read_of_no_database()
        raise AssertionError("there is no database")

    client = Client(ExportEndpoint(open_context, asyncio.Event()), "calls.csv", place.keytyh, reads=2)
    await client.ended()

    assert client.failure == (503, "SERVICE_UNAVAILABLE")


async def test_what_goes_wrong_before_the_first_byte_is_an_answer_and_later_leaves_the_file_without_its_end(
    place: Place, api: Api
) -> None:
    client = Client(place.endpoint(), "transactions.csv", place.keytyh, reads=2)
    await client.stuck()
    async with api.db.transaction() as tx:
        await tx.execute(text("ALTER TABLE credit_transactions RENAME TO elsewhere"))

    client.read_on()
    await client.ended()
    late = Client(place.endpoint(), "transactions.csv", place.keytyh, reads=1000)
    await late.ended()

    assert client.body.count(b"\r\n") == 1 + 1000
    assert not client.is_complete
    assert late.failure == (500, "INTERNAL_SERVER_ERROR")
