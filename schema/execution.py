"""How graphql-core executes our operations: as it comes, but for what a living subscription would keep."""

from collections.abc import Awaitable
from typing import Any, cast

from graphql import ExecutionResult, GraphQLSchema, default_field_resolver, default_type_resolver
from graphql.execution import Executor
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from resolvers.context import RequestContext
from schema.operation import Operation


class EventExecutor(StrawberryGraphQLCoreExecutionContext):
    """Executes each event of a subscription with a memory of its own.

    graphql-core remembers the sub-fields of every object it completes, by the identity of a list that it makes
    anew for each event, in a dictionary that all events of a subscription share: about 1.3 KB an event, kept
    for as long as the subscription lives. ``tests/test_subscription_memory.py`` says when this may go.

    The request's loaders start anew as well: an event shows its accounts as they are now, not as they were loaded
    for an earlier one.
    """

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """A copy of this executor for one event, sharing nothing that grows or goes stale."""
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}
        if isinstance(executor.context_value, RequestContext):
            executor.context_value.loaders.forget()
        return executor


def execute_coerced(
    schema: GraphQLSchema, operation: Operation, variables: VariableValues, context: Any
) -> ExecutionResult | Awaitable[ExecutionResult]:
    """Execute a query or a mutation whose variables are coerced already: `graphql.execute` less its first half."""
    # It would be several results with @defer or @stream, which the schema does not have.
    executor = executor_of(schema, operation, variables, context)
    return cast("ExecutionResult | Awaitable[ExecutionResult]", executor.execute_operation())


def executor_of(schema: GraphQLSchema, operation: Operation, variables: VariableValues, context: Any) -> EventExecutor:
    """An executor of an operation whose variables are coerced already."""
    return EventExecutor(
        schema,
        {name: fragment.definition for name, fragment in operation.fragments.items()},
        operation.fragments,
        None,
        context,
        operation.definition,
        variables,
        default_field_resolver,
        default_type_resolver,
        default_field_resolver,
        is_awaitable=optimized_is_awaitable,
    )
