"""`/export/KIND.FORMAT`: from the request to the last byte, or until nobody waits for it any more."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send
from strawberry.types.execution import PreExecutionError
from structlog.contextvars import bind_contextvars

from resolvers.exports import Export
from resolvers.request_errors import NoSuchThing, RequestError
from schema.failures import FailureCode, code_of, explain, failure_of
from server.exports import csv_text, xlsx_file
from server.exports.kinds import KINDS, exported_account
from server.exports.parameters import Parameters
from server.exports.slots import ExportSlots
from server.graphql_answer import STATUS_OF_CODE, encoded, encoded_failure
from server.graphql_http import OpenContext
from server.http_request import RefusedHere, bearer_token, headers_of, request_id_of, wait_until_gone
from server.metrics import exports_running

log = structlog.get_logger(__name__)

# After it an export is cut off: its slot is for others.
DURATION_S_MAX = 3600.0
RETRY_AFTER_S = 10

Header = tuple[bytes, bytes]

_PATH = re.compile(rf"({'|'.join(KINDS)})\.(csv|xlsx)")
_STATUS_OF_CODE = {**STATUS_OF_CODE, FailureCode.BAD_USER_INPUT: 400, FailureCode.NOT_FOUND: 404}
_HEADERS_OF_CODE: Mapping[FailureCode, Sequence[Header]] = {
    FailureCode.UNAUTHENTICATED: [(b"www-authenticate", b"Bearer")],
    FailureCode.THROTTLED: [(b"retry-after", str(RETRY_AFTER_S).encode())],
}


@dataclass(frozen=True, slots=True)
class _Format:
    media_type: str
    blocks_of: Callable[[Export], AsyncGenerator[bytes, None]]


_FORMATS: Mapping[str, _Format] = {
    "csv": _Format(csv_text.MEDIA_TYPE, csv_text.csv_blocks),
    "xlsx": _Format(xlsx_file.MEDIA_TYPE, xlsx_file.xlsx_blocks),
}


class ExportEndpoint:
    """The ASGI application behind `/export/{file}`.

    ``open_context`` makes the context of a request. What still runs when ``stopping`` is set, or after
    ``duration_s_max``, is cut off: the body then ends without its last chunk, which every client takes for a failure.
    """

    def __init__(
        self,
        open_context: OpenContext,
        stopping: asyncio.Event,
        *,
        slots: ExportSlots | None = None,
        duration_s_max: float = DURATION_S_MAX,
    ) -> None:
        self._open_context = open_context
        self._stopping = stopping
        self._slots = slots or ExportSlots(total=4, per_account=2)
        self._duration_s_max = duration_s_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = headers_of(scope["headers"])
        answer = _Answer(send, request_id_of(headers))
        bind_contextvars(request_id=answer.request_id)
        try:
            await self._serve(scope, receive, answer, bearer_token(headers.get(b"authorization")))
        except Exception as error:
            await answer.fail(error)

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer", token: str | None) -> None:
        if scope["method"] != "GET":
            raise RefusedHere(405, "Use GET.", allow="GET")
        path = _PATH.fullmatch(scope["path_params"]["file"])
        if path is None:
            raise NoSuchThing(f"There are {', '.join(KINDS)}, each as .csv and as .xlsx.")
        kind, extension = path.groups()
        context = await self._open_context(token, answer.request_id)
        viewer = context.require_viewer()
        given = Parameters(scope["query_string"])
        account = await exported_account(context, given)
        export = KINDS[kind](context, account, given)
        given.refuse_others()
        name = _file_name(kind, account.username, extension)
        with self._slots.taken(viewer.account_id), exports_running.track_inprogress():
            await self._while_awaited(answer.send_file(name, _FORMATS[extension], export), receive)

    async def _while_awaited(self, work: Coroutine[Any, Any, None], receive: Receive) -> None:
        """Run it until it is done or the client is gone. Raises: whatever it raises, _CutOff."""
        working = asyncio.create_task(work)
        leaving = asyncio.create_task(wait_until_gone(receive))
        stopping = asyncio.create_task(self._stopping.wait())
        tasks = (working, leaving, stopping)
        try:
            await asyncio.wait(tasks, timeout=self._duration_s_max, return_when=asyncio.FIRST_COMPLETED)
            if not (working.done() or leaving.done()):
                raise _CutOff("The export was cut off: it took too long, or the server is stopping.")
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


class _CutOff(RequestError):
    """The time is over, or the server stops."""

    code = "SERVICE_UNAVAILABLE"


class _Answer:
    """The answer to one request: a file, or an error as long as no byte of the file is sent."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._is_begun = False
        self.request_id = request_id

    async def send_file(self, name: str, file_format: _Format, export: Export) -> None:
        """Send it block by block; a client that reads slowly is waited for, and nothing is read meanwhile."""
        async with aclosing(export.pages), aclosing(file_format.blocks_of(export)) as blocks:
            # Whatever goes wrong before the first block can still be said in an answer of its own.
            first = await anext(blocks)
            await self._begin(
                200,
                (b"content-type", file_format.media_type.encode()),
                (b"content-disposition", f'attachment; filename="{name}"'.encode()),
            )
            await self._send_block(first)
            async for block in blocks:
                await self._send_block(block)
        await self._send_block(b"", last=True)

    async def fail(self, error: Exception) -> None:
        """Say what is wrong, or, where the file has begun, leave it without its end."""
        if self._is_begun:
            log.warning("export_broken_off", request_id=self.request_id, exc_info=error)
        elif isinstance(error, RefusedHere):
            body = encoded_failure(error.code, error.message, self.request_id)
            await self._send_json(error.status, body, *([(b"allow", error.allow.encode())] if error.allow else []))
        else:
            failure = failure_of(error)
            explain([failure], self.request_id)
            code = FailureCode(code_of(failure) or FailureCode.INTERNAL_SERVER_ERROR)
            body = encoded(PreExecutionError(data=None, errors=[failure]), self.request_id)
            await self._send_json(_STATUS_OF_CODE[code], body, *_HEADERS_OF_CODE.get(code, ()))

    async def _send_json(self, status: int, body: bytes, *headers: Header) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self._begin(status, (b"content-type", b"application/json; charset=utf-8"), length, *headers)
        await self._send_block(body, last=True)

    async def _begin(self, status: int, *headers: Header) -> None:
        self._is_begun = True
        always = [
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-request-id", self.request_id.encode()),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *always]})

    async def _send_block(self, block: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": block, "more_body": not last})


def _file_name(kind: str, username: str, extension: str) -> str:
    """Such as ``calls-keytyh-good-2026-01-31.csv``: nothing in it that a file system could refuse."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", username)
    return f"{kind}-{plain}-{datetime.now(UTC).date()}.{extension}"
