"""Every mutation and every field against every kind of viewer, in one table.

The tree: operator ▶ ancestor ▶ parent ▶ customer, and a sibling reseller beside the parent. What is asked is always
about the customer, or about something that the parent owns.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type, is_leaf_type

from schema.assembled import schema
from tests.graphql_client import PASSWORD, Api, Person

VIEWERS = ("anonymous", "customer", "sibling", "parent", "ancestor", "operator", "reader", "charger")
OK = "ok"
ANONYMOUS = "UNAUTHENTICATED"
SCOPE = "FORBIDDEN"


@dataclass(frozen=True)
class World:
    """The tree, and a token for each kind of viewer. ``reader`` and ``charger`` are API tokens of the parent."""

    api: Api
    customer: Person
    parent: Person
    tokens: dict[str, str | None]


Asked = Callable[[World], Awaitable[dict[str, Any] | None]]


@pytest.fixture
async def world(api: Api) -> World:
    ancestor = await api.reseller("ancestor", of=api.operator, credit="100")
    parent = await api.reseller("parent", of=ancestor, credit="100")
    sibling = await api.reseller("sibling", of=ancestor, credit="100")
    customer = await api.customer("customer", of=parent, credit="100")
    base = await api("{ viewer { rateLists { id isBase } } }", by=api.operator)
    base_id = next(found["id"] for found in base["viewer"]["rateLists"] if found["isBase"])
    deck = {"rateListId": base_id, "rates": [{"prefix": "43", "pricePerMinute": "0.06"}]}
    await api.done("setRates", "changed", deck, by=api.operator)

    async def api_token(scope: str) -> str:
        made = await api.done("createApiToken", "token", {"name": scope, "scopes": [scope]}, by=parent)
        return str(made["token"])

    people = {
        "customer": customer,
        "sibling": sibling,
        "parent": parent,
        "ancestor": ancestor,
        "operator": api.operator,
    }
    tokens: dict[str, str | None] = {kind: person.token for kind, person in people.items()}
    tokens |= {"anonymous": None, "reader": await api_token("READ"), "charger": await api_token("CALLS_CHARGE")}
    return World(api, customer, parent, tokens)


async def the_customer(world: World) -> dict[str, Any]:
    return {"accountId": world.customer.id}


def the_customer_and(**fields: Any) -> Asked:
    async def asked(world: World) -> dict[str, Any]:
        return {"accountId": world.customer.id, **fields}

    return asked


def just(**fields: Any) -> Asked:
    async def asked(world: World) -> dict[str, Any]:
        return fields

    return asked


async def nothing(world: World) -> None:
    return None


async def numbered(world: World, of: list[int] = [0]) -> int:  # noqa: B006
    """A number that was not used before."""
    of[0] += 1
    return of[0]


async def predefined_list(world: World) -> dict[str, Any]:
    lists = await world.api("{ viewer { rateLists { id name } } }", by=world.parent)
    chosen = next(found["id"] for found in lists["viewer"]["rateLists"] if "10%" in found["name"])
    return {"accountId": world.customer.id, "rateListId": chosen}


async def own_customer(world: World) -> dict[str, Any]:
    return {"username": f"new{await numbered(world)}", "password": PASSWORD}


async def customer_of_the_parent(world: World) -> dict[str, Any]:
    return {**await own_customer(world), "resellerId": world.parent.id}


async def credit(world: World) -> dict[str, Any]:
    return {"accountId": world.customer.id, "amount": "1", "idempotencyKey": f"k{await numbered(world)}"}


async def rate_list(world: World) -> dict[str, Any]:
    return {"name": f"list {await numbered(world)}", "discountPercent": "0"}


async def list_of_the_parent(world: World) -> dict[str, Any]:
    made = await world.api.done("createRateList", "rateList { id }", await rate_list(world), by=world.parent)
    return {"rateListId": made["rateList"]["id"]}


async def rates_of_the_parent(world: World) -> dict[str, Any]:
    return {**await list_of_the_parent(world), "rates": [{"prefix": "43", "pricePerMinute": "0.1"}]}


async def a_call(world: World) -> dict[str, Any]:
    return {
        "callId": f"c{await numbered(world)}",
        "accountId": world.customer.id,
        "number": "+4312345",
        "startedAt": "2026-05-04T12:00:00Z",
        "durationSeconds": 60,
    }


async def one_call(world: World) -> dict[str, Any]:
    return {"call": await a_call(world)}


async def calls(world: World) -> dict[str, Any]:
    return {"calls": [await a_call(world)]}


async def a_call_to_start(world: World) -> dict[str, Any]:
    return {"callId": f"h{await numbered(world)}", "accountId": world.customer.id, "number": "+4312345"}


async def calls_to_start(world: World) -> dict[str, Any]:
    return {"calls": [await a_call_to_start(world)]}


async def a_held_call(world: World) -> str:
    asked = await a_call_to_start(world)
    await world.api.done("authorizeCall", "duplicate", asked, by=world.parent)
    return str(asked["callId"])


async def an_extension(world: World) -> dict[str, Any]:
    return {"callId": await a_held_call(world), "sequence": 1}


async def an_end(world: World) -> dict[str, Any]:
    return {"callId": await a_held_call(world), "durationSeconds": 30}


async def ends(world: World) -> dict[str, Any]:
    return {"calls": [await an_end(world)]}


async def a_release(world: World) -> dict[str, Any]:
    return {"callId": await a_held_call(world)}


def outcomes(customer: str, sibling: str, parent: str, ancestor: str, operator: str) -> dict[str, str]:
    """What a MANAGE mutation answers each viewer; nobody gets there anonymously or with another scope."""
    answers = (ANONYMOUS, customer, sibling, parent, ancestor, operator, SCOPE, SCOPE)
    return dict(zip(VIEWERS, answers, strict=True))


HIDDEN, DENIED = "NOT_FOUND", "NOT_ALLOWED"
DIRECT_ONLY = outcomes(DENIED, HIDDEN, OK, DENIED, OK)
ANYONE_BELOW = outcomes(DENIED, HIDDEN, OK, OK, OK)
ITSELF = outcomes(OK, OK, OK, OK, OK)
RESELLERS = outcomes("NOT_A_RESELLER", OK, OK, OK, OK)
OWNER_AND_OPERATOR = outcomes(HIDDEN, HIDDEN, OK, DENIED, OK)
CHARGING = {**outcomes(SCOPE, HIDDEN, OK, OK, OK), "charger": OK}

MUTATIONS: list[tuple[str, Asked, dict[str, str]]] = [
    ("login", just(username="operator", password=PASSWORD), dict.fromkeys(VIEWERS, OK)),
    ("logout", nothing, {**dict.fromkeys(VIEWERS, OK), "anonymous": ANONYMOUS}),
    ("changePassword", just(currentPassword=PASSWORD, newPassword=PASSWORD), ITSELF),
    (
        "changePassword",
        the_customer_and(newPassword=PASSWORD),
        {**DIRECT_ONLY, "customer": "INVALID_CREDENTIALS"},
    ),
    ("createApiToken", just(name="x", scopes=["READ"]), ITSELF),
    ("revokeApiToken", just(tokenId="x"), outcomes(HIDDEN, HIDDEN, HIDDEN, HIDDEN, HIDDEN)),
    ("createCustomer", own_customer, RESELLERS),
    ("createCustomer", customer_of_the_parent, OWNER_AND_OPERATOR),
    ("updateAccount", the_customer_and(otherDetails="x"), {**DIRECT_ONLY, "customer": OK}),
    ("updateAccount", predefined_list, DIRECT_ONLY),
    ("updateAccount", the_customer_and(isReseller=True), DIRECT_ONLY),
    ("blockAccount", the_customer, ANYONE_BELOW),
    ("unblockAccount", the_customer, ANYONE_BELOW),
    ("makeReseller", the_customer, DIRECT_ONLY),
    ("setCreditLimit", the_customer_and(creditLimit="1"), DIRECT_ONLY),
    ("createCreditTransaction", credit, DIRECT_ONLY),
    ("createRateList", rate_list, RESELLERS),
    ("updateRateList", list_of_the_parent, OWNER_AND_OPERATOR),
    ("deleteRateList", list_of_the_parent, OWNER_AND_OPERATOR),
    ("setRates", rates_of_the_parent, OWNER_AND_OPERATOR),
    ("chargeCall", one_call, CHARGING),
    ("chargeCalls", calls, CHARGING),
    ("authorizeCall", a_call_to_start, CHARGING),
    ("authorizeCalls", calls_to_start, CHARGING),
    ("extendCall", an_extension, CHARGING),
    ("settleCall", an_end, CHARGING),
    ("settleCalls", ends, CHARGING),
    ("releaseCall", a_release, CHARGING),
]


async def outcome(world: World, mutation: str, asked: dict[str, Any] | None, token: str | None) -> str:
    """``ok``, the code of the payload's error, or the code of the top-level error."""
    kind = mutation[0].upper() + mutation[1:]
    refused = "refused { code }" if mutation in ("chargeCalls", "authorizeCalls", "settleCalls") else ""
    fields = f"{{ errors {{ code }} {refused} }}"
    if asked is None:
        query = f"mutation {{ {mutation} {fields} }}"
    else:
        query = f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {fields} }}"
    answer = await world.api.answer(query, {"input": asked} if asked is not None else {}, by=token)
    if "errors" in answer:
        return str(answer["errors"][0]["extensions"]["code"])
    payload = answer["data"][mutation]
    found = payload["errors"] + payload.get("refused", [])
    return str(found[0]["code"]) if found else OK


CHANGED_BY_MUTATIONS = (
    "accounts",
    "account_state",
    "credit_transactions",
    "idempotency_keys",
    "tokens",
    "rate_lists",
    "rates",
    "calls",
    "charges",
    "usage_days",
    "holds",
)


@pytest.mark.parametrize(
    ("mutation", "asked", "expected"),
    MUTATIONS,
    ids=[f"{mutation}-{index}" for index, (mutation, _, _) in enumerate(MUTATIONS)],
)
async def test_a_mutation_answers_each_kind_of_viewer(
    world: World, mutation: str, asked: Asked, expected: dict[str, str]
) -> None:
    found = {}
    # Refusals first: what is done for one viewer must not be what refuses the next.
    for kind in sorted(VIEWERS, key=lambda kind: expected[kind] == OK):
        input = await asked(world)
        before = await world.api.rows(*CHANGED_BY_MUTATIONS)
        found[kind] = await outcome(world, mutation, input, world.tokens[kind])
        if found[kind] != OK:
            assert await world.api.rows(*CHANGED_BY_MUTATIONS) == before, kind
    assert found == expected


def test_the_table_has_every_mutation() -> None:
    mutation_type = schema._schema.mutation_type
    assert mutation_type is not None
    assert {mutation for mutation, _, _ in MUTATIONS} == set(mutation_type.fields)


QUERIES = {
    "viewer": "{ viewer { id } }",
    "account": '{ account(username: "customer*parent") { id } }',
    "node": "query ($id: ID!) { node(id: $id) { id } }",
    "call": '{ call(callId: "none") { id } }',
    "quote": 'query ($id: ID!) { quote(accountId: $id, number: "4312345", durationSeconds: 60) { __typename } }',
    "settings": "{ settings { currency } }",
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_answers_each_kind_of_viewer(world: World, name: str) -> None:
    found = {}
    for kind in VIEWERS:
        variables = {"id": world.customer.id}
        answer = await world.api.answer(QUERIES[name], variables, by=world.tokens[kind])
        if "errors" in answer:
            found[kind] = answer["errors"][0]["extensions"]["code"]
        else:
            found[kind] = "null" if answer["data"][name] is None else OK

    expected = {**dict.fromkeys(VIEWERS, OK), "anonymous": ANONYMOUS, "charger": SCOPE}
    if name == "settings":
        expected = dict.fromkeys(VIEWERS, OK)
    elif name == "call":
        expected = {kind: "null" if code == OK else code for kind, code in expected.items()}
    elif name != "viewer":
        expected["sibling"] = "null"
    assert found == expected


def test_the_table_has_every_query() -> None:
    query_type = schema._schema.query_type
    assert query_type is not None
    assert set(QUERIES) == set(query_type.fields)


def every_field_of(type_name: str) -> str:
    """A selection of every field of a type, of an object's own leaves where a field is an object."""
    account = schema._schema.type_map[type_name]
    assert isinstance(account, GraphQLObjectType)
    selected = []
    for name, field in account.fields.items():
        kind = get_named_type(field.type)
        if is_leaf_type(kind):
            selected.append(name)
        else:
            assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
            leaves = [leaf for leaf, inner in kind.fields.items() if is_leaf_type(get_named_type(inner.type))]
            selected.append(f"{name} {{ {' '.join(leaves) or '__typename'} }}")
    return " ".join(selected)


# What some of those who see the customer do not see of it.
NULL_FOR = {
    "customer": {"parent", "rateList", "blockedBy"},
    "parent": {"apiTokens", "blockedBy"},
    "ancestor": {"apiTokens", "blockedBy"},
    "operator": {"apiTokens", "blockedBy"},
    "reader": {"apiTokens", "blockedBy"},
}


async def test_every_field_of_an_account_answers_each_kind_of_viewer(world: World) -> None:
    filled = {"emailAddress": "a@b", "otherDetails": "x", "address": {"line1": "x"}, "telephoneNumbers": ["1"]}
    await world.api.done(
        "updateAccount", "errors { code }", {"accountId": world.customer.id, **filled}, by=world.parent
    )
    query = f"query ($id: ID!) {{ account(id: $id) {{ {every_field_of('Account')} }} }}"

    found = {}
    for kind in VIEWERS:
        answer = await world.api.answer(query, {"id": world.customer.id}, by=world.tokens[kind])
        if "errors" in answer:
            found[kind] = answer["errors"][0]["extensions"]["code"]
        elif answer["data"]["account"] is None:
            found[kind] = "null"
        else:
            found[kind] = {name for name, value in answer["data"]["account"].items() if value is None}

    assert found == {"anonymous": ANONYMOUS, "sibling": "null", "charger": SCOPE, **NULL_FOR}


async def test_a_token_without_read_sees_the_answer_to_its_mutation_and_walks_nowhere_from_there(world: World) -> None:
    charge = """mutation ($input: ChargeCallInput!) { chargeCall(input: $input) {
      call { charged account { %s } } errors { code } } }"""

    async def answer(fields: str) -> dict[str, Any]:
        return await world.api.answer(charge % fields, {"input": await one_call(world)}, by=world.tokens["charger"])

    seen = await answer("username balance parent { username } path { username }")
    assert seen["data"]["chargeCall"]["call"] == {
        "charged": "0.06000",
        "account": {
            "username": "customer*parent",
            "balance": "99.94000",
            "parent": {"username": "parent*ancestor"},
            "path": [{"username": "parent*ancestor"}, {"username": "customer*parent"}],
        },
    }
    for walk in (
        "customers { nodes { id } }",
        "descendants { nodes { id } }",
        "transactions { nodes { id } }",
        "calls { nodes { id } }",
        "rates { nodes { prefix } }",
        "rateLists { id }",
        "usage { calls }",
    ):
        refused = await answer(walk)
        assert [error["extensions"]["code"] for error in refused["errors"]] == [SCOPE], walk
