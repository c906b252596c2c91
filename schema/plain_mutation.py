"""Mutations that are carried out without graphql-core's executor: one field, its input a variable, a plain payload.

That is how programs send them, a call in each request, and the executor was two thirds of what such a request cost.
The resolver is the same, and so are its input, its payload and its errors; every other mutation is executed.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from graphql import ExecutionResult, FieldNode, GraphQLNonNull, GraphQLObjectType, VariableNode
from graphql.error import located_error
from graphql.execution.values import VariableValues
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import StrawberryArgument, convert_argument
from strawberry.types.field import StrawberryField

from schema.operation import Operation
from schema.plain_selection import NotPlain, Read, reader


class _Info(NamedTuple):
    """As much of Strawberry's `Info` as mutations are given."""

    context: Any


class PlainMutation(NamedTuple):
    """A mutation made ready. ``arguments`` come with their own names and those of their variables."""

    converter: GraphQLCoreConverter
    resolve: Callable[..., Awaitable[Any]]
    node: FieldNode
    arguments: tuple[tuple[StrawberryArgument, str, str], ...]
    is_required: bool
    read: Read

    async def run(self, variables: VariableValues, context: Any) -> ExecutionResult:
        """Carry it out. Whatever is raised becomes the result's error, as graphql-core would have it."""
        key = (self.node.alias or self.node.name).value
        try:
            info: Any = _Info(context)
            given = {
                argument.python_name: convert_argument(
                    variables.coerced[variable],
                    argument.type,
                    self.converter.scalar_registry,
                    self.converter.config,
                    info,
                    path=(name,),
                )
                for argument, name, variable in self.arguments
            }
            payload = await self.resolve(None, info, **given)
            return ExecutionResult(data={key: self.read(payload)}, errors=None)
        except Exception as error:
            data = None if self.is_required else {key: None}
            return ExecutionResult(data=data, errors=[located_error(error, [self.node], [key])])


def plain_mutation(
    converter: GraphQLCoreConverter, root: GraphQLObjectType, operation: Operation
) -> PlainMutation | None:
    """The operation, a mutation, made ready; None where it has to be executed. Worked out once for each operation."""
    kept = operation.kept
    if PlainMutation not in kept:
        try:
            kept[PlainMutation] = _made_ready(converter, root, operation)
        except NotPlain:
            kept[PlainMutation] = None
    made_ready: PlainMutation | None = kept[PlainMutation]
    return made_ready


def _made_ready(converter: GraphQLCoreConverter, root: GraphQLObjectType, operation: Operation) -> PlainMutation:
    definition = operation.definition
    (node, *others) = definition.selection_set.selections
    if others or definition.directives or not isinstance(node, FieldNode) or node.directives:
        raise NotPlain
    field = root.fields.get(node.name.value)
    if field is None:
        raise NotPlain
    strawberry_field = field.extensions.get("strawberry-definition")
    if not isinstance(strawberry_field, StrawberryField) or strawberry_field.extensions:
        raise NotPlain
    resolver = strawberry_field.base_resolver
    if (
        resolver is None
        or not callable(resolver.wrapped_func)
        or not resolver.is_async
        or not resolver.self_parameter
        or not resolver.info_parameter
    ):
        raise NotPlain
    by_name = {converter.config.name_converter.from_argument(one): one for one in strawberry_field.arguments}
    arguments = []
    for argument in node.arguments or ():
        if not isinstance(argument.value, VariableNode):
            raise NotPlain
        name = argument.name.value
        arguments.append((by_name[name], name, argument.value.name.value))
    # What is left out has a default, or is nobody's mistake but ours: that is graphql-core's to know.
    required = {
        variable.name for variable in operation.variables if isinstance(variable.signature.type, GraphQLNonNull)
    }
    if len(arguments) != len(field.args) or not required.issuperset(variable for _, _, variable in arguments):
        raise NotPlain
    is_required = isinstance(field.type, GraphQLNonNull)
    type_ = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    if not isinstance(type_, GraphQLObjectType) or node.selection_set is None:
        raise NotPlain
    return PlainMutation(
        converter, resolver.wrapped_func, node, tuple(arguments), is_required, reader(type_, node.selection_set)
    )
