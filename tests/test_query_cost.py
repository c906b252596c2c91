"""What operations cost: exact figures for documents, by literals, variables and defaults."""

from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type, get_nullable_type, is_list_type
from graphql.type import is_composite_type
from graphql.type.introspection import is_introspection_type

from schema.assembled import schema
from schema.field_costs import FIELD_COSTS
from schema.query_cost import evaluated


def cost(query: str, **variables: Any) -> int:
    operation = schema.prepare(query)
    assert operation.cost is not None
    return evaluated(operation.cost, variables)


@pytest.mark.parametrize(
    ("query", "nodes"),
    [
        ("{ viewer { id username balance telephoneNumbers } }", 1),
        ("{ viewer { id parent { id rateList { name } } } }", 3),
        ("{ viewer { address { city } callLimits { concurrentCallsMax } usage { calls charged } } }", 3),
        ("{ viewer { customerCount descendantCount } }", 3),
        ("{ settings { currency } }", 1),
        # A page is 20 where nothing is said of it, and null says nothing.
        ("{ viewer { customers { nodes { id } } } }", 21),
        ("{ viewer { customers(first: null) { nodes { id } } } }", 21),
        ("{ viewer { customers(after: null) { pageInfo { hasNextPage } } } }", 21),
        ("{ viewer { customers(first: 50) { nodes { id } } } }", 51),
        ("{ viewer { customers(last: 7) { nodes { id } } } }", 8),
        ("{ viewer { customers(first: 0) { nodes { id } } } }", 1),
        # Both ways to an entry are one page; two lists of it are two.
        ("{ viewer { customers(first: 10) { edges { cursor } nodes { id } pageInfo { endCursor } } } }", 11),
        ("{ viewer { customers(first: 10) { edges { node { id } } nodes { id } } } }", 11),
        ("{ viewer { customers(first: 10) { edges { node { parent { id } } } nodes { parent { id } } } } }", 31),
        ("{ viewer { customers(first: 10) { a: nodes { id } b: nodes { id } } } }", 21),
        ("{ viewer { customers(first: 10) { edges { a: node { id } } e: edges { node { id } } } } }", 21),
        # Connections inside of connections multiply.
        ("{ viewer { customers(first: 100) { nodes { customers(first: 100) { nodes { id } } } } } }", 10_101),
        ("{ viewer { customers(first: 9) { edges { node { calls(first: 500) { nodes { id } } } } } } }", 4_510),
        # What a resolver refuses counts as the largest page.
        ("{ viewer { customers(first: 101) { nodes { id } } } }", 101),
        ("{ viewer { customers(first: -1) { nodes { id } } } }", 101),
        ("{ viewer { calls(first: 501) { nodes { id } } rates(first: 501) { nodes { prefix } } } }", 1_001),
        # Plain lists, by their estimates.
        ("{ viewer { path { id } } }", 9),
        ("{ viewer { rateLists { owner { id } } } }", 41),
        ('{ call(callId: "c") { charges { account { id } } adjustments { kind } } }', 25),
        ('{ quote(accountId: "a", number: "43", durationSeconds: 60) { levels { amount } refusal { code } } }', 10),
        # Rates that may be looked for in a whole deck.
        ("{ viewer { rates { nodes { prefix } } } }", 21),
        ('{ viewer { rates(search: "austria") { nodes { prefix } } } }', 31),
        ('{ viewer { rates(search: null, at: "2020-01-01T00:00:00Z") { nodes { prefix } } } }', 71),
        # Of a kind of object the dearest.
        ('{ node(id: "x") { id ... on Account { customers { nodes { id } } } ... on RateList { name } } }', 21),
        ('{ node(id: "x") { ... on Call { account { id } } ... on RateList { rates { edges { cursor } } } } }', 21),
        # Introspection is free.
        ("{ __schema { types { name fields { name args { name } } } } }", 0),
        ('{ __typename __type(name: "Account") { fields { name } } viewer { __typename } }', 1),
    ],
)  # fmt: skip
def test_a_query_costs_the_nodes_that_it_asks_for(query: str, nodes: int) -> None:
    assert cost(query) == nodes


@pytest.mark.parametrize(
    ("query", "nodes"),
    [
        ("{ a: viewer { id } b: viewer { parent { id } } }", 3),
        # The same response key is one field, however often it is written.
        ("{ viewer { customers { nodes { id } } customers { nodes { parent { id } } } } }", 41),
        (
            "{ viewer { ...F ...F } ...G } fragment F on Account { customers { nodes { id } } }"
            "fragment G on Query { viewer { ... { ... on Account { ...F } } } }",
            21,
        ),
        ("{ viewer { ... on Node { ... on Account { parent { id } } } } }", 2),
    ],
)
def test_aliases_are_fields_of_their_own_and_fragments_are_not(query: str, nodes: int) -> None:
    assert cost(query) == nodes


NESTED = """
query ($first: Int = 30, $last: Int, $size: Int) {
  viewer { customers(first: $first) { nodes { customers(first: $size, last: $last) { nodes { id } } } } }
}
"""


@pytest.mark.parametrize(
    ("variables", "nodes"),
    [
        ({}, 1 + 30 * 21),
        ({"first": None}, 1 + 20 * 21),
        ({"first": 3}, 1 + 3 * 21),
        ({"first": 3, "size": 100}, 1 + 3 * 101),
        ({"first": 3, "last": 4}, 1 + 3 * 5),
        ({"first": 101}, 1 + 100 * 21),
        ({"first": -3}, 1 + 100 * 21),
        ({"first": "3"}, 1 + 100 * 21),
        ({"first": 3.0}, 1 + 3 * 21),
        ({"first": 3.5}, 1 + 100 * 21),
        ({"first": {}, "size": [1]}, 1 + 100 * 101),
        ({"first": 10**30, "size": 1e300}, 1 + 100 * 101),
    ],
)
def test_sizes_come_from_variables_and_their_defaults(variables: dict[str, Any], nodes: int) -> None:
    assert cost(NESTED, **variables) == nodes


CONDITIONS = """
query ($with: Boolean!, $without: Boolean = true) {
  viewer {
    id
    parent @include(if: $with) { id }
    customers(first: 10) @skip(if: $without) { nodes { id ...Parent @include(if: $with) } }
    ... @include(if: false) { path { id } }
    ... @skip(if: false) { rateList { name } }
  }
}
fragment Parent on Account { parent { id } }
"""


@pytest.mark.parametrize(
    ("variables", "nodes"),
    [
        ({"with": False}, 2),
        ({"with": True}, 3),
        ({"with": False, "without": False}, 12),
        ({"with": True, "without": False}, 23),
    ],
)
def test_what_is_left_out_costs_nothing(variables: dict[str, Any], nodes: int) -> None:
    assert cost(CONDITIONS, **variables) == nodes


def test_a_field_that_is_written_twice_is_asked_for_if_either_is() -> None:
    query = """
    query ($a: Boolean!, $b: Boolean!) { viewer {
      customers(first: 10) @include(if: $a) { nodes { id } }
      customers(first: 10) @include(if: $b) { edges @skip(if: $a) { node { parent { id } } } }
    } }
    """
    costs = {(a, b): cost(query, a=a, b=b) for a in (False, True) for b in (False, True)}
    assert costs == {(False, False): 1, (True, False): 11, (False, True): 21, (True, True): 11}


CHARGE_CALLS = "calls { id charges { account { id } } } refused { code }"


@pytest.mark.parametrize(
    ("query", "variables", "nodes"),
    [
        ('mutation { blockAccount(input: {accountId: "a"}) { account { id } errors { code } } }', {}, 12),
        ('mutation { a: blockAccount(input: {accountId: "a"}) { __typename } logout { errors { code } } }', {}, 21),
        # What answers a list is as long as the list.
        (f"mutation {{ chargeCalls(input: {{calls: []}}) {{ {CHARGE_CALLS} }} }}", {}, 10),
        (
            f"mutation ($input: ChargeCallsInput!) {{ chargeCalls(input: $input) {{ {CHARGE_CALLS} }} }}",
            {"input": {"calls": [{}, {}, {}]}},
            10 + 3 * (1 + 8 * 2) + 3,
        ),
        (
            f"mutation ($calls: [CallInput!]!) {{ chargeCalls(input: {{calls: $calls}}) {{ {CHARGE_CALLS} }} }}",
            {"calls": [{}] * 1_001},
            10 + 1_000 * (1 + 8 * 2) + 1_000,
        ),
        (
            "mutation ($call: SettleCallInput!) { settleCalls(input: {calls: [$call, $call]}) { calls { id } } }",
            {"call": {}},
            12,
        ),
        ("mutation ($i: SettleCallsInput!) { settleCalls(input: $i) { calls { id } } }", {"i": "nonsense"}, 11),
    ],
)  # fmt: skip
def test_a_mutation_costs_ten_and_what_is_asked_of_its_answer(
    query: str, variables: dict[str, Any], nodes: int
) -> None:
    assert cost(query, **variables) == nodes


def test_a_subscription_costs_what_one_event_costs() -> None:
    assert cost("subscription { balanceChanged(includeDescendants: true) { balance account { path { id } } } }") == 10


def test_a_document_without_variables_that_matter_is_worked_out_once() -> None:
    query = (
        "query ($after: String, $id: ID!) { account(id: $id) { customers(first: 5, after: $after) { nodes { id } } } }"
    )
    assert schema.prepare(query).cost == 6


def test_every_list_of_objects_has_its_size_and_no_cost_is_of_a_field_that_is_not_there() -> None:
    core = schema._schema
    lists, known = set(), set()
    for type_ in core.type_map.values():
        if not isinstance(type_, GraphQLObjectType) or is_introspection_type(type_):
            continue
        page = type_.name.endswith("Connection")
        for name, field in type_.fields.items():
            known.add(f"{type_.name}.{name}")
            is_list = is_list_type(get_nullable_type(field.type)) and is_composite_type(get_named_type(field.type))
            # Of `errors` there is hardly ever more than one.
            if is_list and not page and name != "errors":
                lists.add(f"{type_.name}.{name}")
    assert lists - FIELD_COSTS.keys() == set()
    assert FIELD_COSTS.keys() - known == set()
    assert len(lists) > 10
