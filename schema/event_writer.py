"""Events of `balanceChanged` as text, made once for all who ask the same of the same state.

To execute an event costs a hundred microseconds or more for each subscriber, and every time it comes to the same. So
what a subscription selects is worked out once, when it begins, from graphql-core's own reading of the selection
(aliases, fragments, directives): a writer, which makes of each event the very text that executing it would come to.
Subscriptions that select the same share a writer, and all who are told of one state share its text.

A writer knows fields that are plain attributes of what an event carries, at any depth. Where a subscription asks for
more (an account's customers, its parent), and where anything goes wrong, the event is executed.
"""

from collections.abc import Callable
from functools import cache
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

# What a selection comes to: the same for two selections whose events are the same text.
_Shape = tuple[Any, ...]
# From the object that has the field to what stands for the field in JSON.
_Read = Callable[[Any], Any]


class _Event(NamedTuple):
    """What a writer reads from. ``account`` is the whole account, or what never changes of it."""

    change: BalanceChange
    account: "Account | _KnownAccount"


class _KnownAccount(NamedTuple):
    """What every state knows of its account, without a look at the database. The names are those of `Account`."""

    id: strawberry.ID
    username: str
    depth: int


class _CannotWrite(Exception):
    """A selection holds a field that only executing it can answer."""


class EventWriter:
    """Writes events of one selection. ``needs_row``: it shows more of the account than never changes."""

    __slots__ = ("__weakref__", "_needs_row", "_read")

    def __init__(self, read: _Read, *, needs_row: bool) -> None:
        self._read = read
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
        text = orjson.dumps({"data": self._read(event)}).decode()
        event.change.texts[self] = text
        return text


class EventWriters:
    """The writers that subscriptions hold at present, by what they write."""

    def __init__(self) -> None:
        self._writers: WeakValueDictionary[_Shape, EventWriter] = WeakValueDictionary()

    def writer(self, executor: Executor[Any]) -> EventWriter | None:
        """The writer for a subscription's events; None where they have to be executed."""
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
        try:
            shape, read = selection.object(type_, executor.collect_subfields(type_, details).grouped_field_set)
        except _CannotWrite:
            return None
        shape = (key, *shape)
        writer = self._writers.get(shape)
        if writer is None:
            needs_row = not selection.account_names <= set(_KnownAccount._fields)
            writer = EventWriter(lambda event: {key: read(event)}, needs_row=needs_row)
            self._writers[shape] = writer
        return writer


class _Selection:
    """Reads one subscription's selection; ``account_names`` gathers the attributes it shows of accounts."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self.account_names: set[str] = set()

    def object(self, type_: GraphQLObjectType, fields: GroupedFieldSet) -> tuple[_Shape, _Read]:
        """How an object of the type is read. Raises: _CannotWrite."""
        shapes: list[_Shape] = []
        reads: list[tuple[str, _Read]] = []
        for key, details in fields.items():
            name = details[0].node.name.value
            if (constant := self._constant(type_, name)) is not None:
                shapes.append((key, constant))
                reads.append((key, _always(constant)))
                continue
            attribute = self._attribute(type_, name)
            shape, complete = self._complete(type_.fields[name].type, details)
            shapes.append((key, attribute, shape))
            required = is_non_null_type(type_.fields[name].type)
            reads.append((key, _read_value(attrgetter(attribute), complete, required=required)))
        return tuple(shapes), lambda source: {key: read(source) for key, read in reads}

    def _constant(self, type_: GraphQLObjectType, name: str) -> str | None:
        if name == "__typename":
            return type_.name
        if type_.name == "Account" and name == "currency":
            currency: str = self._executor.context_value.services.rules.currency
            return currency
        return None

    def _attribute(self, type_: GraphQLObjectType, name: str) -> str:
        """Where the value of a field is found in its object."""
        if type_.name == "BalanceChange" and name == "account":
            return "account"
        field = type_.fields[name].extensions.get("strawberry-definition")
        if not isinstance(field, StrawberryField) or not field.is_basic_field:
            raise _CannotWrite
        if type_.name == "Account":
            self.account_names.add(field.python_name)
        return f"change.{field.python_name}" if type_.name == "BalanceChange" else field.python_name

    def _complete(self, type_: GraphQLOutputType, details: FieldDetailsList) -> tuple[_Shape, _Read]:
        """What becomes of a value of the type that is not None."""
        named = _nullable(type_)
        if is_enum_type(named):
            return (), cache(named.coerce_output_value)
        if is_leaf_type(named):
            return (), named.coerce_output_value
        if is_list_type(named):
            shape, complete = self._complete(named.of_type, details)
            item = _read_value(_itself, complete, required=is_non_null_type(named.of_type))
            return shape, lambda values: list(map(item, values))
        if is_object_type(named):
            return self.object(named, self._executor.collect_subfields(named, details).grouped_field_set)
        raise _CannotWrite


def _nullable(type_: GraphQLOutputType) -> GraphQLOutputType:
    return type_.of_type if is_non_null_type(type_) else type_


def _always(value: str) -> _Read:
    return lambda _: value


def _read_value(get: _Read, complete: _Read, *, required: bool) -> _Read:
    def read(source: Any) -> Any:
        value = get(source)
        if value is not None:
            return complete(value)
        if required:
            raise ValueError("a value that cannot be null is missing: executing the event says so properly")
        return None

    return read


def _itself(value: Any) -> Any:
    return value
