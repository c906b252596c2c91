"""Queries answered by one statement: a document's fields become SQL once, a request binds its variables and viewer.

What the statement leaves out (see `resolvers.read_table`) the ordinary resolvers answer, field by field, and their
JSON is put in its place. Only answers without any error are made here: whatever goes wrong, or is not sure, is left
to the ordinary execution, which knows what to say.
"""

import asyncio
from collections.abc import Awaitable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import isawaitable
from typing import Any, NamedTuple

import orjson
import structlog
from graphql import GraphQLError, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, Undefined, get_named_type
from graphql.execution.collect_fields import FieldDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, coerce_argument, get_argument_values
from graphql.language import ListValueNode, ObjectValueNode, ValueNode, VariableNode
from graphql.pyutils import Path
from strawberry.schema import Schema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import StrawberryArgument, convert_argument, convert_arguments
from strawberry.types.field import StrawberryField

from billing.tokens import Scope
from models.outage import is_database_outage
from resolvers.context import RequestContext
from resolvers.read_table import CURRENCY, READ_TABLE
from resolvers.request_errors import RequestError
from resolvers.request_values import bindable, parameter_name, values_of, with_parameters
from resolvers.statement import MARK, MARK_KEY, Compiler, Selected, Statement
from resolvers.visibility import STILL_GOOD, viewer_values
from schema.execution import EventExecutor, executor_of
from schema.list_requests import RequestMaker, request_maker
from schema.node import find, findable_kinds
from schema.operation import Operation

log = structlog.get_logger(__name__)

# Larger selections take the ordinary way: to make their statement would hold up everybody else.
_FIELDS_MAX = 400
# Kept for each operation: selections by the variables of @skip and @include, statements by the forms of its requests.
_OUTLINES_MAX = 8
_STATEMENTS_MAX = 16

# The root fields by their keys, each as the JSON it is.
Data = dict[str, orjson.Fragment]


@dataclass(frozen=True, slots=True)
class _Slot:
    """A field with arguments, and how a request is made of them.

    ``constants`` are those that depend on no variable, by their Python names. ``variables`` are those that are just a
    variable; None where there are others, which graphql-core has to work out anew each time.
    """

    details: FieldDetails
    definition: Any
    strawberry_field: StrawberryField
    maker: RequestMaker
    constants: dict[str, Any]
    variables: tuple["_FromVariable", ...] | None


class _Bound(NamedTuple):
    """What the arguments of one slot ask for: the values by their parameters, the form, and all of it."""

    values: dict[str, Any]
    form: Hashable
    request: Any


class _FromVariable(NamedTuple):
    """An argument that is just a variable. Where that is not given, its default is among the constants."""

    argument: StrawberryArgument
    name: str
    variable: str


@dataclass(slots=True)
class _Outline:
    """The fields of an operation, once it is known which of them are included; ``roots`` in their sequence.

    ``bound`` are the slots that ask for the same each time, by their places.
    """

    roots: tuple[Selected, ...]
    slots: tuple[_Slot, ...]
    bound: dict[int, _Bound] = field(default_factory=dict)
    statements: dict[Hashable, Statement | None] = field(default_factory=dict)


class _Ordinary(Exception):
    """This request takes the ordinary way."""


class CompiledReads:
    """Answers the queries of one schema."""

    def __init__(self, strawberry_schema: Schema, schema: GraphQLSchema) -> None:
        self._strawberry = strawberry_schema
        self._schema = schema

    async def data(self, operation: Operation, variables: VariableValues, context: RequestContext) -> Data | None:
        """``data``; None where the ordinary execution has to answer. Raises: a database outage."""
        viewer, token_digest = context.viewer, None
        if context.remembered is not None:
            viewer, token_digest = context.remembered.viewer, context.remembered.token_digest
        if viewer is None or Scope.READ not in viewer.scopes:
            return None
        try:
            outline = self._outline(operation, variables)
            if outline is None:
                return None
            values, forms, requests = self._bound(outline, variables)
            statement = _kept_statement(outline, forms, requests)
            if statement is None:
                return None
            values |= {**viewer_values(viewer, token_digest), CURRENCY: context.services.rules.currency}
            arguments = [values.get(name, constant) for name, constant in statement.parameters]
            rows = await context.services.db.read_rows(statement.sql, arguments)
            if not rows:
                return None  # the token is no longer good
            texts = rows[0] if len(rows) == 1 else [_whole(pieces) for pieces in zip(*rows, strict=True)]
            return await self._completed(operation, outline, statement, texts, variables, context)
        except (_Ordinary, RequestError, GraphQLError):
            return None
        except Exception as error:
            if is_database_outage(error):
                raise
            # A mistake of ours; the resolvers know the answer all the same.
            log.error("statement_failed", request_id=context.request_id, exc_info=error)
            return None

    def _outline(self, operation: Operation, variables: VariableValues) -> _Outline | None:
        included = tuple(variables.coerced.get(name) for name in operation.including)
        kept = operation.kept
        if included not in kept:
            if len(kept) >= _OUTLINES_MAX:
                kept.clear()
            kept[included] = _outline_of(self._strawberry, self._schema, operation, variables)
        outline: _Outline | None = kept[included]
        return outline

    def _bound(self, outline: _Outline, variables: VariableValues) -> tuple[dict[str, Any], Hashable, list[Any]]:
        values: dict[str, Any] = {}
        forms: list[Hashable] = []
        requests: list[Any] = []
        for number, slot in enumerate(outline.slots):
            bound = outline.bound.get(number)
            if bound is None:
                bound = self._bound_slot(number, slot, variables)
                if slot.variables == () and slot.maker.lasting:
                    outline.bound[number] = bound
            values |= bound.values
            forms.append(bound.form)
            requests.append(bound.request)
        return values, tuple(forms), requests

    def _bound_slot(self, number: int, slot: _Slot, variables: VariableValues) -> _Bound:
        request = slot.maker.make(**_arguments(self._strawberry, slot, variables))
        found, form = values_of(request)
        values = {parameter_name(number, index): value for index, value in enumerate(bindable(found))}
        return _Bound(values, form, request)

    async def _completed(
        self,
        operation: Operation,
        outline: _Outline,
        statement: Statement,
        texts: Iterable[str],
        variables: VariableValues,
        context: RequestContext,
    ) -> Data:
        """The root fields in their sequence, with what the statement left out."""
        columns = dict(zip(statement.columns, texts, strict=True))
        answers: Mapping[Selected, str | bytes] = columns
        if len(columns) < len(outline.roots) or statement.left_out:
            await context.identify()
            executor = executor_of(self._schema, operation, variables, context)
            waiting: list[Awaitable[str | bytes]] = [
                _filled(columns[root], statement.left_out, executor, context)
                if root in columns
                else _ordinary(executor, root, None)
                for root in outline.roots
            ]
            answers = dict(zip(outline.roots, await asyncio.gather(*waiting), strict=True))
            if executor.collected_errors.errors:
                raise _Ordinary
        # Never joined here: that would copy a long answer once more.
        return {root.key: orjson.Fragment(answers[root]) for root in outline.roots}


def _whole(pieces: Iterable[str | None]) -> str:
    return "".join(piece for piece in pieces if piece is not None)


async def _filled(text: str, left_out: Sequence[Selected], executor: EventExecutor, context: RequestContext) -> str:
    """The text with what the ordinary resolvers answer in place of its marks."""
    pieces = text.split(MARK)
    marks = [_marked(mark, left_out, executor, context) for mark in pieces[1::2]]
    pieces[1::2] = [answer.decode() for answer in await asyncio.gather(*marks)]
    return "".join(pieces)


async def _marked(mark: str, left_out: Sequence[Selected], executor: EventExecutor, context: RequestContext) -> bytes:
    number, _, id_json = mark.partition(MARK_KEY)
    source = await find(context, orjson.loads(id_json))
    if source is None:
        raise _Ordinary  # it went away between the statement and now
    return await _ordinary(executor, left_out[int(number)], source)


async def _ordinary(executor: EventExecutor, selected: Selected, source: Any) -> bytes:
    """The JSON of one field as its resolver answers it."""
    parent_type = executor.schema.type_map[selected.type_name]
    assert isinstance(parent_type, GraphQLObjectType)
    path = Path(None, selected.key, selected.type_name)
    value = executor.execute_field(parent_type, source, selected.node, path, None)
    if isawaitable(value):
        value = await value
    if value is Undefined or executor.collected_errors.errors:
        raise _Ordinary
    return orjson.dumps(value)


def _kept_statement(outline: _Outline, forms: Hashable, requests: Sequence[Any]) -> Statement | None:
    kept = outline.statements
    if forms not in kept:
        if len(kept) >= _STATEMENTS_MAX:
            kept.clear()
        kept[forms] = _statement_of(outline, requests)
    return kept[forms]


def _statement_of(outline: _Outline, requests: Sequence[Any]) -> Statement | None:
    parameterised = [with_parameters(request, slot) for slot, request in enumerate(requests)]
    return Compiler(READ_TABLE, parameterised, findable_kinds(), STILL_GOOD).statement(outline.roots)


def _arguments(strawberry_schema: Schema, slot: _Slot, variables: VariableValues) -> dict[str, Any]:
    """The field's arguments by their Python names, as its resolver would get them. Raises: GraphQLError."""
    converter = strawberry_schema.schema_converter
    if slot.variables is None:
        node, fragment_variables = slot.details.node, slot.details.fragment_variable_values
        given = get_argument_values(slot.definition, node, variables, fragment_variables)
        return convert_arguments(
            given, slot.strawberry_field.arguments, converter.scalar_registry, strawberry_schema.config
        )
    arguments = dict(slot.constants)
    for argument, name, variable in slot.variables:
        if variable in variables.coerced:
            arguments[argument.python_name] = convert_argument(
                variables.coerced[variable],
                argument.type,
                converter.scalar_registry,
                strawberry_schema.config,
                path=(name,),
            )
    return arguments


def _slot_of(strawberry_schema: Schema, details: FieldDetails, definition: Any, maker: RequestMaker) -> _Slot:
    strawberry_field = definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    slot = _Slot(details, definition, strawberry_field, maker, {}, None)
    converter, config = strawberry_schema.schema_converter, strawberry_schema.config
    if details.fragment_variable_values is not None:
        return slot
    by_name = {converter.config.name_converter.from_argument(one): one for one in strawberry_field.arguments}
    nodes = {node.name.value: node for node in details.node.arguments or ()}
    constants: dict[str, Any] = {}
    variables: list[_FromVariable] = []
    for name, definition_ in definition.args.items():
        node = nodes.get(name)
        if node is not None and _has_variable(node.value):
            if not isinstance(node.value, VariableNode) or isinstance(definition_.type, GraphQLNonNull):
                return slot
            variables.append(_FromVariable(by_name[name], name, node.value.name.value))
            node = None
        try:
            coerce_argument(constants, details.node, name, definition_, node, None, None)
        except GraphQLError:
            return slot  # each request meets it again
    known = convert_arguments(constants, strawberry_field.arguments, converter.scalar_registry, config)
    return replace(slot, constants=known, variables=tuple(variables))


def _has_variable(node: ValueNode) -> bool:
    match node:
        case VariableNode():
            return True
        case ListValueNode():
            return any(map(_has_variable, node.values))
        case ObjectValueNode():
            return any(_has_variable(member.value) for member in node.fields)
    return False


def _outline_of(
    strawberry_schema: Schema, schema: GraphQLSchema, operation: Operation, variables: VariableValues
) -> _Outline | None:
    root_type = schema.query_type
    assert root_type is not None
    fragments = dict(operation.fragments)
    slots: list[_Slot] = []
    fields = 0

    def selected(parent: GraphQLObjectType, key: str, details: list[FieldDetails]) -> Selected:
        nonlocal fields
        fields += 1
        name = details[0].node.name.value
        definition = schema.get_field(parent, name)
        assert definition is not None, "the document is valid"
        slot = None
        if definition.args and (maker := request_maker(parent.name, name)) is not None:
            slot = len(slots)
            slots.append(_slot_of(strawberry_schema, details[0], definition, maker))
        inner_type = get_named_type(definition.type)
        inner: list[Selected] = []
        # What the table leaves out is answered as a whole; connections are not in it, but their nodes are.
        is_left_out = name not in READ_TABLE.get(parent.name, (name,))
        if isinstance(inner_type, GraphQLObjectType) and not is_left_out:
            collected = collect_subfields(schema, fragments, variables, operation.definition, inner_type, details)
            inner = [selected(inner_type, *one) for one in collected.grouped_field_set.items()]
        return Selected(key, parent.name, name, slot, tuple(inner), details)

    roots = collect_fields(schema, fragments, variables, root_type, operation.definition).grouped_field_set
    outline = _Outline(tuple(selected(root_type, *root) for root in roots.items()), tuple(slots))
    return outline if fields <= _FIELDS_MAX else None
