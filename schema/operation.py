"""One operation of a checked document, with whatever can be worked out before its variables are known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode, OperationType, Undefined
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.language import DocumentNode
from graphql.type import is_non_null_type

from schema.input_coercion import Coerce, compiled


class _Variable(NamedTuple):
    """``may_be_absent``: it is nullable and has no default, so nothing comes of it where it is not given."""

    name: str
    signature: GraphQLVariableSignature
    coerce: Coerce
    may_be_absent: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """Ready to run. ``document`` and ``name`` (None: it has none) say all of it; the rest is worked out from them.

    ``kept`` is for whoever runs the operation to keep what it has worked out, for as long as it is remembered.
    """

    document: DocumentNode
    name: str | None
    definition: OperationDefinitionNode
    fragments: Mapping[str, FragmentDetails]
    variables: tuple[_Variable, ...]
    kept: dict[Any, Any] = field(default_factory=dict, compare=False)

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation

    def coerced(self, values: Mapping[str, Any]) -> VariableValues | None:
        """The variables as graphql-core coerces them; None where it has to be asked (see `schema.input_coercion`)."""
        sources = {}
        coerced = {}
        for name, signature, coerce, may_be_absent in self.variables:
            value = values.get(name, Undefined)
            if value is Undefined:
                if not may_be_absent:
                    return None
                sources[name] = VariableValueSource(signature)
                continue
            try:
                coerced[name] = coerce(value)
            except Exception:  # whatever it is, graphql-core meets it again and knows what to say
                return None
            if coerced[name] is Undefined:
                return None
            sources[name] = VariableValueSource(signature, value)
        return VariableValues(sources, coerced)


def operations_of(schema: GraphQLSchema, document: DocumentNode) -> tuple[Operation, ...]:
    """The operations of a document that is valid for the schema."""
    fragments = {
        node.name.value: FragmentDetails(node)
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    return tuple(
        Operation(document, node.name.value if node.name else None, node, fragments, _variables(schema, node))
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    )


def _variables(schema: GraphQLSchema, definition: OperationDefinitionNode) -> tuple[_Variable, ...]:
    variables = []
    for node in definition.variable_definitions or ():
        signature = get_variable_signature(schema, node)
        assert isinstance(signature, GraphQLVariableSignature), "validation lets variables have input types only"
        may_be_absent = node.default_value is None and not is_non_null_type(signature.type)
        variables.append(_Variable(signature.name, signature, compiled(signature.type), may_be_absent))
    return tuple(variables)
