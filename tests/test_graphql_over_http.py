"""`/graphql` over HTTP: statuses, media types, what is refused, and what errors tell."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog.testing

from tests.http_face import BODY_BYTES_MAX, Face, Seen

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"


@pytest.fixture
def face() -> Face:
    return Face()


@pytest.fixture
def seen(face: Face) -> Seen:
    return face.seen


@pytest.fixture
async def client(face: Face) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=face.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tollpath.test") as client:
        del client.headers["accept"]
        yield client


async def post(client: httpx.AsyncClient, query: str, *, accept: str = GRAPHQL, **parameters: Any) -> httpx.Response:
    return await client.post("/graphql", json={"query": query, **parameters}, headers={"accept": accept})


def only_error(response: httpx.Response) -> dict[str, Any]:
    errors = response.json()["errors"]
    assert len(errors) == 1
    return errors[0]


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        ("Application/GraphQL-Response+JSON; charset=UTF-8", GRAPHQL),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{JSON}, {GRAPHQL}", JSON),
        (f"{JSON};q=0.5, {GRAPHQL};q=0.9", GRAPHQL),
        (f"text/html, {GRAPHQL};q=0.1", GRAPHQL),
        (f"{JSON};q=0, */*;q=0.1, {GRAPHQL};q=0.1", GRAPHQL),
        (f"{GRAPHQL}, {JSON}, text/event-stream, multipart/mixed", GRAPHQL),
    ],
)
async def test_the_answer_comes_in_the_media_type_that_is_liked_best(
    client: httpx.AsyncClient, accept: str | None, answered: str
) -> None:
    headers = {} if accept is None else {"accept": accept}
    response = await client.post("/graphql", json={"query": "{ half(number: 5) }"}, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{answered}; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {"data": {"half": 2}}


@pytest.mark.parametrize("accept", ["text/plain", "image/*", f"{JSON};q=0", f"{JSON};charset=utf-16", f"{JSON};q=x"])
async def test_whoever_takes_neither_media_type_gets_406(client: httpx.AsyncClient, accept: str) -> None:
    response = await post(client, "{ half(number: 5) }", accept=accept)
    assert response.status_code == 406
    assert only_error(response)["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{", None, "GRAPHQL_PARSE_FAILED"),
        ("", None, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", None, "GRAPHQL_VALIDATION_FAILED"),
        ('{ half(number: "5") }', None, "GRAPHQL_VALIDATION_FAILED"),
        ('{ account(id: "1") { } }', None, "GRAPHQL_VALIDATION_FAILED"),
        ("{ }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("query A { viewer } query B { viewer }", None, "BAD_USER_INPUT"),
        ("fragment F on Query { viewer }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($n: Int!) { half(number: $n) }", {"n": "5"}, "BAD_USER_INPUT"),
        ("query ($n: Int!) { half(number: $n) }", None, "BAD_USER_INPUT"),
        ("query ($n: Int!) { half(number: $n) }", {"n": 3_000_000_000}, "BAD_USER_INPUT"),
        ("subscription { countdown(start: 1) { left } }", None, "BAD_USER_INPUT"),
    ],
)
async def test_a_request_that_cannot_be_executed_has_no_data_and_400_or_in_application_json_200(
    client: httpx.AsyncClient, query: str, variables: dict[str, Any] | None, code: str
) -> None:
    for accept, status in ((GRAPHQL, 400), (JSON, 200)):
        response = await post(client, query, accept=accept, variables=variables)
        assert response.status_code == status
        assert response.json().keys() == {"errors"}
        assert only_error(response)["extensions"]["code"] == code


async def test_an_unknown_operation_name_is_named(client: httpx.AsyncClient) -> None:
    response = await post(client, "query A { viewer }", operationName="B")
    assert response.status_code == 400
    assert only_error(response)["message"] == "Unknown operation named 'B'."
    assert (await post(client, "query A { viewer }", operationName="A")).json() == {"data": {"viewer": None}}


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        (
            "{ signedIn }",
            "UNAUTHENTICATED",
            "Sign in first: send the token of `login` as `Authorization: Bearer TOKEN`.",
        ),
        ("{ scoped }", "FORBIDDEN", "This token does not carry the scope MANAGE."),
        ("{ bug }", "INTERNAL_SERVER_ERROR", "Internal error"),
        ("{ tooLargeForInt }", "INTERNAL_SERVER_ERROR", "Internal error"),
        ("{ stored }", "SERVICE_UNAVAILABLE", "The database cannot be reached right now. Try again shortly."),
    ],
)
async def test_a_field_that_fails_is_null_with_a_coded_error_and_200(
    client: httpx.AsyncClient, query: str, code: str, message: str
) -> None:
    field = query.strip("{ }")
    for accept in (GRAPHQL, JSON):
        response = await post(client, query, accept=accept)
        assert response.status_code == 200
        assert response.json()["data"] == {field: None}
        error = only_error(response)
        assert error["path"] == [field]
        assert error["message"] == message
        assert error["extensions"] == {"code": code, "requestId": response.headers["x-request-id"]}


async def test_a_refusal_in_a_query_is_bad_input_with_the_refusals_code(client: httpx.AsyncClient) -> None:
    error = only_error(await post(client, '{ quote(number: "x") }'))
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["reason"] == "INVALID_NUMBER"
    assert error["message"].startswith("'x' is no telephone number")


async def test_an_exception_is_masked_and_logged_with_its_traceback_under_the_request_id(
    client: httpx.AsyncClient,
) -> None:
    with structlog.testing.capture_logs() as logs:
        response = await post(client, "{ bug }")
    assert "secret" not in response.text
    assert [(entry["event"], entry["request_id"], entry["path"]) for entry in logs] == [
        ("unexpected_exception", response.headers["x-request-id"], ["bug"])
    ]
    assert isinstance(logs[0]["exc_info"], ZeroDivisionError)


async def test_a_result_that_is_no_json_is_masked_and_logged(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logs:
        response = await post(client, "{ opaque }")
    assert only_error(response)["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert response.json().keys() == {"errors"}
    assert [entry["event"] for entry in logs] == ["result_not_encoded"]


@pytest.mark.parametrize("accept", [GRAPHQL, JSON, "text/event-stream"])
async def test_without_the_database_nobody_is_known_and_the_answer_is_503(
    client: httpx.AsyncClient, accept: str
) -> None:
    response = await client.post(
        "/graphql",
        json={"query": "{ viewer }"},
        headers={"accept": accept, "authorization": "Bearer database away"},
    )
    assert response.status_code == 503
    assert response.json().keys() == {"errors"}
    assert only_error(response)["extensions"]["code"] == "SERVICE_UNAVAILABLE"


@pytest.mark.parametrize(
    ("authorization", "viewer"),
    [("Bearer good", "keytyh*good"), ("bearer  good ", "keytyh*good"), ("Bearer other", None), ("Basic good", None)],
)
async def test_the_bearer_token_says_who_is_asking(
    client: httpx.AsyncClient, authorization: str, viewer: str | None
) -> None:
    response = await client.post("/graphql", json={"query": "{ viewer }"}, headers={"authorization": authorization})
    assert response.json() == {"data": {"viewer": viewer}}


@pytest.mark.parametrize("given", ["a1", "0f-8_7.6:5+4/3=2@1", "x" * 128])
async def test_a_plain_request_id_of_the_client_is_kept(client: httpx.AsyncClient, given: str) -> None:
    response = await client.post("/graphql", json={"query": "{"}, headers={"x-request-id": given})
    assert response.headers["x-request-id"] == given
    assert only_error(response)["extensions"]["requestId"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'a"b', "ä"])
async def test_any_other_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    response = await client.post("/graphql", json={"query": "{"}, headers={"x-request-id": given.encode()})
    assert len(response.headers["x-request-id"]) == 32
    assert only_error(response)["extensions"]["requestId"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is not valid JSON"),
        (b'{"query": "{ viewer }"', "The body is not valid JSON"),
        (b'{"query": "\xff"}', "The body is not valid JSON"),
        (b'"{ viewer }"', "The body must be a JSON object"),
        (b'[{"query": "{ viewer }"}]', "Send one operation at a time"),
        (b"{}", "`query` must be a text."),
        (b'{"query": null}', "`query` must be a text."),
        (b'{"query": "{ viewer }", "operationName": 1}', "`operationName` must be"),
        (b'{"query": "{ viewer }", "variables": []}', "`variables` must be"),
        (b'{"query": "{ viewer }", "variables": "{}"}', "`variables` must be"),
        (b'{"query": "{ viewer }", "extensions": 0}', "`extensions` must be"),
    ],
)
async def test_a_body_that_is_no_request_gets_400(client: httpx.AsyncClient, body: bytes, message: str) -> None:
    for accept in (GRAPHQL, JSON):
        response = await client.post("/graphql", content=body, headers={"content-type": JSON, "accept": accept})
        assert response.status_code == 400
        assert only_error(response)["message"].startswith(message)
        assert only_error(response)["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_a_body_that_is_not_announced_as_plain_json_gets_415(
    client: httpx.AsyncClient, seen: Seen, headers: dict[str, str]
) -> None:
    response = await client.post("/graphql", content=b'{"query": "mutation { change }"}', headers=headers)
    assert response.status_code == 415
    assert seen.changes == 0


async def test_json_with_its_charset_named_is_taken(client: httpx.AsyncClient) -> None:
    headers = {"content-type": 'Application/JSON; charset="UTF-8"'}
    response = await client.post("/graphql", content=b'{"query": "{ viewer }"}', headers=headers)
    assert response.status_code == 200


async def test_a_request_that_is_too_large_gets_413_and_changes_nothing(client: httpx.AsyncClient, seen: Seen) -> None:
    body = b'{"query": "mutation { change }"}'

    async def chunks(length: int) -> AsyncIterator[bytes]:
        for start in range(0, length, 1000):
            yield body.ljust(length)[start : start + 1000]

    for content in (body.ljust(BODY_BYTES_MAX + 1), chunks(BODY_BYTES_MAX + 1)):
        response = await client.post("/graphql", content=content, headers={"content-type": JSON})
        assert response.status_code == 413
        assert only_error(response)["message"] == f"The request is larger than {BODY_BYTES_MAX} bytes."
    assert seen.changes == 0
    for content in (body.ljust(BODY_BYTES_MAX), chunks(BODY_BYTES_MAX)):
        response = await client.post("/graphql", content=content, headers={"content-type": JSON})
        assert response.status_code == 200
    assert seen.changes == 2


async def test_a_query_by_get_takes_its_parameters_from_the_url(client: httpx.AsyncClient) -> None:
    parameters = {
        "query": "query A($id: ID!) { account(id: $id) { username } } query B { viewer }",
        "operationName": "A",
        "variables": json.dumps({"id": "ä+ &"}),
        "extensions": "{}",
    }
    response = await client.get("/graphql", params=parameters)
    assert response.json() == {"data": {"account": {"username": "keytyh*good"}}}


@pytest.mark.parametrize("parameters", [{"variables": "{}"}, {"query": "{ viewer }", "variables": "{"}, {}])
async def test_a_get_without_a_good_request_gets_400(client: httpx.AsyncClient, parameters: dict[str, str]) -> None:
    assert (await client.get("/graphql", params=parameters)).status_code == 400


async def test_a_mutation_by_get_gets_405_and_changes_nothing(client: httpx.AsyncClient, seen: Seen) -> None:
    for accept in (GRAPHQL, JSON, "text/event-stream"):
        response = await client.get("/graphql", params={"query": "mutation { change }"}, headers={"accept": accept})
        assert response.status_code == 405
        assert response.headers["allow"] == "POST"
    assert seen.changes == 0
    assert (await post(client, "mutation { change }")).json() == {"data": {"change": 1}}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_other_methods_get_405(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/graphql")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


async def test_each_request_has_a_context_of_its_own(client: httpx.AsyncClient, seen: Seen) -> None:
    for _ in range(2):
        await post(client, "{ viewer }")
    assert seen.contexts[0].loaders is not seen.contexts[1].loaders
    assert seen.contexts[0].request_id != seen.contexts[1].request_id
