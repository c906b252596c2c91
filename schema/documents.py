"""Query texts to checked documents: parsed, within limits, valid for the schema; the good ones remembered.

Parsing and validating costs twenty times what executing a small query does, and programs send the same few texts
again and again.
"""

from collections import OrderedDict
from collections.abc import Mapping

from graphql import GraphQLError, GraphQLSchema, parse, specified_rules
from strawberry.schema.schema import validate_document

from schema.document_limits import DocumentLimits, check_limits
from schema.failures import FailureCode, RequestRefused, coded, failure
from schema.operation import Operation, operations_of
from schema.query_cost import FieldCost

# A parsed document takes about a hundred bytes per character of its text: at most some 40 MB are remembered.
_REMEMBERED_DOCUMENTS_MAX = 1_000
_REMEMBERED_CHARACTERS_MAX = 400_000


class Documents:
    """The checked documents of one schema, by their text."""

    def __init__(
        self, schema: GraphQLSchema, limits: DocumentLimits, field_costs: Mapping[str, FieldCost] | None = None
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._field_costs = field_costs
        self._remembered: OrderedDict[str, tuple[Operation, ...]] = OrderedDict()
        self._remembered_characters = 0

    def operation(self, query: str, name: str | None) -> Operation:
        """The operation called ``name``, or the only one. Raises: RequestRefused."""
        operations = self._remembered.get(query)
        if operations is None:
            operations = self._checked(query)
            self._remember(query, operations)
        else:
            self._remembered.move_to_end(query)
        return _chosen(operations, name)

    def _checked(self, query: str) -> tuple[Operation, ...]:
        limits = self._limits
        try:
            document = parse(
                query,
                max_source_length=limits.characters_max,
                max_lexical_tokens=limits.tokens_max,
                max_comments=limits.tokens_max,
            )
        except GraphQLError as error:
            raise RequestRefused([coded(error, FailureCode.GRAPHQL_PARSE_FAILED)]) from None
        check_limits(document, limits)
        if errors := validate_document(self._schema, document, tuple(specified_rules)):
            raise RequestRefused([coded(error, FailureCode.GRAPHQL_VALIDATION_FAILED) for error in errors])
        return operations_of(self._schema, document, self._field_costs)

    def _remember(self, query: str, operations: tuple[Operation, ...]) -> None:
        self._remembered[query] = operations
        self._remembered_characters += len(query)
        while (
            self._remembered_characters > _REMEMBERED_CHARACTERS_MAX
            or len(self._remembered) > _REMEMBERED_DOCUMENTS_MAX
        ):
            forgotten, _ = self._remembered.popitem(last=False)
            self._remembered_characters -= len(forgotten)


def _chosen(operations: tuple[Operation, ...], name: str | None) -> Operation:
    if name is None and len(operations) > 1:
        message = "The document has several operations: say which one with operationName."
        raise RequestRefused([failure(FailureCode.BAD_USER_INPUT, message)])
    for operation in operations:
        if name is None or operation.name == name:
            return operation
    message = "The document has no operation." if name is None else f"Unknown operation named '{name[:100]}'."
    raise RequestRefused([failure(FailureCode.BAD_USER_INPUT, message)])
