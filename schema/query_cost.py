"""What an operation may cost, in nodes: how many objects it asks for at most, worked out before it is executed.

- An object counts one; numbers, texts and introspection are free.
- A connection counts its page (``first`` or ``last``, 20 by default) times what one entry costs. `nodes` and `edges`
  are the same entries: both together count once, and each counts what is asked of it.
- A plain list counts as `schema.field_costs` estimates it, or as long as the list in ``input`` that it answers.
- A mutation costs ten, and what is asked of its payload. Of a subscription it is the cost of one event.

Everything is worked out once for a document, but for what depends on its variables: that is left as a function of
them. Sizes that a resolver refuses anyway count as the largest page, so that it can say what is wrong with them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import not_
from typing import Any, NamedTuple, cast

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    value_from_ast_untyped,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.type import is_abstract_type, is_composite_type

from resolvers.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

# The variables of a request, as they were sent.
Variables = Mapping[str, Any]
# A value, or where variables decide, the way to work it out. No value of a document can be called.
Known = Any | Callable[[Variables], Any]
Cost = int | Callable[[Variables], int]

MUTATION_NODES = 10
_CONNECTION_FIELDS = {"edges", "nodes", "pageInfo"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCost:
    """How a field's cost departs from the rule, in nodes.

    ``once``: besides, however many objects come of it. ``each``: of an object, what it is asked for apart.
    ``list_size``: how many objects a plain list is taken for; with ``input_list``, the most that a list of this name
    in the mutation's ``input`` makes of it. ``page_size_max``: the largest page of a connection. ``arguments``: once,
    for each of these arguments that is given.
    """

    once: int = 0
    each: int = 1
    list_size: int = 1
    input_list: str | None = None
    page_size_max: int = PAGE_SIZE_MAX
    arguments: Mapping[str, int] = field(default_factory=dict)


def cost_of_operation(
    schema: GraphQLSchema,
    definition: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDetails],
    field_costs: Mapping[str, FieldCost],
) -> Cost:
    """The cost of an operation of a valid document. ``field_costs`` has what departs from the rule, by `Type.field`."""
    root = schema.get_root_type(definition.operation)
    assert root is not None, "validation has found the operation's fields"
    return _Costing(schema, definition, fragments, field_costs).of_selections(
        [_Selected((), definition.selection_set)], root, None
    )


def evaluated(cost: Cost, variables: Variables) -> int:
    """The cost of one request."""
    return cost(variables) if callable(cost) else cost


class _Selected(NamedTuple):
    """A selection set and what must be true for it to be asked for: values of @include, denied ones of @skip."""

    conditions: tuple[Known, ...]
    selection_set: SelectionSetNode


class _Asked(NamedTuple):
    """A field and what must be true for it to be asked for."""

    conditions: tuple[Known, ...]
    node: FieldNode


class _Costing:
    """Goes through one operation as graphql-core's executor would: fields of the same response key are one."""

    def __init__(
        self,
        schema: GraphQLSchema,
        definition: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDetails],
        field_costs: Mapping[str, FieldCost],
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._field_costs = field_costs
        self._defaults = {
            node.variable.name.value: value_from_ast_untyped(node.default_value)
            for node in definition.variable_definitions or ()
            if node.default_value is not None
        }

    def of_selections(self, selected: Iterable[_Selected], type_: GraphQLNamedType, above: FieldNode | None) -> Cost:
        """What is asked of one object; ``above`` is the field that it is the answer to."""
        if is_abstract_type(type_):
            types = self._schema.get_possible_types(type_)
            return _lifted(max, *(self.of_selections(selected, possible, above) for possible in types))
        assert isinstance(type_, GraphQLObjectType)
        return _sum(self._of_field(asked, type_, above) for asked in self._fields(selected, type_).values())

    def _of_field(self, asked: list[_Asked], type_: GraphQLObjectType, above: FieldNode | None) -> Cost:
        node = asked[0].node
        name = node.name.value
        if name.startswith("__"):
            return 0
        answer = get_named_type(type_.fields[name].type)
        rule = self._field_costs.get(f"{type_.name}.{name}", _RULE)
        once: list[Cost] = [rule.once, MUTATION_NODES if type_ is self._schema.mutation_type else 0]
        once += [
            _lifted(lambda given, nodes=nodes: 0 if given is None else nodes, self._argument(node, argument))
            for argument, nodes in rule.arguments.items()
        ]
        inner = _inner(asked)
        objects: Cost = 0
        if isinstance(answer, GraphQLObjectType) and answer.fields.keys() >= _CONNECTION_FIELDS:
            size = _lifted(
                partial(_page_size, rule.page_size_max), self._argument(node, "first"), self._argument(node, "last")
            )
            objects = _product(size, self._of_entry(inner, answer, rule))
        elif is_composite_type(answer):
            count: Cost = rule.list_size
            if rule.input_list is not None and above is not None:
                count = _lifted(partial(_list_length, rule.list_size), self._in_input(above, rule.input_list))
            each = 0 if type_ is self._schema.mutation_type else rule.each
            objects = _product(count, _sum([each, self.of_selections(inner, answer, node)]))
        return _where(asked, _sum([*once, objects]))

    def _of_entry(self, selected: Iterable[_Selected], connection: GraphQLObjectType, rule: FieldCost) -> Cost:
        """One entry of a page. A list of them that is there twice, under two aliases, counts twice."""
        lists = self._fields(selected, connection).values()
        entry = get_named_type(connection.fields["nodes"].type)
        of_nodes = [
            _where(asked, self.of_selections(_inner(asked), entry, None)) for asked in lists if _name(asked) == "nodes"
        ]
        of_edges = []
        edge = cast("GraphQLObjectType", get_named_type(connection.fields["edges"].type))
        for edges in (asked for asked in lists if _name(asked) == "edges"):
            of_edges += [
                _where(edges, _where(asked, self.of_selections(_inner(asked), entry, None)))
                for asked in self._fields(_inner(edges), edge).values()
                if _name(asked) == "node"
            ]
        return _sum([rule.each * max(len(of_nodes), len(of_edges), 1), *of_nodes, *of_edges])

    def _fields(self, selected: Iterable[_Selected], type_: GraphQLObjectType) -> dict[str, list[_Asked]]:
        """The fields asked of an object of this type, by response key."""
        fields: dict[str, list[_Asked]] = {}
        for conditions, selection_set in selected:
            self._collect(conditions, selection_set, type_, fields)
        return fields

    def _collect(
        self,
        above: tuple[Known, ...],
        selection_set: SelectionSetNode,
        type_: GraphQLObjectType,
        fields: dict[str, list[_Asked]],
    ) -> None:
        for selection in selection_set.selections:
            conditions = (*above, *self._conditions(selection))
            if not all(conditions):  # one is known to be false; those that have to be worked out are true here
                continue
            if isinstance(selection, FieldNode):
                key = selection.alias or selection.name
                fields.setdefault(key.value, []).append(_Asked(conditions, selection))
                continue
            fragment: Any = selection
            if isinstance(selection, FragmentSpreadNode):
                fragment = self._fragments[selection.name.value].definition
            if self._is_met(fragment, type_):
                self._collect(conditions, fragment.selection_set, type_, fields)

    def _conditions(self, selection: Any) -> list[Known]:
        conditions = []
        for directive in selection.directives or ():
            if directive.name.value in ("include", "skip"):
                value = self._value(directive.arguments[0].value)
                conditions.append(_lifted(not_, value) if directive.name.value == "skip" else value)
        return [condition for condition in conditions if condition is not True]

    def _is_met(self, fragment: Any, type_: GraphQLObjectType) -> bool:
        if fragment.type_condition is None:
            return True
        condition = self._schema.get_type(fragment.type_condition.name.value)
        return condition is type_ or (is_abstract_type(condition) and self._schema.is_sub_type(condition, type_))

    def _argument(self, node: FieldNode, name: str) -> Known:
        return self._value(next((one.value for one in node.arguments or () if one.name.value == name), None))

    def _in_input(self, node: FieldNode, name: str) -> Known:
        """A field of the object that is a mutation's ``input``."""
        value = next((one.value for one in node.arguments or () if one.name.value == "input"), None)
        if isinstance(value, ObjectValueNode):
            return self._value(next((one.value for one in value.fields if one.name.value == name), None))
        return _lifted(lambda given: given.get(name) if isinstance(given, dict) else None, self._value(value))

    def _value(self, node: ValueNode | None) -> Known:
        if node is None:
            return None
        if isinstance(node, VariableNode):
            name = node.name.value
            default = self._defaults.get(name)
            return lambda variables: variables.get(name, default)
        return value_from_ast_untyped(node)


_RULE = FieldCost()


def _name(asked: list[_Asked]) -> str:
    return asked[0].node.name.value


def _inner(asked: list[_Asked]) -> list[_Selected]:
    """What is asked of a field's answer. Of a lone field its own conditions are known to be true by then."""
    return [
        _Selected(() if len(asked) == 1 else conditions, node.selection_set)
        for conditions, node in asked
        if node.selection_set is not None
    ]


def _page_size(most: int, first: Any, last: Any) -> int:
    size = last if first is None else first
    if size is None:
        return min(PAGE_SIZE_DEFAULT, most)
    return int(size) if size in range(most + 1) else most  # JSON's 3.0 is a whole number too


def _list_length(most: int, value: Any) -> int:
    return min(len(value), most) if isinstance(value, list) else 1


def _where(asked: list[_Asked], cost: Cost) -> Cost:
    """The cost, if the field is asked for at all."""
    if not all(one.conditions for one in asked):
        return cost

    def is_asked(variables: Variables) -> bool:
        return any(all(condition(variables) for condition in one.conditions) for one in asked)

    return lambda variables: evaluated(cost, variables) if is_asked(variables) else 0


def _sum(costs: Iterable[Cost]) -> Cost:
    """The sum; what is known of it is added up here and now."""
    known = 0
    open_ones = []
    for cost in costs:
        if callable(cost):
            open_ones.append(cost)
        else:
            known += cost
    if not open_ones:
        return known
    return lambda variables: known + sum([cost(variables) for cost in open_ones])


def _product(count: Cost, each: Cost) -> Cost:
    return cast("Cost", _lifted(int.__mul__, count, each))


def _lifted(function: Callable[..., Any], *values: Known) -> Known:
    """``function`` of the values: at once where all are known."""
    if not any(map(callable, values)):
        return function(*values)
    return lambda variables: function(*[value(variables) if callable(value) else value for value in values])
