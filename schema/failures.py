"""Top-level errors: what a client is told when a field, or the whole request, could not be answered.

Every one carries ``extensions.code`` and ``extensions.requestId``. What the caller caused says what was wrong; a bug
says "Internal error" and leaves its traceback in the log, under the same request id.
"""

from collections.abc import Sequence
from enum import StrEnum

import structlog
from graphql import GraphQLError
from graphql.language import ArgumentNode, ValueNode
from strawberry.relay import GlobalIDValueError

from billing.errors import Refusal
from models.outage import is_database_outage
from resolvers.request_errors import RequestError

log = structlog.get_logger(__name__)


class FailureCode(StrEnum):
    """The values of ``extensions.code``. Codes are only ever added."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    COST_LIMIT_EXCEEDED = "COST_LIMIT_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    THROTTLED = "THROTTLED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


class RequestRefused(Exception):
    """The request cannot be executed at all; ``errors`` are for the caller."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


def failure(code: FailureCode, message: str) -> GraphQLError:
    """An error that is for the caller as it stands."""
    return GraphQLError(message, extensions={"code": code.value})


def coded(error: GraphQLError, code: FailureCode) -> GraphQLError:
    """The same error, with its code."""
    error.extensions = {**(error.extensions or {}), "code": code.value}
    return error


def failure_of(error: Exception) -> GraphQLError:
    """The error a caller is shown for an exception that stopped its whole request."""
    return error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)


def code_of(error: GraphQLError) -> str | None:
    """The code that `explain` gave the error."""
    return (error.extensions or {}).get("code")


def explain(errors: Sequence[GraphQLError], request_id: str) -> None:
    """Give each error its code and the request's id, in place; mask and log what the caller did not cause."""
    for error in errors:
        extensions = error.extensions or {}
        if "code" not in extensions:
            extensions = {**extensions, **_classified(error, request_id)}
        error.extensions = {**extensions, "requestId": request_id}


def _classified(error: GraphQLError, request_id: str) -> dict[str, str]:
    cause = error.original_error
    while isinstance(cause, GraphQLError):  # a coerced variable wraps the scalar's own error
        cause = cause.original_error
    if isinstance(cause, RequestError):
        return {"code": cause.code}
    if isinstance(cause, Refusal):
        return {"code": FailureCode.BAD_USER_INPUT.value, "reason": cause.code.value}
    if isinstance(cause, GlobalIDValueError) or _blames_the_request(error, cause):
        return {"code": FailureCode.BAD_USER_INPUT.value}
    if cause is not None and is_database_outage(cause):
        log.error("database_unavailable", request_id=request_id, path=error.path, error=repr(cause))
        error.message = "The database cannot be reached right now. Try again shortly."
        return {"code": FailureCode.SERVICE_UNAVAILABLE.value}
    log.error("unexpected_exception", request_id=request_id, path=error.path, exc_info=cause or error)
    error.message = "Internal error"
    return {"code": FailureCode.INTERNAL_SERVER_ERROR.value}


def _blames_the_request(error: GraphQLError, cause: BaseException | None) -> bool:
    """Whether graphql-core itself found the request's variables or arguments wanting.

    Variables are coerced before any field has a path. An argument is coerced at its field, and the error points at
    the argument's value; what a resolver raises, or what *we* could not serialize, points at the field.
    """
    if error.path is None:
        return cause is None or error.message.startswith("Variable '$")
    return error.nodes is not None and isinstance(error.nodes[0], ArgumentNode | ValueNode)
