"""Strawberry's schema with a short way from text to answer.

Strawberry builds an extension runner, a middleware manager and four context managers for each operation: as much work
again as executing it. Nothing here needs them, so an operation goes through three plain steps: `prepare` (text to a
checked document, mostly remembered), `run` or `events`, and `explain` for whatever failed.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, NamedTuple, cast

import orjson
import strawberry
import structlog
from graphql import ExecutionResult as CoreResult
from graphql import GraphQLError
from graphql import OperationType as CoreOperationType
from graphql.execution import (
    Executor,
    create_source_event_stream,
    execute_subscription_event,
    get_variable_values,
)
from graphql.execution.values import VariableValues
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from schema.compiled_reads import CompiledReads, Data
from schema.cost_limit import priced
from schema.document_limits import DocumentLimits
from schema.documents import Documents
from schema.event_teller import EventTeller, WritesEvents
from schema.execution import EventExecutor, execute_coerced, executor_of
from schema.failures import FailureCode, RequestRefused, explain, failure, failure_of
from schema.operation import Operation
from schema.plain_mutation import PlainMutation, plain_mutation
from schema.query_cost import FieldCost

log = structlog.get_logger(__name__)

_QUERY = CoreOperationType.QUERY
_MUTATION = CoreOperationType.MUTATION
_SUBSCRIPTION = CoreOperationType.SUBSCRIPTION

# As many as graphql-core tells of by itself.
_VARIABLE_ERRORS_MAX = 50


class _Admitted(NamedTuple):
    """A request that may be executed. ``extensions`` belong to each of its answers."""

    variables: VariableValues
    extensions: dict[str, Any] | None


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
        field_costs: Mapping[str, FieldCost] | None = None,
        event_writer: Callable[[Executor[Any], dict[str, Any] | None], WritesEvents | None] = lambda *_: None,
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
        self._documents = Documents(self._schema, limits or DocumentLimits(), field_costs)
        self._event_writer = event_writer

    def prepare(self, query: str, operation_name: str | None = None) -> Operation:
        """The checked operation of a text. Raises: RequestRefused, with errors that have no request id yet."""
        return self._documents.operation(query, operation_name)

    async def run(self, operation: Operation, variables: dict[str, Any] | None, context: Any) -> ExecutionResult:
        """Execute a query or a mutation, if it may cost as much. Never raises: what goes wrong is in the result."""
        admitted = self._admitted(operation, variables or {}, context)
        if isinstance(admitted, PreExecutionError):
            return admitted
        result = await self._run(operation, admitted.variables, context)
        result.extensions = admitted.extensions
        return result

    def _admitted(
        self, operation: Operation, variables: Mapping[str, Any], context: Any
    ) -> "_Admitted | PreExecutionError":
        """The variables coerced and the cost worked out. Whoever sent a wrong variable is told that, not its price."""
        cost = priced(operation, variables, context)
        try:
            coerced = self._coerced(operation, variables)
        except Exception as error:
            return _refused([failure_of(error)], context, cost.extensions)
        if isinstance(coerced, list):
            return _refused(coerced, context, cost.extensions)
        if cost.refusal:
            return _refused([cost.refusal], context, cost.extensions)
        return _Admitted(coerced, cost.extensions)

    def _coerced(self, operation: Operation, variables: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """The variables as graphql-core coerces them, or what it says of them."""
        coerced = operation.coerced(variables)
        if coerced is not None:
            return coerced
        definitions = operation.definition.variable_definitions or ()
        return get_variable_values(self._schema, definitions, dict(variables), max_errors=_VARIABLE_ERRORS_MAX)

    async def _run(self, operation: Operation, variables: VariableValues, context: Any) -> ExecutionResult:
        try:
            if operation.type is _QUERY:
                data = await self._reads.data(operation, variables, context)
                if data is not None:
                    return EncodedResult(data)
            plain = self._plain_mutation(operation)
            if plain is not None:
                return _answer(await plain.run(variables, context), context)
            return await self._run_by_resolvers(operation, variables, context)
        except Exception as error:
            return _refused([failure_of(error)], context)

    async def run_by_resolvers(
        self, operation: Operation, variables: dict[str, Any] | None, context: Any
    ) -> ExecutionResult:
        """`run`, with every field answered by its resolver, whatever it costs."""
        coerced = self._coerced(operation, variables or {})
        if isinstance(coerced, list):
            return _refused(coerced, context)
        return await self._run_by_resolvers(operation, coerced, context)

    async def _run_by_resolvers(self, operation: Operation, variables: VariableValues, context: Any) -> ExecutionResult:
        await context.identify()
        result = execute_coerced(self._schema, operation, variables, context)
        return _answer(await result if isawaitable(result) else result, context)

    def _plain_mutation(self, operation: Operation) -> PlainMutation | None:
        root = self._schema.mutation_type
        if operation.type is not _MUTATION or root is None:
            return None
        return plain_mutation(self.schema_converter, root, operation)

    async def events(
        self, operation: Operation, variables: dict[str, Any] | None, context: Any
    ) -> AsyncGenerator[ExecutionResult | str, None]:
        """Run any operation as a stream: each event of a subscription, or the one result of anything else.

        Text is the whole result of an event as JSON, ``{"data": ...}``. All in one generator: of each event of
        thousands of subscriptions, every layer would cost as much as writing it does.
        """
        if operation.type is not _SUBSCRIPTION:
            yield await self.run(operation, variables, context)
            return
        extensions: dict[str, Any] | None = None
        begun = False
        try:
            admitted = self._admitted(operation, variables or {}, context)
            extensions = admitted.extensions
            if isinstance(admitted, PreExecutionError):
                yield admitted
                return
            executor = executor_of(self._schema, operation, admitted.variables, context)
            source = create_source_event_stream(executor)
            if isawaitable(source):
                source = await source
            if isinstance(source, CoreResult):
                yield _refused(source.errors or [], context, extensions)
                return
            writer = self._event_writer(executor, extensions)
            if writer is not None and context.push_event is not None:
                context.tell = EventTeller(writer, context.push_event).tell
            async with aclosing(cast("AsyncGenerator[Any, None]", source)) as events:
                async for event in events:
                    begun = True
                    if writer is not None:
                        try:
                            text = writer.at_once(event) or await writer.write(event)
                        except Exception as error:
                            # Executing the event meets it again, and says what to say.
                            log.debug("event_not_written", request_id=_request_id(context), error=repr(error))
                        else:
                            yield text
                            continue
                    yield _answer(await _execute(executor, event), context, extensions)
        except Exception as error:
            refused = _refused([failure_of(error)], context, extensions)
            yield ExecutionResult(data=None, errors=refused.errors, extensions=extensions) if begun else refused

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
            return ExecutionResult(data=orjson.loads(result.encoded), errors=None, extensions=result.extensions)
        return result

    # Text among the results is for our own handler of WebSockets, which is the only caller.
    async def stream(  # type: ignore[override]
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> AsyncGenerator[ExecutionResult | str, None]:
        """`prepare` and `events` in one, as Strawberry's handler of WebSockets calls it."""
        try:
            operation = self.prepare(query or "", operation_name)
        except RequestRefused as refused:
            return _only(_refused(refused.errors, context_value))
        except Exception as error:
            return _only(_refused([failure_of(error)], context_value))
        return self.events(operation, variable_values, context_value)


def subscriptions_need_a_stream() -> GraphQLError:
    """What is said to a subscription that came as a plain request."""
    message = "Subscriptions need a WebSocket (graphql-transport-ws) or Accept: text/event-stream."
    return failure(FailureCode.BAD_USER_INPUT, message)


async def _only(result: ExecutionResult) -> AsyncGenerator[ExecutionResult, None]:
    yield result


async def _execute(executor: Executor[Any], event: Any) -> CoreResult:
    result = execute_subscription_event(executor.build_per_event_executor(event))
    if isawaitable(result):
        result = await result
    return result  # never several: the schema has neither @defer nor @stream


def _answer(result: CoreResult, context: Any, extensions: dict[str, Any] | None = None) -> ExecutionResult:
    errors = result.errors
    if errors:
        if result.data is None and all(error.path is None for error in errors):
            return _refused(errors, context, extensions)
        explain(errors, _request_id(context))
    return ExecutionResult(data=result.data, errors=errors, extensions=extensions)


def _refused(errors: list[GraphQLError], context: Any, extensions: dict[str, Any] | None = None) -> PreExecutionError:
    explain(errors, _request_id(context))
    return PreExecutionError(data=None, errors=errors, extensions=extensions)


def _request_id(context: Any) -> str:
    return getattr(context, "request_id", "")
