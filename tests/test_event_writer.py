"""Events that are written instead of executed: the bytes are the same, and they are made once for all who ask alike."""

import asyncio
import gc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import GraphQLError
from graphql.execution import execute_subscription_event
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.types.execution import ExecutionResult

from resolvers.account_directory import AccountRef
from resolvers.accounts import AccountRow
from resolvers.balance_state import BalanceState, LiveCause
from resolvers.context import RequestContext, Rules
from schema.assembled import schema
from schema.event_writer import EventWriter, EventWriters
from schema.execution import EventExecutor
from server.graphql_answer import encoded

CHANGE_FIELDS = ("balance", "held", "available", "version", "cause", "at", "__typename")
ADDRESS_FIELDS = ("line1", "line2", "postalCode", "city", "country", "__typename")
ACCOUNT_FIELDS = (
    *("id", "username", "depth", "isReseller", "heldToOwnCredit", "blocked", "balance", "held", "available"),
    *("creditLimit", "version", "emailAddress", "telephoneNumbers", "otherDetails", "createdAt", "currency"),
    "__typename",
)
FIELDS = {"BalanceChange": CHANGE_FIELDS, "Account": ACCOUNT_FIELDS, "Address": ADDRESS_FIELDS}
OBJECTS = {"BalanceChange": {"account": "Account"}, "Account": {"address": "Address"}, "Address": {}}

# Only the rules are asked by what is selected here.
CONTEXT = RequestContext(services=SimpleNamespace(rules=Rules(currency="EUR")))  # type: ignore[arg-type]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
units = st.integers(-9 * 10**18, 9 * 10**18)
moments = st.integers(0, 4 * 10**15).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))


class Document:
    """One random document; its fragments are gathered while its selections are drawn."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw
        self._fragments: list[str] = []
        self.variables = {"yes": True, "no": False, "either": draw(st.booleans())}
        selections = self._selections("BalanceChange", depth=0)
        alias = draw(st.sampled_from(["", "", "change: "]))
        body = f"{{ {alias}balanceChanged {selections} }} {' '.join(self._fragments)}"
        self.variables = {name: value for name, value in self.variables.items() if f"${name}" in body}
        declared = ", ".join(f"${name}: Boolean!" for name in self.variables)
        self.text = f"subscription {f'({declared})' if declared else ''} {body}"

    def _selections(self, type_name: str, *, depth: int) -> str:
        count = self._draw(st.integers(1, 5))
        return f"{{ {' '.join(self._selection(type_name, depth=depth) for _ in range(count))} }}"

    def _selection(self, type_name: str, *, depth: int) -> str:
        kind = self._draw(st.sampled_from(["field", "field", "object", "inline", "spread"]))
        if kind == "object" and OBJECTS[type_name]:
            name, inner = self._draw(st.sampled_from(sorted(OBJECTS[type_name].items())))
            return f"{self._alias(name)}{name} {self._directives()} {self._selections(inner, depth=depth + 1)}"
        if kind == "inline" and depth < 3:
            condition = self._draw(st.sampled_from(["", f"on {type_name}"]))
            return f"... {condition} {self._directives()} {self._selections(type_name, depth=depth + 1)}"
        if kind == "spread" and depth < 3:
            selections = self._selections(type_name, depth=depth + 1)
            name = f"fragment{len(self._fragments)}"
            self._fragments.append(f"fragment {name} on {type_name} {selections}")
            return f"...{name} {self._directives()}"
        name = self._draw(st.sampled_from(FIELDS[type_name]))
        return f"{self._alias(name)}{name} {self._directives()}"

    def _alias(self, name: str) -> str:
        # One that belongs to the field, so that no two fields are given the same.
        return self._draw(st.sampled_from(["", "", f"a{name}: ", f"b{name}: "]))

    def _directives(self) -> str:
        value = self._draw(st.sampled_from(["true", "false", "$yes", "$no", "$either"]))
        return self._draw(st.sampled_from(["", "", "", f"@include(if: {value})", f"@skip(if: {value})"]))


@st.composite
def documents(draw: Any) -> Document:
    return Document(draw)


@st.composite
def rows(draw: Any) -> AccountRow:
    maybe = st.none() | texts
    path = tuple(range(1, draw(st.integers(2, 8))))
    return AccountRow(
        id=path[-1],
        username=draw(texts),
        parent_id=None,
        path=path,
        is_reseller=draw(st.booleans()),
        credit_within_own=draw(st.booleans()),
        email_address=draw(maybe),
        address_line1=draw(maybe),
        address_line2=draw(maybe),
        postal_code=draw(maybe),
        city=draw(maybe),
        country=draw(maybe),
        telephone_numbers=tuple(draw(st.lists(texts, max_size=3))),
        other_details=draw(maybe),
        created_at=draw(moments),
        balance_units=draw(units),
        held_units=draw(units),
        credit_limit_units=draw(st.none() | units),
        rate_list_id=1,
        version=draw(st.integers(0, 2**53 - 1)),
        blocked_ids=draw(st.sampled_from([(), path])),
    )


def state_of(row: AccountRow, *, at: datetime, cause: LiveCause = LiveCause.CALL) -> BalanceState:
    """How the account stands by the row."""

    async def load_row(account_id: int) -> AccountRow:
        assert account_id == row.id
        return row

    account = AccountRef(row.id, row.username, row.path)
    return BalanceState(
        account, row.balance_units, row.held_units, row.credit_limit_units, row.version, at, cause, load_row
    )


def executor_of(text: str, variables: dict[str, Any] | None = None) -> EventExecutor:
    operation = schema.prepare(text)
    executor = EventExecutor.build(schema._schema, operation.document, None, CONTEXT, variables, operation.name)
    assert isinstance(executor, EventExecutor), executor
    return executor


async def executed(executor: EventExecutor, state: BalanceState) -> bytes:
    result = execute_subscription_event(executor.build_per_event_executor(state))
    if isawaitable(result):
        result = await result
    assert result.errors is None
    return encoded(ExecutionResult(data=result.data, errors=None), "")


async def written(writer: EventWriter, state: BalanceState) -> bytes:
    return (writer.at_once(state) or await writer.write(state)).encode()


@settings(max_examples=150, deadline=None)
@given(documents(), rows(), moments, st.sampled_from(LiveCause))
def test_what_is_written_is_what_executing_the_event_gives(
    document: Document, row: AccountRow, at: datetime, cause: LiveCause
) -> None:
    async def both() -> tuple[bytes, bytes]:
        executor = executor_of(document.text, document.variables)
        writer = EventWriters().writer(executor)
        assert writer is not None
        state = state_of(row, at=at, cause=cause)
        return await written(writer, state), await executed(executor, state)

    was_written, was_executed = asyncio.run(both())
    assert was_written == was_executed


@pytest.mark.parametrize(
    "selection",
    [
        *("parent { id }", "path { id }", "blockedBy { id }", "customerCount", "rateList { name }"),
        *(
            "customers { nodes { id } }",
            "calls { nodes { callId } }",
            "usage { calls }",
            "address { city } holds { nodes { callId } }",
        ),
    ],
)
def test_what_only_a_resolver_knows_is_executed(selection: str) -> None:
    executor = executor_of(f"subscription {{ balanceChanged {{ balance account {{ id {selection} }} }} }}")
    assert EventWriters().writer(executor) is None


def test_other_subscriptions_are_executed() -> None:
    assert EventWriters().writer(executor_of("subscription { balanceLow { available } }")) is None


ROW = AccountRow(
    *(4, "keytyh*good", 3, (1, 2, 3, 4), False, False, None, None, None, None, None, None, ()),
    *(None, datetime(2026, 1, 31, tzinfo=UTC), 925_000, 0, 0, 1, 7, ()),
)


async def test_the_same_selection_shares_a_writer_however_it_is_said_and_another_does_not() -> None:
    writers = EventWriters()
    one = writers.writer(executor_of("subscription { balanceChanged { balance account { id } } }"))
    same = writers.writer(
        executor_of(
            "subscription S($all: Boolean!) { balanceChanged(includeDescendants: true) "
            "{ ...F version @include(if: $all) account { id } } } fragment F on BalanceChange { balance }",
            {"all": False},
        )
    )
    assert one is same is not None
    others = [
        writers.writer(executor_of(f"subscription {{ {text} }}"))
        for text in (
            "balanceChanged { account { id } balance }",
            "balanceChanged { balance account { a: id } }",
            "balanceChanged { balance account { depth } }",
            "b: balanceChanged { balance account { id } }",
        )
    ]
    assert len({one, *others}) == 5
    state = state_of(ROW, at=datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert await written(one, state) == (
        b'{"data":{"balanceChanged":{"balance":"9.25000","account":{"id":"QWNjb3VudDo0"}}}}'
    )


async def test_a_writer_is_forgotten_with_the_last_subscription_that_holds_it() -> None:
    writers = EventWriters()
    writer = writers.writer(executor_of("subscription { balanceChanged { balance } }"))
    assert len(writers._writers) == 1
    del writer
    gc.collect()
    assert len(writers._writers) == 0


async def test_an_event_is_written_once_for_all_who_select_the_same() -> None:
    writers = EventWriters()
    text = "subscription { balanceChanged { version account { username isReseller } } }"
    one, other = (writers.writer(executor_of(text)) for _ in range(2))
    assert one is not None
    assert other is not None
    state = state_of(ROW, at=datetime(2026, 1, 31, 12, tzinfo=UTC))
    first = await one.write(state)
    assert other.at_once(state) is first
    assert list(state.texts.values()) == [first]


async def test_who_an_account_is_needs_no_look_at_the_database() -> None:
    writer = EventWriters().writer(
        executor_of("subscription { balanceChanged { cause account { id username depth __typename } } }")
    )
    assert writer is not None
    state = state_of(ROW, at=datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert writer.at_once(state) == (
        '{"data":{"balanceChanged":{"cause":"CALL","account":'
        '{"id":"QWNjb3VudDo0","username":"keytyh*good","depth":3,"__typename":"Account"}}}}'
    )
    assert state._row is None


@pytest.mark.parametrize(
    ("selection", "missing"),
    [
        *(("balance", "balance_units"), ("held", "held_units"), ("version", "version")),
        *(("cause", "cause"), ("at", "at")),
    ],
)
async def test_what_has_to_be_there_and_is_not_is_left_to_executing_the_event(selection: str, missing: str) -> None:
    writer = EventWriters().writer(executor_of(f"subscription {{ balanceChanged {{ __typename {selection} }} }}"))
    assert writer is not None
    state = state_of(ROW, at=datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert writer.at_once(state) is not None
    broken: dict[str, Any] = {missing: None}
    with pytest.raises((TypeError, AttributeError, GraphQLError)):
        writer.at_once(replace(state, **broken))


@pytest.mark.parametrize(
    ("selection", "missing"),
    [
        *(("username", "username"), ("isReseller", "is_reseller"), ("balance", "balance_units")),
        *(("version", "version"), ("createdAt", "created_at"), ("telephoneNumbers", "telephone_numbers")),
    ],
)
async def test_what_an_account_has_to_have_and_has_not_is_left_to_executing_the_event(
    selection: str, missing: str
) -> None:
    writer = EventWriters().writer(
        executor_of(f"subscription {{ balanceChanged {{ account {{ emailAddress {selection} }} }} }}")
    )
    assert writer is not None
    broken: dict[str, Any] = {missing: None}
    with pytest.raises((TypeError, AttributeError, GraphQLError)):
        await writer.write(state_of(replace(ROW, **broken), at=datetime(2026, 1, 31, 12, tzinfo=UTC)))
