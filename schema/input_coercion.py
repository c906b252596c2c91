"""Plain input values coerced by functions that are made once for each input type.

graphql-core finds its way through the types anew for every value: of a request with a thousand calls that was a fifth
of the server's work. The functions made here answer exactly what `graphql.utilities.coerce_input_value` does for
values as JSON gives them; wherever one is not sure it answers ``Undefined``, and graphql-core has to be asked, which
also finds the words for what is wrong.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from graphql import GraphQLInputObjectType, GraphQLInputType, GraphQLList, GraphQLNonNull, Undefined
from graphql.type import is_required_input_field
from graphql.utilities.coerce_input_value import coerce_default_value

# From a value to the coerced one, or `Undefined`. It raises whatever a scalar or an input type raises.
Coerce = Callable[[Any], Any]

_REQUIRED = object()


def compiled(type_: GraphQLInputType) -> Coerce:
    """The function that coerces values of this type."""
    return _compiled(type_, inside=()).of_any


class _Compiled(NamedTuple):
    """``of_present`` is only for values other than null."""

    nullable: bool
    of_present: Coerce

    def of_any(self, value: Any) -> Any:
        if value is None:
            return None if self.nullable else Undefined
        return self.of_present(value)


def _compiled(type_: GraphQLInputType, *, inside: tuple[GraphQLInputObjectType, ...]) -> _Compiled:
    if isinstance(type_, GraphQLNonNull):
        return _Compiled(False, _of_present(type_.of_type, inside))
    return _Compiled(True, _of_present(type_, inside))


def _of_present(type_: Any, inside: tuple[GraphQLInputObjectType, ...]) -> Coerce:
    if isinstance(type_, GraphQLList):
        return _list(_compiled(type_.of_type, inside=inside))
    if isinstance(type_, GraphQLInputObjectType):
        # A type that contains itself may nest without end: graphql-core knows where to stop.
        return _never if type_ in inside or type_.is_one_of else _object(type_, (*inside, type_))
    coerce: Coerce = type_.coerce_input_value
    return coerce


def _never(_value: Any) -> Any:
    return Undefined


def _list(item: _Compiled) -> Coerce:
    nullable, coerce_item = item

    def coerce(value: Any) -> Any:
        if type(value) is not list:
            return Undefined
        coerced = []
        for item_value in value:
            if item_value is not None:
                item_value = coerce_item(item_value)
                if item_value is Undefined:
                    return Undefined
            elif not nullable:
                return Undefined
            coerced.append(item_value)
        return coerced

    return coerce


def _object(type_: GraphQLInputObjectType, inside: tuple[GraphQLInputObjectType, ...]) -> Coerce:
    fields = [
        (
            name,
            field.out_name or name,
            *_compiled(field.type, inside=inside),
            _REQUIRED if is_required_input_field(field) else coerce_default_value(field),
        )
        for name, field in type_.fields.items()
    ]
    out_type = type_.out_type

    def coerce(value: Any) -> Any:
        if type(value) is not dict:
            return Undefined
        missing = 0
        coerced = {}
        for name, out_name, nullable, coerce_field, default in fields:
            field_value = value.get(name, Undefined)
            if field_value is Undefined:
                if default is _REQUIRED:
                    return Undefined
                missing += 1
                if default is Undefined:
                    continue
                field_value = default
            elif field_value is not None:
                field_value = coerce_field(field_value)
                if field_value is Undefined:
                    return Undefined
            elif not nullable:
                return Undefined
            coerced[out_name] = field_value
        if missing + len(value) != len(fields):
            return Undefined
        return out_type(coerced)

    return coerce
