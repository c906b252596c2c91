"""Queries by one statement: byte for byte what the resolvers answer, whatever is asked and whoever asks."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from strawberry.types.execution import ExecutionResult
from structlog.testing import capture_logs

from models.tables import Account
from resolvers.access import Viewer, may_see
from resolvers.context import RequestContext, Services
from resolvers.viewers import RememberedViewer, Viewers
from resolvers.visibility import SqlViewer, sees
from schema.assembled import schema
from schema.service import EncodedResult
from server.services import open_services
from server.settings import Settings
from tests.access_world import AccessWorld, access_world
from tests.graphql_client import CHEAP_HASH, running_api
from tests.random_queries import Given, RandomQuery, queries
from tests.rates_api import change, rate

# What JSON has to escape, what it need not, and what looks like SQL or like a mark of the statement.
ODD = 'O\'Brien "the" \\ $1 %s :x {} \u0001\u001f\t\n\r\b\f\u007f €\u2028\u00e9\U0001f600 </script>'
VIEWERS = ("operator", "ancestor", "parent", "customer")


@dataclass
class ReadWorld:
    """The services, the viewers, who is remembered as them, and values for arguments."""

    services: Services = field(repr=False)
    viewers: dict[str, Viewer] = field(repr=False)
    remembered: dict[str, RememberedViewer] = field(repr=False)
    given: Given

    def context(self, viewer: str) -> RequestContext:
        return RequestContext(services=self.services, viewer=self.viewers[viewer], request_id="test")

    def remembering_context(self, viewer: str) -> RequestContext:
        """As of a token that has been seen before."""
        return RequestContext(services=self.services, remembered=self.remembered[viewer], request_id="test")

    async def both(self, viewer: str, query: RandomQuery) -> tuple[ExecutionResult, ExecutionResult]:
        """The answer by a statement, where there is one, and the answer by the resolvers."""
        operation = schema.prepare(query.text)
        answered = await schema.run(operation, query.variables, self.remembering_context(viewer))
        by_resolvers = await schema.run_by_resolvers(operation, query.variables, self.remembering_context(viewer))
        return answered, by_resolvers


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[ReadWorld]:
    """The small tree with everything in it, and texts and numbers that are hard to write."""
    # Nothing expires meanwhile, and nothing is too much.
    chosen = {"hold_ttl_s": 86_400, "query_cost_max": 10_000_000}
    async with running_api(database_url, **chosen) as api:
        tree = await access_world(api)
        await _make_odd(tree)
        async with open_services(Settings(**CHEAP_HASH, **chosen), database_url) as services:
            known = Viewers(services.db)
            viewers, remembered = {}, {}
            for name in VIEWERS:
                token = tree.people[name].token
                found, again = await known.of_token(token), known.remembered(token)
                assert found is not None
                assert again is not None
                viewers[name], remembered[name] = found, again
            yield ReadWorld(services, viewers, remembered, await _given(tree))


async def _make_odd(tree: AccessWorld) -> None:
    api, parent = tree.api, tree.people["parent"]
    for number, credit in enumerate(("0", "0.00001", "90071992547.40993", "5", "5")):
        details = {
            "otherDetails": ODD,
            "telephoneNumbers": ["+1", '"', "é"],
        }
        await api.customer(f"c{number}", of=parent, credit=credit, isReseller=number == 3, **details)
    for name in ('Ünïcode "list"', "50% 'off'"):
        made = await api.done(
            "createRateList", "rateList { id }", {"name": name, "discountPercent": "-33.3333"}, by=parent
        )
        await change(api, made["rateList"]["id"], rate("43", "0.00000001", destination='A "b"'), by=parent)
    await api.done("blockAccount", "account { id }", {"accountId": tree.id("other")}, by=parent)
    await api.done(
        "setCreditLimit", "account { id }", {"accountId": tree.id("customer"), "creditLimit": "3"}, by=parent
    )
    for number in range(5):
        remarks = {"remark": f'{number} " \\ € \n', "privateRemark": "\U0001f600\t'"}
        transaction = {"accountId": tree.id("customer"), "amount": "-0.00001", "idempotencyKey": f"odd {number}"}
        await api.done("createCreditTransaction", "duplicate", {**transaction, **remarks}, by=parent)
    calls = [tree.call(callId=f'odd " \\ € {number} {"x" * 60}', durationSeconds=number) for number in range(5)]
    calls += [tree.call(callId="fraction", startedAt="2026-05-04T12:00:00.120Z")]
    await api.done("chargeCalls", "charged", {"calls": calls, "policy": "ALWAYS_CHARGE"}, by=api.operator)
    for number in range(3):
        await api.done("authorizeCall", "duplicate", {**tree.waiting_call(), "callId": f"h{number}"}, by=api.operator)


async def _given(tree: AccessWorld) -> Given:
    api = tree.api
    ids = [person.id for person in tree.people.values()]
    lists = "customers calls transactions descendants holds"
    query = "{ viewer { " + " ".join(f"{name}(first: 3) {{ edges {{ cursor }} }}" for name in lists.split()) + " } }"
    cursors: dict[str, list[str]] = {}
    for viewer in VIEWERS:
        answer = (await api(query, by=tree.people[viewer]))["viewer"]
        for name in lists.split():
            cursors.setdefault(name, []).extend(edge["cursor"] for edge in answer[name]["edges"])
    assert all(cursors.values())
    nothing = [base64.b64encode(text).decode() for text in (b"Account:0", b"Account:999999", b"Call:none", b"odd")]
    times = ["2026-05-04T12:00:00Z", "2026-05-04T12:00:00.12Z", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00+02:00"]
    return Given(
        {
            "id": [*ids, *tree.ids.values(), *nothing],
            "accountId": [*ids, *nothing],
            "username": ["CUSTOMER*parent", "parent*ancestor", "operator", "nobody", "a\0b", "\ud800"],
            "callId": ["carried", "unrated", "refunded", "fraction", "none", "", "a\0b"],
            "first": [1, 2, 3, 100, 1, 2, 3, 100, 0],
            "last": [1, 2, 3, 100, 1, 2, 3, 100, -1],
            **{f"{name}.{argument}": found for name, found in cursors.items() for argument in ("after", "before")},
            "after": ["nonsense"],
            "before": ["nonsense"],
            "Date": ["2026-05-04", "2026-01-01", "2030-01-01", "0001-01-01"],
            "since": times,
            "until": times,
            "at": times,
            "number": ["43", "+431", "43", "431", "nonsense"],
            "prefix": ["4", "43", "43", "431", "x"],
            "search": ["c", "CUST", "*", "%", "_", "", '"', "43", "a\0b"],
            "maxDepth": [1, 2, 3, 0],
            "durationSeconds": [0, 61],
            "destination": ["austria", "VIENNA", "", "x"],
            "account": [*ids, *nothing],
        }
    )


# Without shrinking: the query of a failure is short enough to be read, and to find a shorter one takes minutes.
@settings(
    max_examples=250,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data(), viewer=st.sampled_from(VIEWERS))
async def test_a_statement_answers_byte_for_byte_what_the_resolvers_answer(
    world: ReadWorld, data: st.DataObject, viewer: str
) -> None:
    query = data.draw(queries(schema._schema, world.given))
    with capture_logs() as logs:
        answered, expected = await world.both(viewer, query)
    assert "statement_failed" not in {entry["event"] for entry in logs}
    if expected.errors:
        assert not isinstance(answered, EncodedResult)
        assert (answered.data, _texts(answered)) == (expected.data, _texts(expected))
    elif isinstance(answered, EncodedResult):
        _assert_same(answered.encoded, orjson.dumps(expected.data))
    else:  # nothing of it is in the table, or an argument is refused that no resolver came to
        assert answered.data == expected.data


def _assert_same(found: bytes, expected: bytes) -> None:
    """Where they differ, what is around that place: whole answers are too long to be read."""
    place = next((at for at, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), 0)
    around = slice(max(0, place - 80), place + 80)
    assert found == expected, f"{found[around]!r} is not {expected[around]!r}"


def _texts(result: ExecutionResult) -> list[tuple[str, Any]]:
    """The errors and their fields. Where one makes the whole list null, which of its items is met first is chance."""
    return [
        (error.message, [key for key in error.path or () if not isinstance(key, int)]) for error in result.errors or []
    ]


ACCOUNT = "id username depth isReseller heldToOwnCredit blocked balance held available creditLimit version currency"
WHOLE = f"""
query Whole($first: Int = 2, $with: Boolean!) {{
  viewer {{ ...Facts customers(last: 3, orderBy: {{field: CREATED_AT, descending: true}}, filter: {{search: "c"}}) {{
    nodes {{ ...Facts ...Deep }} edges {{ cursor node {{ username }} __typename }}
    pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor __typename }} __typename }} }}
  account(username: "PARENT*ancestor") {{ ...Facts ...Deep descendants(first: $first, maxDepth: 1) {{
    nodes {{ username parent {{ username }} blockedBy {{ username }} path {{ username }} }}
    pageInfo {{ endCursor }} }} }}
  other: account(id: "QWNjb3VudDo1") {{ ...Facts ...Deep }}
  nobody: account(id: "QWNjb3VudDo5OTk5") {{ id }}
  call(callId: "refunded") {{ ...Call }}
}}
fragment Facts on Account {{
  {ACCOUNT} emailAddress address {{ line1 line2 postalCode city country __typename }} telephoneNumbers otherDetails
  createdAt customerCount descendantCount __typename
}}
fragment Deep on Account {{
  usage(since: "2026-01-01") {{ calls durationSeconds charged refunded }} usage28: usage {{ calls }}
  rateList {{ ...List }} rateLists {{ ...List }}
  transactions(since: "2020-01-01T00:00:00Z") {{ nodes {{
    id amount balanceAfter kind remark privateRemark createdAt account {{ username }} createdBy {{ username }} }} }}
  calls(first: 500, since: "2026-05-04T12:00:00Z", number: "43", direction: ASC) {{ nodes {{ ...Call }} }}
  holds {{ nodes {{ callId number startedAt held heldSeconds heldUntil account {{ username }} }} }}
}}
fragment List on RateList {{ id name predefined isBase discountPercent owner {{ username }} }}
fragment Call on Call {{
  id callId number callerNumber destination prefix startedAt durationSeconds billedSeconds charged status unratedReason
  overdrawn refunded refundReason account {{ username }} charges @include(if: $with) {{
    amount pricePerMinute refunded account {{ username balance }} }}
}}
"""


@pytest.mark.parametrize("included", [True, False])
@pytest.mark.parametrize("viewer", VIEWERS)
async def test_what_is_in_the_table_is_answered_by_a_statement(world: ReadWorld, viewer: str, included: bool) -> None:
    answered, expected = await world.both(viewer, RandomQuery(WHOLE, {"with": included}))
    assert expected.errors is None
    assert isinstance(answered, EncodedResult)
    assert answered.encoded == orjson.dumps(expected.data)


IN_ROWS = """
query InRows($after: String) {
  viewer { username all: customers(first: 2) { __typename nodes { id
      forwards: customers(first: 3) { nodes { id last: calls(last: 2) { nodes { callId } } } pageInfo { hasNextPage } }
      backwards: customers(last: 2, orderBy: {field: CREATED_AT}) { pageInfo { hasPreviousPage startCursor endCursor }
        edges { cursor node { username
          all: customers { nodes { id transactions(first: 1) { nodes { amount } } } }
          rest: customers(first: 1, after: $after) { edges { node { username callLimits { spentToday } } } } } } } } } }
  account(username: "ancestor") { descendants(last: 3) { nodes { username parent { customers { nodes { username
    customers(first: 1) { nodes { username } } } } }
    rateLists { name owner { customers { nodes { customers { nodes { customers { nodes { id } } } } } } } } } } }
  nobody: account(id: "QWNjb3VudDo5OTk5") { customers { nodes { customers { nodes { customers { nodes { id } } } } } } }
  empty: call(callId: "none") { id } call(callId: "refunded") { callId }
}
"""


@pytest.mark.parametrize("viewer", VIEWERS)
async def test_lists_of_lists_of_lists_come_in_rows(world: ReadWorld, viewer: str) -> None:
    for after in world.given.values["customers.after"][:3]:
        answered, expected = await world.both(viewer, RandomQuery(IN_ROWS, {"after": after}))
        assert expected.errors is None
        assert isinstance(answered, EncodedResult)
        _assert_same(answered.encoded, orjson.dumps(expected.data))
    (outline,) = schema.prepare(IN_ROWS).kept.values()
    assert all(statement is not None and "UNION ALL" in statement.sql for statement in outline.statements.values())


async def test_a_statement_leaves_to_the_resolvers_what_it_does_not_know(world: ReadWorld) -> None:
    query = """{ settings { currency } viewer { customers { nodes {
      username rates(first: 2) { nodes { prefix pricePerMinute } } callLimits { spentToday } username2: username
      calls { nodes { callId adjustments { kind amount } } } rateList { rates { nodes { destination } } } } } }
      node(id: "QWNjb3VudDo1") { id ... on Account { username } } __typename }"""
    answered, expected = await world.both("parent", RandomQuery(query))
    assert isinstance(answered, EncodedResult)
    assert answered.encoded == orjson.dumps(expected.data)
    assert b"Vienna" in answered.encoded


async def test_of_a_list_nothing_but_its_form_may_be_asked_for(world: ReadWorld) -> None:
    query = """{ viewer { customers { __typename } transactions { pageInfo { hasPreviousPage } }
      holds(first: 1) { pageInfo { hasNextPage } } calls(last: 1) { pageInfo { hasNextPage } }
      empty: customers { ... @include(if: false) { nodes { id } } } } }"""
    for viewer in VIEWERS:
        answered, expected = await world.both(viewer, RandomQuery(query))
        assert isinstance(answered, EncodedResult)
        assert answered.encoded == orjson.dumps(expected.data)


async def test_a_statement_has_the_columns_that_are_asked_for_and_no_others(world: ReadWorld) -> None:
    query = """{ viewer { usage { __typename } rateList { name } customers(first: 2) {
      nodes { username transactions { nodes { amount } } } pageInfo { hasNextPage } } } }"""
    for viewer in VIEWERS:
        answered, expected = await world.both(viewer, RandomQuery(query))
        assert isinstance(answered, EncodedResult)
        assert answered.encoded == orjson.dumps(expected.data)
    (outline,) = schema.prepare(query).kept.values()
    (statement,) = outline.statements.values()
    assert statement is not None
    for named in ("accounts.username", "rate_lists.name", "credit_transactions.amount_units"):
        assert f"{named} AS" in statement.sql
    for never_named in ("balance_units", "blocked_ids", "email_address", "discount_e4", "private_remark"):
        assert f".{never_named}" not in statement.sql


async def test_the_statement_of_an_operation_is_made_once_for_all_values_of_its_variables(world: ReadWorld) -> None:
    text = (
        "query ($id: ID!, $after: String) { account(id: $id) { customers(first: 1, after: $after) { nodes { id } } } }"
    )
    statements = set()
    after = world.given.values["customers.after"][0]
    for variables in ({"id": "QWNjb3VudDox"}, {"id": "QWNjb3VudDoy"}, {"id": "QWNjb3VudDox", "after": after}):
        await schema.run(schema.prepare(text), variables, world.context("operator"))
        (outline,) = schema.prepare(text).kept.values()
        statements = {statement.sql for statement in outline.statements.values()}
    assert len(statements) == 2, "one without and one with a cursor"


async def test_who_may_see_whom_is_the_same_in_python_and_in_sql(world: ReadWorld) -> None:
    for viewer in world.viewers.values():
        async with world.services.db.read() as connection:
            rows = await connection.execute(
                select(Account.path, sees(SqlViewer.of(viewer), Account.path).label("seen"))
            )
            for row in rows:
                assert bool(row.seen) == may_see(viewer, tuple(row.path))
