"""Random queries over everything that can be read, made from the schema itself: valid, and mostly with an answer.

Fields, aliases, fragments of both kinds, @skip and @include, variables with and without defaults, nulls, pages both
ways with real cursors. ``Given`` holds what arguments may be taken from.
"""

from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from hypothesis import strategies as st

# The time of the answer is in it, or it differs from one look to the next.
UNSTEADY = {("Quote", "at")}
_DEPTH_MAX = 5
_FIELDS_MAX = 5
# Below the product's limit of aliases in a document.
_KEYS_MAX = 80


@dataclass(frozen=True)
class Given:
    """Values for arguments, by `field.argument`, type or argument; whatever else is needed is made up."""

    values: dict[str, list[Any]] = field(repr=False)


@dataclass
class RandomQuery:
    """A query text and the variables for it."""

    text: str = ""
    variables: dict[str, Any] = field(default_factory=dict)


@st.composite
def queries(draw: st.DrawFn, schema: GraphQLSchema, given: Given) -> RandomQuery:
    """Any query."""
    return _Maker(draw, schema, given).query()


class _Maker:
    def __init__(self, draw: st.DrawFn, schema: GraphQLSchema, given: Given) -> None:
        self._draw = draw
        self._schema = schema
        self._given = given
        self._declared: list[str] = []
        self._variables: dict[str, Any] = {}
        self._fragments: list[str] = []
        self._keys = 0

    def query(self) -> RandomQuery:
        root = self._schema.query_type
        assert root is not None
        selection = self._selection(root, 0)
        declared = f"({', '.join(self._declared)})" if self._declared else ""
        return RandomQuery(f"query Random{declared} {selection} {' '.join(self._fragments)}", self._variables)

    def _chance(self, one_in: int) -> bool:
        return self._draw(st.integers(1, one_in)) == 1

    def _selection(self, type_: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        fields = [
            (name, definition)
            for name, definition in type_.fields.items()
            if (type_.name, name) not in UNSTEADY
            and ((depth < _DEPTH_MAX and self._keys < _KEYS_MAX) or is_leaf_type(get_named_type(definition.type)))
        ]
        chosen = self._draw(st.lists(st.sampled_from(fields), min_size=1, max_size=_FIELDS_MAX)) if fields else []
        parts = [self._field(name, definition, depth) for name, definition in chosen if self._keys < _KEYS_MAX]
        if not parts or self._chance(8):
            parts.append("__typename")
        if isinstance(type_, GraphQLInterfaceType):
            one = self._draw(st.sampled_from(sorted(self._schema.get_possible_types(type_), key=str)))
            parts.append(f"... on {one.name} {self._selection(one, depth + 1)}")
        if self._chance(6):
            middle = len(parts) // 2
            parts[middle:] = [self._fragment(type_.name, " ".join(parts[middle:]))]
        return "{ " + " ".join(parts) + " }"

    def _fragment(self, type_name: str, fields: str) -> str:
        match self._draw(st.sampled_from(["inline", "typed", "named"])):
            case "inline":
                return f"... {self._directive()} {{ {fields} }}"
            case "typed":
                return f"... on {type_name} {self._directive()} {{ {fields} }}"
        name = f"F{len(self._fragments)}"
        self._fragments.append(f"fragment {name} on {type_name} {{ {fields} }}")
        return f"...{name} {self._directive()}"

    def _directive(self) -> str:
        if not self._chance(3):
            return ""
        name = self._draw(st.sampled_from(["skip", "include"]))
        value = self._draw(st.booleans())
        if self._chance(2):
            return f"@{name}(if: {str(value).lower()})"
        return f"@{name}(if: {self._variable('Boolean!', value)})"

    def _field(self, name: str, definition: GraphQLField, depth: int) -> str:
        # Every field has a key of its own: the same key with other arguments would be a conflict.
        self._keys += 1
        key = f"{name}_{self._keys}"
        named = [name for name, one in definition.args.items() if is_required_argument(one) or self._chance(2)]
        arguments = [
            f"{argument}: {self._argument(f'{name}.{argument}', definition.args[argument])}"
            for argument in _one_way(named)
        ]
        given = f"({', '.join(arguments)})" if arguments else ""
        inner = get_named_type(definition.type)
        selection = self._selection(inner, depth + 1) if not is_leaf_type(inner) else ""
        return f"{key}: {name}{given} {self._directive()} {selection}"

    def _argument(self, name: str, argument: GraphQLArgument) -> str:
        value = self._value(name, argument.type)
        is_odd = not str(value).isprintable() or "\\x" in str(value)  # no document may hold it
        if is_odd or self._chance(2):
            return self._variable(str(argument.type), value)
        return _literal(value, argument.type)

    def _variable(self, type_text: str, value: Any) -> str:
        name = f"v{len(self._declared)}"
        self._declared.append(f"${name}: {type_text}")
        self._variables[name] = value
        return f"${name}"

    def _value(self, name: str, type_: Any) -> Any:
        if isinstance(type_, GraphQLNonNull):
            return self._present(name, type_.of_type)
        return None if self._chance(4) else self._present(name, type_)

    def _present(self, name: str, type_: Any) -> Any:
        for known in (name, getattr(type_, "name", ""), name.rpartition(".")[2]):
            if known in self._given.values:
                return self._draw(st.sampled_from(self._given.values[known]))
        if isinstance(type_, GraphQLList):
            return [self._value(name, type_.of_type)]
        if isinstance(type_, GraphQLEnumType):
            return self._draw(st.sampled_from(sorted(type_.values)))
        if isinstance(type_, GraphQLInputObjectType):
            return {
                field_name: self._value(field_name, one.type)
                for field_name, one in type_.fields.items()
                if isinstance(one.type, GraphQLNonNull) or self._chance(2)
            }
        if type_.name == "Boolean":
            return self._draw(st.booleans())
        raise AssertionError(f"no value is given for {name}: {type_}")


def _one_way(names: list[str]) -> list[str]:
    """Of arguments that are refused together those of one direction, or of one way to name an account."""
    unwanted = {"last", "before"} if set(names) & {"first", "after"} else set()
    unwanted |= {"username"} if "id" in names else set()
    return [name for name in names if name not in unwanted]


def _literal(value: Any, type_: Any) -> str:
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            members = (f"{name}: {_literal(one, type_.fields[name].type)}" for name, one in value.items())
            return "{" + ", ".join(members) + "}"
        case list():
            return "[" + ", ".join(_literal(one, type_.of_type) for one in value) + "]"
        case str() if isinstance(type_, GraphQLEnumType):
            return value
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
