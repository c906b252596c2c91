"""Query texts to checked documents: parsed, within limits, valid for the schema; the good ones remembered.

Parsing and validating costs twenty times what executing a small query does, and programs send the same few texts
again and again.
"""

from collections import OrderedDict
from dataclasses import dataclass

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, OperationType, parse, specified_rules
from graphql.language import DocumentNode
from strawberry.schema.schema import validate_document

from schema.document_limits import DocumentLimits, check_limits
from schema.failures import FailureCode, RequestRefused, coded, failure

# A parsed document takes about a hundred bytes per character of its text: at most some 40 MB are remembered.
_REMEMBERED_DOCUMENTS_MAX = 1_000
_REMEMBERED_CHARACTERS_MAX = 400_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a checked document, ready to run."""

    document: DocumentNode
    name: str | None
    type: OperationType


class Documents:
    """The checked documents of one schema, by their text."""

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits) -> None:
        self._schema = schema
        self._limits = limits
        self._remembered: OrderedDict[str, DocumentNode] = OrderedDict()
        self._remembered_characters = 0

    def operation(self, query: str, name: str | None) -> Operation:
        """The operation called ``name``, or the only one. Raises: RequestRefused."""
        document = self._remembered.get(query)
        if document is None:
            document = self._checked(query)
            self._remember(query, document)
        else:
            self._remembered.move_to_end(query)
        return _chosen(document, name)

    def _checked(self, query: str) -> DocumentNode:
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
        return document

    def _remember(self, query: str, document: DocumentNode) -> None:
        self._remembered[query] = document
        self._remembered_characters += len(query)
        while (
            self._remembered_characters > _REMEMBERED_CHARACTERS_MAX
            or len(self._remembered) > _REMEMBERED_DOCUMENTS_MAX
        ):
            forgotten, _ = self._remembered.popitem(last=False)
            self._remembered_characters -= len(forgotten)


def _chosen(document: DocumentNode, name: str | None) -> Operation:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if name is None and len(operations) > 1:
        message = "The document has several operations: say which one with operationName."
        raise RequestRefused([failure(FailureCode.BAD_USER_INPUT, message)])
    for node in operations:
        if name is None or (node.name is not None and node.name.value == name):
            return Operation(document, name, node.operation)
    message = "The document has no operation." if name is None else f"Unknown operation named '{name[:100]}'."
    raise RequestRefused([failure(FailureCode.BAD_USER_INPUT, message)])
