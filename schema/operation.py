"""One operation of a checked document, with whatever can be worked out before its variables are known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode, OperationType, Undefined
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.language import DirectiveNode, DocumentNode, VariableDefinitionNode, VariableNode, Visitor, visit
from graphql.type import is_non_null_type
from graphql.utilities.coerce_input_value import coerce_default_value

from schema.input_coercion import Coerce, compiled
from schema.query_cost import Cost, FieldCost, cost_of_operation

# What comes of a nullable variable without a default that is not given.
_NOTHING = object()


class _Variable(NamedTuple):
    """``absent`` is what comes of it where it is not given: `_NOTHING`, a default, or `Undefined` for a mistake."""

    name: str
    signature: GraphQLVariableSignature
    coerce: Coerce
    absent: Any


@dataclass(frozen=True, slots=True)
class Operation:
    """Ready to run. ``document`` and ``name`` (None: it has none) say all of it; the rest is worked out from them.

    ``cost`` is None where the schema says nothing of costs. ``including`` are the variables that @skip and @include
    depend on. ``kept`` is for whoever executes the operation to keep what it has worked out, for as long as the
    operation is remembered.
    """

    document: DocumentNode
    name: str | None
    definition: OperationDefinitionNode
    fragments: Mapping[str, FragmentDetails]
    variables: tuple[_Variable, ...]
    cost: Cost | None
    including: tuple[str, ...]
    kept: dict[Any, Any] = field(default_factory=dict, compare=False)

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation

    def coerced(self, values: Mapping[str, Any]) -> VariableValues | None:
        """The variables as graphql-core coerces them; None where it has to be asked (see `schema.input_coercion`)."""
        sources = {}
        coerced = {}
        for name, signature, coerce, absent in self.variables:
            value = values.get(name, Undefined)
            if value is Undefined:
                if absent is Undefined:
                    return None
                if absent is not _NOTHING:
                    coerced[name] = absent
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


def operations_of(
    schema: GraphQLSchema, document: DocumentNode, field_costs: Mapping[str, FieldCost] | None = None
) -> tuple[Operation, ...]:
    """The operations of a document that is valid for the schema."""
    fragments = {
        node.name.value: FragmentDetails(node)
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    including = _including(document)
    return tuple(
        Operation(
            document,
            node.name.value if node.name else None,
            node,
            fragments,
            _variables(schema, node),
            None if field_costs is None else cost_of_operation(schema, node, fragments, field_costs),
            including,
        )
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    )


def _variables(schema: GraphQLSchema, definition: OperationDefinitionNode) -> tuple[_Variable, ...]:
    variables = []
    for node in definition.variable_definitions or ():
        signature = get_variable_signature(schema, node)
        assert isinstance(signature, GraphQLVariableSignature), "validation lets variables have input types only"
        variables.append(_Variable(signature.name, signature, compiled(signature.type), _absent(node, signature)))
    return tuple(variables)


def _absent(node: VariableDefinitionNode, signature: GraphQLVariableSignature) -> Any:
    if node.default_value is None:
        return Undefined if is_non_null_type(signature.type) else _NOTHING
    try:
        return coerce_default_value(signature)
    except TypeError:  # graphql-core meets it again and knows what to say
        return Undefined


def _including(document: DocumentNode) -> tuple[str, ...]:
    names: dict[str, None] = {}

    class Directives(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
            if node.name.value in ("skip", "include"):
                for argument in node.arguments or ():
                    if isinstance(argument.value, VariableNode):
                        names[argument.value.name.value] = None

    visit(document, Directives())
    return tuple(names)
