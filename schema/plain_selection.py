"""Selections of plain fields, as functions that are made once and read an object's JSON value.

graphql-core finds its way through a selection anew for every object. Where it holds nothing but fields that are plain
attributes, at any depth, the way is always the same.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

from graphql import FieldNode, GraphQLEnumType, GraphQLLeafType, GraphQLList, GraphQLNonNull, GraphQLObjectType
from graphql.language import SelectionSetNode
from graphql.type import is_leaf_type
from strawberry.types.field import StrawberryField

# From an object to its value as JSON takes it. It raises whatever a scalar raises, and ValueError for a missing value.
Read = Callable[[Any], Any]


class NotPlain(Exception):
    """The selection holds something that graphql-core has to answer: a resolver, a directive, a fragment."""


def reader(type_: GraphQLObjectType, selection_set: SelectionSetNode) -> Read:
    """The function that reads objects of this type. Raises: NotPlain."""
    reads: dict[str, Read] = {}
    for node in selection_set.selections:
        if not isinstance(node, FieldNode) or node.directives or node.arguments:
            raise NotPlain
        key = (node.alias or node.name).value
        if key in reads:
            raise NotPlain
        reads[key] = _field(type_, node)
    fields = tuple(reads.items())
    return lambda source: {key: read(source) for key, read in fields}


def _field(type_: GraphQLObjectType, node: FieldNode) -> Read:
    name = node.name.value
    if name == "__typename":
        return lambda _source: type_.name
    field = type_.fields[name].extensions.get("strawberry-definition")
    if not isinstance(field, StrawberryField) or not field.is_basic_field:
        raise NotPlain
    get = attrgetter(field.python_name)
    read = _value(type_.fields[name].type, node)
    return lambda source: read(get(source))


def _value(type_: Any, node: FieldNode) -> Read:
    required = isinstance(type_, GraphQLNonNull)
    read = _present(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, node)

    def read_value(value: Any) -> Any:
        if value is not None:
            return read(value)
        if required:
            raise ValueError(f"{node.name.value} cannot be null")
        return None

    return read_value


def _present(type_: Any, node: FieldNode) -> Read:
    """Reads values other than None."""
    if isinstance(type_, GraphQLList):
        read_item = _value(type_.of_type, node)
        return lambda values: list(map(read_item, values))
    if isinstance(type_, GraphQLObjectType) and node.selection_set is not None:
        return reader(type_, node.selection_set)
    if isinstance(type_, GraphQLEnumType):
        return cache(type_.coerce_output_value)
    if is_leaf_type(type_):
        leaf: GraphQLLeafType = type_
        return leaf.coerce_output_value
    raise NotPlain
