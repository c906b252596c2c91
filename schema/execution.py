"""How graphql-core executes our operations: as it comes, but for what a living subscription would keep."""

from typing import Any

from graphql.execution import Executor
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from resolvers.context import RequestContext


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
