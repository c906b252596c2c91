"""A result as bytes, and the HTTP status it deserves."""

from collections.abc import Sequence
from typing import Any

import orjson
import structlog
from graphql import GraphQLError
from strawberry.types.execution import ExecutionResult, PreExecutionError

from schema.failures import FailureCode, code_of, failure
from server.metrics import top_level_errors
from server.negotiation import GRAPHQL_RESPONSE

log = structlog.get_logger(__name__)

# Whoever asks again later, or elsewhere, needs the status whatever the media type.
STATUS_OF_CODE = {
    FailureCode.UNAUTHENTICATED: 401,
    FailureCode.FORBIDDEN: 403,
    FailureCode.THROTTLED: 429,
    FailureCode.SERVICE_UNAVAILABLE: 503,
    FailureCode.INTERNAL_SERVER_ERROR: 500,
}


def encoded(result: ExecutionResult, request_id: str) -> bytes:
    """The result as JSON. One that was not executed has no ``data`` at all; one that is no JSON is a masked bug."""
    answer: dict[str, Any] = {} if isinstance(result, PreExecutionError) else {"data": result.data}
    if result.errors:
        answer["errors"] = _formatted(result.errors)
    if result.extensions:
        answer["extensions"] = result.extensions
    try:
        return orjson.dumps(answer)
    except orjson.JSONEncodeError as error:
        log.error("result_not_encoded", request_id=request_id, exc_info=error)
        return encoded_failure(FailureCode.INTERNAL_SERVER_ERROR, "Internal error", request_id)


def encoded_failure(code: FailureCode, message: str, request_id: str) -> bytes:
    """One error as the whole answer."""
    error = failure(code, message)
    error.extensions = {"code": code.value, "requestId": request_id}
    return orjson.dumps({"errors": _formatted([error])})


def status_of(result: ExecutionResult, media_type: str) -> int:
    """200 for what was executed; else by the first error, where application/json keeps 200 for the caller's faults.

    GraphQL over HTTP, section "Status Codes".
    """
    if not isinstance(result, PreExecutionError) or not result.errors:
        return 200
    status = STATUS_OF_CODE.get(FailureCode(code_of(result.errors[0]) or FailureCode.INTERNAL_SERVER_ERROR))
    return status or (400 if media_type == GRAPHQL_RESPONSE else 200)


def _formatted(errors: Sequence[GraphQLError]) -> list[Any]:
    for error in errors:
        top_level_errors.labels(code_of(error)).inc()
    return [error.formatted for error in errors]
