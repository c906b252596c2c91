"""Events of `balanceChanged` as text, made once for all who ask the same of the same state.

To execute an event costs a hundred microseconds or more for each subscriber, and every time it comes to the same. So
what a subscription selects is worked out once, when it begins, from graphql-core's own reading of the selection
(aliases, fragments, directives): a writer, which makes of each event the very text that executing it would come to.
Subscriptions that select the same share a writer, and all who are told of one state share its text.

A writer knows fields that are plain attributes of what an event carries, at any depth. Where a subscription asks for
more (an account's customers, its parent), and where anything goes wrong, the event is executed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from operator import attrgetter, call
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import orjson
from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    is_enum_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet, collect_fields
from strawberry.types.field import StrawberryField

from resolvers.balance_state import BalanceState
from schema.account import Account
from schema.node import global_id

# What stands in the text, and the attributes whose JSON does: the same for two selections that come to the same.
_Shape = tuple["str | _Field", ...]

# What every state knows of its account without a look at the database, by its place in a
# `_WithRow`: where it is found in the state, and what makes the text of it.
_KNOWN: dict[str, tuple[str, Callable[[Any], str]]] = {
    "account.id": ("account.id", partial(global_id, "Account")),
    "account.username": ("account.username", lambda username: _json(username)),
    "account.depth": ("account.path", lambda path: str(len(path) - 1)),
}

# Leaves whose texts hold nothing that JSON would write otherwise: they stand between quotes as they are. An ID here is
# a global one, in base64.
_PLAIN_TEXTS = {"Money", "DateTime", "ID"}


class _Field(NamedTuple):
    """Where the value of a field is found in a `_WithRow`, and its type: a leaf, or a list of leaves."""

    attribute: str
    type: GraphQLOutputType


class _WithRow(NamedTuple):
    """What is written from where that is more than every state knows."""

    state: BalanceState
    account: Account


class _CannotWrite(Exception):
    """A selection holds a field that only executing it can answer."""


class EventWriter:
    """Writes events of one shape. Raises: _CannotWrite."""

    __slots__ = ("__weakref__", "_needs_row", "_template", "_texts", "_values")

    def __init__(self, shape: _Shape) -> None:
        named = {part.attribute for part in shape if isinstance(part, _Field)}
        self._needs_row = any(name.startswith("account.") and name not in _KNOWN for name in named)
        template: list[str] = []
        attributes: list[str] = []
        texts: list[Callable[[Any], str]] = []
        for part in shape:
            if isinstance(part, _Field):
                slot, text = _text(part.type)
                attribute = part.attribute
                if not self._needs_row:
                    attribute, text = _KNOWN.get(attribute, (attribute.removeprefix("state."), text))
                template.append(slot)
                attributes.append(attribute)
                texts.append(text)
            else:
                template.append(part.replace("%", "%%"))
        self._template = "".join(template)
        self._values = _all_of(attributes)
        self._texts = texts

    def at_once(self, state: BalanceState) -> str | None:
        """The text, unless it needs a look at the database first: then None. Raises: as `write`."""
        text = state.texts.get(self)
        if text is None and not self._needs_row:
            text = state.texts[self] = self._written(state)
        return text

    async def write(self, state: BalanceState) -> str:
        """The text of the whole result, ``{"data": ...}``. Raises: whatever went wrong; then execute the event."""
        row = await state.account_row()
        # Meanwhile another subscriber may have had it written.
        text = state.texts.get(self)
        if text is None:
            text = state.texts[self] = self._written(_WithRow(state, Account.of(row)))
        return text

    def _written(self, event: BalanceState | _WithRow) -> str:
        # No step of ours for each field: what runs a few times a second runs cold, and each costs a microsecond.
        return self._template % tuple(map(call, self._texts, self._values(event)))


class EventWriters:
    """The writers that subscriptions hold at present, by what they write."""

    def __init__(self) -> None:
        self._writers: WeakValueDictionary[_Shape, EventWriter] = WeakValueDictionary()

    def writer(self, executor: Executor[Any], extensions: Mapping[str, Any] | None = None) -> EventWriter | None:
        """The writer for a subscription's events, with ``extensions`` in each; None where they have to be executed."""
        root = executor.schema.subscription_type
        assert root is not None, "a subscription was validated"
        fields = collect_fields(
            executor.schema, executor.fragments, executor.variable_values, root, executor.operation
        ).grouped_field_set
        ((key, details),) = fields.items()
        type_ = _nullable(root.fields[details[0].node.name.value].type)
        if not isinstance(type_, GraphQLObjectType) or type_.name != "BalanceChange":
            return None
        selection = _Selection(executor)
        end = "}}" if extensions is None else f'}},"extensions":{_json(extensions)}}}'
        fields = executor.collect_subfields(type_, details).grouped_field_set
        try:
            shape = (f'{{"data":{{{_json(key)}:', *selection.object(type_, fields, "state."), end)
            writer = self._writers.get(shape) or EventWriter(shape)
        except _CannotWrite:
            return None
        self._writers[shape] = writer
        return writer


class _Selection:
    """Reads one subscription's selection."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor

    def object(self, type_: GraphQLObjectType, fields: GroupedFieldSet, place: str) -> Iterator[str | _Field]:
        """How an object of the type is written that stands at ``place`` in a `_WithRow`. Raises: _CannotWrite."""
        opening = "{"
        for key, details in fields.items():
            yield f"{opening}{_json(key)}:"
            opening = ","
            yield from self._value(type_, details, place)
        yield "{}" if opening == "{" else "}"

    def _value(self, type_: GraphQLObjectType, details: FieldDetailsList, place: str) -> Iterator[str | _Field]:
        name = details[0].node.name.value
        if (constant := self._constant(type_, name)) is not None:
            yield _json(constant)
            return
        attribute = self._attribute(type_, name, place)
        value_type = type_.fields[name].type
        if is_non_null_type(value_type) and is_object_type(value_type.of_type):
            inner = self._executor.collect_subfields(value_type.of_type, details).grouped_field_set
            yield from self.object(value_type.of_type, inner, f"{attribute}.")
        else:
            yield _Field(attribute, value_type)

    def _constant(self, type_: GraphQLObjectType, name: str) -> str | None:
        if name == "__typename":
            return type_.name
        if type_.name == "Account" and name == "currency":
            currency: str = self._executor.context_value.services.rules.currency
            return currency
        return None

    def _attribute(self, type_: GraphQLObjectType, name: str, place: str) -> str:
        """Where the value of a field is found in a `_WithRow`."""
        if type_.name == "BalanceChange" and name == "account":
            return "account"
        field = type_.fields[name].extensions.get("strawberry-definition")
        if not isinstance(field, StrawberryField) or not field.is_basic_field:
            raise _CannotWrite
        return place + field.python_name


def _all_of(attributes: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    """What reads all of these attributes."""
    if len(attributes) > 1:
        return attrgetter(*attributes)
    each = [attrgetter(attribute) for attribute in attributes]
    return lambda event: [get(event) for get in each]


def _text(type_: GraphQLOutputType) -> tuple[str, Callable[[Any], str]]:
    """The JSON of a value of the type: what stands around it, and what makes it, or raises where there has to be one.

    Raises: _CannotWrite.
    """
    if is_non_null_type(type_):
        return _text_of_some(type_.of_type)
    # There are no quotes around null.
    return "%s", partial(_text_or_null, *_text_of_some(type_))


def _text_of_some(type_: GraphQLOutputType) -> tuple[str, Callable[[Any], str]]:
    if is_enum_type(type_):
        return '"%s"', cache(type_.coerce_output_value)
    if is_leaf_type(type_):
        complete = type_.coerce_output_value
        if type_.name not in _PLAIN_TEXTS:
            return "%s", lambda value: _json(complete(value))
        # All states of one read were read at one instant.
        return '"%s"', lru_cache(maxsize=1)(complete) if type_.name == "DateTime" else complete
    if is_list_type(type_):
        slot, text = _text(type_.of_type)
        return "[%s]", lambda values: ",".join([slot % text(value) for value in values])
    raise _CannotWrite


def _text_or_null(slot: str, text: Callable[[Any], str], value: Any) -> str:
    return "null" if value is None else slot % text(value)


def _nullable(type_: GraphQLOutputType) -> GraphQLOutputType:
    return type_.of_type if is_non_null_type(type_) else type_


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
