"""Reading a GraphQL request out of HTTP: identity, token, body, parameters; everything odd is refused by name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope

from schema.failures import FailureCode

_SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:+/=@-]{1,128}")


class RefusedHere(Exception):
    """The request never gets to GraphQL: the HTTP status, what is wrong, and the methods that would be right."""

    code = FailureCode.BAD_USER_INPUT

    def __init__(self, status: int, message: str, *, allow: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.allow = allow


class ClientGone(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What to execute. GraphQL over HTTP, section "Request Parameters"."""

    query: str
    operation_name: str | None
    variables: dict[str, Any] | None


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by lower-case name; of several with one name the last, Accept's joined."""
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        headers[name] = headers[name] + b"," + value if name == b"accept" and name in headers else value
    return headers


def client_address_of(scope: Scope) -> str:
    """The client's address, as a trusted proxy says; empty where the server does not know it."""
    client = scope.get("client")
    return client[0] if client else ""


def request_id_of(headers: dict[bytes, bytes]) -> str:
    """The client's X-Request-Id where it is short and plain, else a new one."""
    given = headers.get(b"x-request-id")
    return given.decode("ascii") if given and _SANE_REQUEST_ID.fullmatch(given) else token_hex(16)


def bearer_token(authorization: str | bytes | None) -> str | None:
    """The token of ``Bearer TOKEN``; None where there is none."""
    if isinstance(authorization, bytes):
        authorization = authorization.decode("latin-1")
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def read_body(receive: Receive, headers: dict[bytes, bytes], bytes_max: int) -> bytes:
    """The whole body. Raises: RefusedHere (413) beyond ``bytes_max``, ClientGone."""
    too_large = RefusedHere(413, f"The request is larger than {bytes_max} bytes.")
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > bytes_max:
        raise too_large
    chunks, length = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        length += len(chunks[-1])
        if length > bytes_max:
            raise too_large
        if not message.get("more_body", False):
            return b"".join(chunks)


async def wait_until_gone(receive: Receive) -> None:
    """Return when the client is gone; whatever else it sends is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass


def parameters_of_post(body: bytes) -> Parameters:
    """The parameters in a JSON body. Raises: RefusedHere."""
    return _parameters(_json(body, "The body"))


def require_json(headers: dict[bytes, bytes]) -> None:
    """Raises: RefusedHere (415) unless the body is announced as JSON in UTF-8, uncompressed."""
    content_type, _, parameters = headers.get(b"content-type", b"").decode("latin-1").lower().partition(";")
    if content_type.strip() != "application/json":
        raise RefusedHere(415, "Send the request as Content-Type: application/json.")
    charset = re.search(r"""charset\s*=\s*["']?([^\s;"']+)""", parameters)
    if charset and charset[1] not in ("utf-8", "utf8"):
        raise RefusedHere(415, "Send the request in UTF-8.")
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise RefusedHere(415, "Send the request uncompressed.")


def parameters_of_get(query_string: bytes) -> Parameters:
    """The parameters in a query string; ``variables`` and ``extensions`` are JSON. Raises: RefusedHere."""
    given: dict[str, Any] = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = _json(given[name], f"`{name}`") if given[name] else None
    return _parameters(given)


def _json(text: bytes | str, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RefusedHere(400, f"{what} is not valid JSON: {error}") from None


def _parameters(given: Any) -> Parameters:
    if isinstance(given, list):
        raise RefusedHere(400, "Send one operation at a time: a list of operations is not taken.")
    if not isinstance(given, dict):
        raise RefusedHere(400, "The body must be a JSON object with a `query`.")
    query, name = given.get("query"), given.get("operationName")
    if not isinstance(query, str):
        raise RefusedHere(400, "`query` must be a text.")
    if name is not None and not isinstance(name, str):
        raise RefusedHere(400, "`operationName` must be a text or null.")
    for member in ("variables", "extensions"):
        if given.get(member) is not None and not isinstance(given[member], dict):
            raise RefusedHere(400, f"`{member}` must be an object or null.")
    return Parameters(query, name or None, given.get("variables"))
