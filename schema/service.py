"""Strawberry's schema with a short way from text to answer.

Strawberry builds an extension runner, a middleware manager and four context managers for each operation: as much work
again as executing it. Nothing here needs them, so an operation goes through three plain steps: `prepare` (text to a
checked document, mostly remembered), `run` or `events`, and `explain` for whatever failed.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, cast

import orjson
import strawberry
from graphql import ExecutionResult as CoreResult
from graphql import GraphQLError, execute, subscribe
from graphql import OperationType as CoreOperationType
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from schema.compiled_reads import CompiledReads, Data
from schema.document_limits import DocumentLimits
from schema.documents import Documents
from schema.execution import EventExecutor, execute_coerced
from schema.failures import FailureCode, RequestRefused, explain, failure, failure_of
from schema.operation import Operation

_QUERY = CoreOperationType.QUERY
_SUBSCRIPTION = CoreOperationType.SUBSCRIPTION


class EncodedResult(ExecutionResult):
    """A result without errors whose root fields are JSON already."""

    def __init__(self, data: Data) -> None:
        super().__init__(data=data, errors=None)

    @property
    def encoded(self) -> bytes:
        """The JSON of ``data``."""
        return orjson.dumps(self.data)


class ServiceSchema(strawberry.Schema):
    """The schema that is served. Its results carry explained errors: each with a code and the request's id.

    A `PreExecutionError` is a request that was not executed; it has errors and no data at all.
    """

    def __init__(
        self,
        query: type,
        mutation: type | None = None,
        subscription: type | None = None,
        *,
        types: Iterable[Any] = (),
        config: StrawberryConfig | None = None,
        scalar_overrides: Mapping[object, Any] | None = None,
        limits: DocumentLimits | None = None,
    ) -> None:
        super().__init__(
            query,
            mutation,
            subscription,
            types=types,
            config=config,
            scalar_overrides=scalar_overrides,
            execution_context_class=EventExecutor,
        )
        self._reads = CompiledReads(self, self._schema)
        self._documents = Documents(self._schema, limits or DocumentLimits())

    def prepare(self, query: str, operation_name: str | None = None) -> Operation:
        """The checked operation of a text. Raises: RequestRefused, with errors that have no request id yet."""
        return self._documents.operation(query, operation_name)

    async def run(self, operation: Operation, variables: dict[str, Any] | None, context: Any) -> ExecutionResult:
        """Execute a query or a mutation. Never raises: what goes wrong is in the result."""
        try:
            coerced = operation.coerced(variables or {})
            if coerced is not None and operation.type is _QUERY:
                data = await self._reads.data(operation, coerced, context)
                if data is not None:
                    return EncodedResult(data)
            return await self._run_by_resolvers(operation, coerced, variables, context)
        except Exception as error:
            return _refused([failure_of(error)], context)

    async def run_by_resolvers(
        self, operation: Operation, variables: dict[str, Any] | None, context: Any
    ) -> ExecutionResult:
        """`run`, with every field answered by its resolver."""
        return await self._run_by_resolvers(operation, operation.coerced(variables or {}), variables, context)

    async def _run_by_resolvers(
        self, operation: Operation, coerced: VariableValues | None, variables: dict[str, Any] | None, context: Any
    ) -> ExecutionResult:
        if coerced is not None:
            result = execute_coerced(self._schema, operation, coerced, context)
        else:
            result = execute(
                self._schema,
                operation.document,
                variable_values=variables,
                operation_name=operation.name,
                context_value=context,
                is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
                executor_class=EventExecutor,
            )
        return _answer(await result if isawaitable(result) else result, context)

    async def events(
        self, operation: Operation, variables: dict[str, Any] | None, context: Any
    ) -> AsyncGenerator[ExecutionResult, None]:
        """Run any operation as a stream: each event of a subscription, or the one result of anything else."""
        if operation.type is not _SUBSCRIPTION:
            yield await self.run(operation, variables, context)
            return
        begun = False
        try:
            source = subscribe(
                self._schema,
                operation.document,
                variable_values=variables,
                operation_name=operation.name,
                context_value=context,
                executor_class=EventExecutor,
            )
            if isawaitable(source):
                source = await source
            if isinstance(source, CoreResult):
                yield _refused(source.errors or [], context)
                return
            async with aclosing(cast("AsyncGenerator[CoreResult, None]", source)) as results:
                async for result in results:
                    begun = True
                    yield _answer(result, context)
        except Exception as error:
            refused = _refused([failure_of(error)], context)
            yield ExecutionResult(data=None, errors=refused.errors) if begun else refused

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """`prepare` and `run` in one, for callers that know Strawberry's schema."""
        try:
            operation = self.prepare(query or "", operation_name)
        except RequestRefused as refused:
            return _refused(refused.errors, context_value)
        if operation.type is _SUBSCRIPTION:
            return _refused([subscriptions_need_a_stream()], context_value)
        result = await self.run(operation, variable_values, context_value)
        if isinstance(result, EncodedResult):
            return ExecutionResult(data=orjson.loads(result.encoded), errors=None)
        return result

    async def stream(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> AsyncGenerator[ExecutionResult, None]:
        """`prepare` and `events` in one, as Strawberry's handler of WebSockets calls it."""
        return self._stream_of(query or "", operation_name, variable_values, context_value)

    async def _stream_of(
        self, query: str, name: str | None, variables: dict[str, Any] | None, context: Any
    ) -> AsyncGenerator[ExecutionResult, None]:
        try:
            operation = self.prepare(query, name)
        except RequestRefused as refused:
            yield _refused(refused.errors, context)
            return
        except Exception as error:
            yield _refused([failure_of(error)], context)
            return
        async with aclosing(self.events(operation, variables, context)) as results:
            async for result in results:
                yield result


def subscriptions_need_a_stream() -> GraphQLError:
    """What is said to a subscription that came as a plain request."""
    message = "Subscriptions need a WebSocket (graphql-transport-ws) or Accept: text/event-stream."
    return failure(FailureCode.BAD_USER_INPUT, message)


def _answer(result: CoreResult, context: Any) -> ExecutionResult:
    errors = result.errors
    if errors:
        if result.data is None and all(error.path is None for error in errors):
            return _refused(errors, context)
        explain(errors, _request_id(context))
    return ExecutionResult(data=result.data, errors=errors)


def _refused(errors: list[GraphQLError], context: Any) -> PreExecutionError:
    explain(errors, _request_id(context))
    return PreExecutionError(data=None, errors=errors)


def _request_id(context: Any) -> str:
    return getattr(context, "request_id", "")
