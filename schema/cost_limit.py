"""Whether a request may cost what it would, and what its answer says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from schema.failures import FailureCode, failure
from schema.operation import Operation
from schema.query_cost import evaluated

# The largest whole number that every reader of JSON keeps exactly.
_SHOWN_MAX = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Priced:
    """``extensions`` belong to each answer of the request; with a ``refusal`` it must not be executed."""

    extensions: dict[str, Any] | None
    refusal: GraphQLError | None = None


_UNPRICED = Priced(None)


def priced(operation: Operation, variables: Mapping[str, Any], context: Any) -> Priced:
    """What the operation costs with these variables, against the limit of the installation.

    The shape is Shopify's, without what only a budget that refills would have: see docs/adr/0021-query-cost.md.
    """
    if operation.cost is None:
        return _UNPRICED
    cost = min(evaluated(operation.cost, variables), _SHOWN_MAX)
    most: int = context.services.rules.query_cost_max
    extensions = {
        "cost": {
            "requestedQueryCost": cost,
            "throttleStatus": {"maximumAvailable": most, "currentlyAvailable": most},
        }
    }
    if cost <= most:
        return Priced(extensions)
    message = (
        f"The query asks for up to {cost} nodes; a request may ask for {most}. Ask for smaller pages (`first` or "
        "`last`), for fewer lists inside of lists, or for less at a time: the pages go on at `after`."
    )
    return Priced(extensions, failure(FailureCode.COST_LIMIT_EXCEEDED, message))
