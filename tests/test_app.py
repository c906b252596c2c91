"""The application as a whole: health, metrics, GraphiQL from our own files, pages of other origins."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette

from schema.assembled import schema
from server.app import create_app
from server.graphiql import STATIC_FOLDER
from server.settings import Settings
from tests.http_face import NO_DATABASE
from tests.raw_connection import connect


@asynccontextmanager
async def client_of(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://tollpath.test") as client,
    ):
        yield client


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(Settings(), database_url)) as client:
        yield client


async def test_the_process_is_healthy_and_ready(client: httpx.AsyncClient) -> None:
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        response = await client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": status})


async def test_a_process_without_its_database_is_healthy_but_not_ready() -> None:
    async with client_of(create_app(Settings(), NO_DATABASE)) as client:
        assert (await client.get("/healthz")).status_code == 200
        response = await client.get("/readyz")
        assert response.status_code == 503
        assert response.json() == {"status": "not ready", "reason": "the database does not answer"}


async def test_a_process_whose_database_is_at_another_revision_is_not_ready(
    client: httpx.AsyncClient, database_url: str
) -> None:
    connection = await connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = 'other'")
    await connection.close()
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["reason"] == "the database is not at this version's revision"


async def test_a_process_whose_database_is_read_only_is_not_ready(database_url: str) -> None:
    connection = await connect(database_url)
    await connection.execute("ALTER DATABASE of_one_test SET default_transaction_read_only = on")
    await connection.close()
    async with client_of(create_app(Settings(), database_url)) as client:
        response = await client.get("/readyz")
    assert (response.status_code, response.json()["reason"]) == (503, "the database is read-only")


async def test_a_request_without_the_database_is_answered_at_once_with_503() -> None:
    async with client_of(create_app(Settings(), NO_DATABASE)) as client:
        response = await client.post(
            "/graphql", json={"query": "{ viewer { id } }"}, headers={"authorization": "Bearer token"}
        )
    assert response.status_code == 503
    assert response.json()["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"


async def test_requests_and_errors_are_counted(client: httpx.AsyncClient) -> None:
    async def counted(sample: str) -> float:
        text = (await client.get("/metrics")).text
        found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    queries = 'tollpath_operation_seconds_count{type="query"}'
    errors = 'tollpath_top_level_errors_total{code="UNAUTHENTICATED"}'
    before = await counted(queries), await counted(errors)
    await client.post("/graphql", json={"query": "{ viewer { id } }"})
    assert (await counted(queries), await counted(errors)) == (before[0] + 1, before[1] + 1)


async def test_a_browser_is_led_to_graphiql_which_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    page = await client.get("/", headers=browser, follow_redirects=True)
    assert page.url.path == "/graphql"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    files = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text)
    assert len(files) == 6
    for file in files:
        response = await client.get(page.url.join(file))
        assert response.status_code == 200
        assert not re.search(r"""(?:url\(|@import|from|src=)\s*["']?(?:https?:)?//""", response.text)


async def test_an_address_with_a_slash_too_many_leads_to_the_right_one(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql/", json={"query": "{ settings { currency } }"})
    assert (response.status_code, response.headers["location"]) == (307, "http://tollpath.test/graphql")


async def test_a_browser_that_names_a_query_gets_its_answer(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", params={"query": "{ __typename }"}, headers={"accept": "text/html,*/*"})
    assert response.json()["data"] == {"__typename": "Query"}


async def test_pages_of_other_origins_may_call_only_where_the_setting_names_them(database_url: str) -> None:
    origin = {"origin": "https://shop.example"}
    preflight = origin | {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    async with client_of(create_app(Settings(), database_url)) as client:
        response = await client.post("/graphql", json={"query": "{ __typename }"}, headers=origin)
        assert "access-control-allow-origin" not in response.headers
        assert (await client.options("/graphql", headers=preflight)).status_code == 405
    settings = Settings(allowed_origins="https://shop.example https://other.example")
    async with client_of(create_app(settings, database_url)) as client:
        response = await client.options("/graphql", headers=preflight)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        response = await client.post("/graphql", json={"query": "{ __typename }"}, headers=origin)
        assert response.headers["access-control-allow-origin"] == "https://shop.example"


@pytest.mark.parametrize("name", ["SignIn", "Me", "Balances"])
def test_what_graphiql_opens_with_is_valid(name: str) -> None:
    script = (STATIC_FOLDER / "graphiql" / "page.js").read_text()
    query = script.split("DEFAULT_QUERY = `")[1].split("`")[0]
    assert schema.prepare(query, name).name == name
