"""Variables are coerced as graphql-core coerces them, whatever is sent."""

from typing import Any

import pytest
from graphql import (
    GraphQLInputType,
    GraphQLNonNull,
    Undefined,
    build_schema,
    is_input_type,
    parse,
)
from graphql.execution import get_variable_values
from graphql.execution.values import VariableValues
from graphql.type import is_required_input_field
from graphql.utilities import coerce_input_value
from hypothesis import given
from hypothesis import strategies as st

from schema.assembled import schema
from schema.input_coercion import compiled
from schema.operation import operations_of

MADE_UP = build_schema(
    """
    enum Colour { RED GREEN }
    input Point { x: Int! = 1 y: Int = 2 z: Float name: String! = "here" colours: [Colour!] = [RED] }
    input Line { from: Point! to: Point through: [Point!] = [] grid: [[Point]!] }
    input Chain { next: Chain length: Int }
    input Choice @oneOf { a: Int b: String }
    type Query { draw(line: Line, chain: Chain, choice: Choice): String }
    """
)
OWN = schema._schema


def input_types() -> list[GraphQLInputType]:
    """Every input type of the product and of the made-up schema, the built-in ones of introspection left out."""
    named = [
        type_
        for graphql_schema in (OWN, MADE_UP)
        for name, type_ in graphql_schema.type_map.items()
        if is_input_type(type_) and not name.startswith("__")
    ]
    return [*named, *(GraphQLNonNull(type_) for type_ in named)]  # type: ignore[type-var]


INPUT_TYPES = input_types()
NAMES = sorted({name for type_ in INPUT_TYPES for name in getattr(type_, "fields", ())})
TEXTS = ["", "RED", "CHECK_CREDIT", "431234567", "2026-01-31T12:00:00Z", "2026-02-30T12:00:00Z", "0.05", "1e5", "QWNj"]

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.sampled_from(TEXTS)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*NAMES, "unknown"]), inner, max_size=5)
    ),
    max_leaves=25,
)


RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "Int": st.integers(-5, 2**31 - 1),
    "Float": st.floats(allow_nan=False) | st.integers(-5, 5),
    "Boolean": st.booleans(),
    "DateTime": st.sampled_from(["2026-01-31T12:00:00Z", "2026-01-31t12:00:00.5+02:00"]),
    "Date": st.just("2026-01-31"),
}


def plausible(type_: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that are right for the type, with something else in a place now and then."""
    if isinstance(type_, GraphQLNonNull):
        return sometimes_odd(_plausible(type_.of_type, depth))
    return st.none() if depth > 4 else sometimes_odd(_plausible(type_, depth) | st.none())


def _plausible(type_: Any, depth: int) -> st.SearchStrategy[Any]:
    if hasattr(type_, "of_type"):
        return st.lists(plausible(type_.of_type, depth + 1), max_size=3)
    if hasattr(type_, "fields"):
        fields = {name: plausible(field.type, depth + 1) for name, field in type_.fields.items()}
        required = {name: fields[name] for name, field in type_.fields.items() if is_required_input_field(field)}
        return st.fixed_dictionaries(required, optional={name: fields[name] for name in fields.keys() - required})
    if hasattr(type_, "values"):
        return st.sampled_from(sorted(type_.values))
    return RIGHT.get(type_.name, st.sampled_from(["0.05", "12"]))


def sometimes_odd(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 60).flatmap(lambda roll: leaves if roll == 60 else right)


SENT_FOR = {repr(type_): plausible(type_) for type_ in INPUT_TYPES}


def outcome(type_: GraphQLInputType, value: Any) -> Any:
    """What the compiled function answers; whatever it raises means that it is not sure."""
    try:
        return compiled(type_)(value)
    except Exception:
        return Undefined


@given(st.sampled_from(INPUT_TYPES).flatmap(lambda type_: st.tuples(st.just(type_), SENT_FOR[repr(type_)] | values)))
def test_what_the_compiled_function_answers_is_what_graphql_core_answers(sent: tuple[GraphQLInputType, Any]) -> None:
    type_, value = sent
    coerced = outcome(type_, value)
    assert coerced is Undefined or repr(coerced) == repr(coerce_input_value(value, type_))


CALL = {
    "callId": "c-1",
    "username": "keytyh*good",
    "number": "+43 1 5123456",
    "callerNumber": None,
    "startedAt": "2026-05-04T12:00:00+02:00",
    "durationSeconds": 90,
}


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("ChargeCallInput", {"call": CALL}),
        ("ChargeCallsInput", {"calls": [CALL, CALL], "policy": "ALWAYS_CHARGE"}),
        ("ChargeCallsInput", {"calls": []}),
        ("CreateCustomerInput", {"username": "a", "password": "b", "credit": "1.5", "address": {"city": "Wien"}}),
    ],
)
def test_what_programs_send_needs_no_help(type_name: str, value: Any) -> None:
    type_: Any = OWN.type_map[type_name]
    assert outcome(type_, value) == coerce_input_value(value, type_)


@pytest.mark.parametrize(
    "change",
    [
        {"callId": None},
        {"callId": 5},
        {"durationSeconds": True},
        {"durationSeconds": "90"},
        {"durationSeconds": 2**31},
        {"startedAt": "yesterday"},
        {"unknown": 1},
    ],
)
def test_of_what_is_wrong_graphql_core_is_asked(change: dict[str, Any]) -> None:
    type_: Any = OWN.type_map["ChargeCallsInput"]
    assert outcome(type_, {"calls": [CALL, {**CALL, **change}]}) is Undefined


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("Chain", {"next": {"length": 1}}),  # may nest without end
        ("Choice", {"a": 1}),  # exactly one of its fields
        ("ChargeCallsInput", {"calls": CALL}),  # one value for a list of one
    ],
)
def test_what_is_seldom_sent_is_left_to_graphql_core(type_name: str, value: Any) -> None:
    type_: Any = MADE_UP.type_map.get(type_name) or OWN.type_map[type_name]
    assert outcome(type_, value) is Undefined
    assert coerce_input_value(value, type_) is not Undefined


OPERATION = parse(
    """query (
        $a: Int!, $b: Int, $c: Point, $d: [Point!]! = [], $e: Line! = { from: {}, grid: [] }, $f: String = "default"
    ) { __typename }"""
)
(PREPARED,) = operations_of(MADE_UP, OPERATION)
SENT = {variable.name: plausible(variable.signature.type) for variable in PREPARED.variables}


@given(
    st.fixed_dictionaries(
        {name: SENT[name] for name in "adef"}, optional={"b": SENT["b"], "c": SENT["c"], "unknown": leaves}
    )
)
def test_the_variables_of_an_operation_are_those_of_graphql_core(sent: dict[str, Any]) -> None:
    found = PREPARED.coerced(sent)
    if found is not None:
        expected = get_variable_values(MADE_UP, PREPARED.definition.variable_definitions or (), sent)
        assert isinstance(expected, VariableValues)
        assert repr(found.coerced) == repr(expected.coerced)
        assert sources(found) == sources(expected)


def sources(values: VariableValues) -> list[tuple[str, str, str]]:
    """Name, type and given value of each variable, comparable."""
    return [(name, str(source.signature.type), repr(source.value)) for name, source in values.sources.items()]


def test_variables_that_are_left_out_stay_out_or_have_their_default() -> None:
    (operation,) = operations_of(MADE_UP, parse("query ($a: Int!, $b: Int, $c: Point) { __typename }"))
    found = operation.coerced({"a": 1, "c": {"y": None}})
    assert isinstance(found, VariableValues)
    assert found.coerced == {"a": 1, "c": {"x": 1, "y": None, "name": "here", "colours": ["RED"]}}
    assert operation.coerced({"c": {}}) is None
