"""Events of `balanceChanged` as text, made once for all who ask the same of the same state.

To execute an event costs a hundred microseconds or more for each subscriber, and every time it comes to the same. So
what a subscription selects is worked out once, when it begins, from graphql-core's own reading of the selection
(aliases, fragments, directives): a writer, which makes of each event the very text that executing it would come to.
Subscriptions that select the same share a writer, and all who are told of one state share its text.

A writer knows fields that are plain attributes of what an event carries, at any depth. Where a subscription asks for
more (an account's customers, its parent), and where anything goes wrong, the event is executed.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import orjson
import strawberry
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

from schema.account import Account
from schema.balance_subscription import BalanceChange
from schema.node import global_id

# What stands in the text, and the attributes whose JSON does: the same for two selections that come to the same.
_Shape = tuple["str | _Field", ...]


class _Event(NamedTuple):
    """What a writer reads from. ``account`` is the whole account, or what never changes of it."""

    change: BalanceChange
    account: "Account | _KnownAccount"


class _KnownAccount(NamedTuple):
    """What every state knows of its account, without a look at the database. The names are those of `Account`."""

    id: strawberry.ID
    username: str
    depth: int


class _Field(NamedTuple):
    """Where the value of a field is found in an `_Event`, and its GraphQL type: a leaf, or a list of leaves."""

    attribute: str
    type: GraphQLOutputType


class _Read(NamedTuple):
    """How the value of a field is got from an `_Event`, what becomes of it, and whether there has to be one."""

    get: Callable[["_Event"], Any]
    complete: Callable[[Any], Any]
    required: bool


class _CannotWrite(Exception):
    """A selection holds a field that only executing it can answer."""


class EventWriter:
    """Writes events of one shape. ``needs_row``: it shows more of the account than never changes.

    Raises: _CannotWrite.
    """

    __slots__ = ("__weakref__", "_needs_row", "_reads", "_template")

    def __init__(self, shape: _Shape, *, needs_row: bool) -> None:
        self._template = "".join("%s" if isinstance(part, _Field) else part.replace("%", "%%") for part in shape)
        self._reads = tuple(_read(part) for part in shape if isinstance(part, _Field))
        self._needs_row = needs_row

    def at_once(self, change: BalanceChange) -> str | None:
        """The text, unless it needs a look at the database first: then None. Raises: as `write`."""
        text = change.texts.get(self)
        if text is None and not self._needs_row:
            known = change.state.account
            account = _KnownAccount(global_id("Account", known.id), known.username, len(known.path) - 1)
            text = self._written(_Event(change, account))
        return text

    async def write(self, change: BalanceChange) -> str:
        """The text of the whole result, ``{"data": ...}``. Raises: whatever went wrong; then execute the event."""
        row = await change.state.account_row()
        # Meanwhile another subscriber may have had it written.
        return change.texts.get(self) or self._written(_Event(change, Account.of(row)))

    def _written(self, event: _Event) -> str:
        values = []
        # Not a function for each field: what runs a few times a second runs cold, and each costs a microsecond.
        for get, complete, required in self._reads:
            value = get(event)
            if value is not None:
                values.append(_json(complete(value)))
            elif required:
                raise ValueError("a value that cannot be null is missing: executing the event says so properly")
            else:
                values.append("null")
        text = self._template % tuple(values)
        event.change.texts[self] = text
        return text


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
            shape = (f'{{"data":{{{_json(key)}:', *selection.object(type_, fields, "change."), end)
            needs_row = not selection.account_names <= set(_KnownAccount._fields)
            writer = self._writers.get(shape) or EventWriter(shape, needs_row=needs_row)
        except _CannotWrite:
            return None
        self._writers[shape] = writer
        return writer


class _Selection:
    """Reads one subscription's selection; ``account_names`` gathers the attributes it shows of accounts."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self.account_names: set[str] = set()

    def object(self, type_: GraphQLObjectType, fields: GroupedFieldSet, place: str) -> Iterator[str | _Field]:
        """How an object of the type is written that stands at ``place`` in an `_Event`. Raises: _CannotWrite."""
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
        """Where the value of a field is found in an `_Event`."""
        if type_.name == "BalanceChange" and name == "account":
            return "account"
        field = type_.fields[name].extensions.get("strawberry-definition")
        if not isinstance(field, StrawberryField) or not field.is_basic_field:
            raise _CannotWrite
        if type_.name == "Account":
            self.account_names.add(field.python_name)
        return place + field.python_name


def _read(field: _Field) -> _Read:
    return _Read(attrgetter(field.attribute), _completed(_nullable(field.type)), is_non_null_type(field.type))


def _completed(type_: GraphQLOutputType) -> Callable[[Any], Any]:
    """What becomes of a value of the type that is not None. Raises: _CannotWrite."""
    if is_enum_type(type_):
        return cache(type_.coerce_output_value)
    if is_leaf_type(type_):
        # All states of one read were read at one instant.
        return (
            lru_cache(maxsize=1)(type_.coerce_output_value) if type_.name == "DateTime" else type_.coerce_output_value
        )
    if is_list_type(type_) and is_non_null_type(type_.of_type):
        item = _completed(type_.of_type.of_type)
        return lambda values: [item(value) for value in values]
    raise _CannotWrite


def _nullable(type_: GraphQLOutputType) -> GraphQLOutputType:
    return type_.of_type if is_non_null_type(type_) else type_


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
