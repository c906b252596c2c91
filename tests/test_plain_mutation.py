"""Mutations that take the short way, against the same by graphql-core's executor: a directive sends them there."""

from typing import Any

import pytest

from schema.assembled import schema
from schema.plain_mutation import plain_mutation
from tests.graphql_client import Api, Person
from tests.test_call_mutations import a_call, give_rates

CHARGE_CALL = "mutation ($input: ChargeCallInput!) { chargeCall(input: $input) { %s } }"
CALL = (
    "call { __typename id callId number callerNumber destination startedAt durationSeconds charged status overdrawn }"
)
PLAIN = f"duplicate {CALL} errors {{ code message path }}"


@pytest.fixture
async def luluka(api: Api) -> Person:
    """A reseller with a customer, each with credit of 10."""
    await give_rates(api)
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    await api.customer("keytyh", of=luluka, credit="10")
    return luluka


def is_plain(query: str) -> bool:
    root = schema._schema.mutation_type
    assert root is not None
    return plain_mutation(schema.schema_converter, root, schema.prepare(query)) is not None


async def both_ways(api: Api, selection: str, input: dict[str, Any], by: Person | None) -> list[Any]:
    """The answers of the short way and of the executor, without what differs in every request."""
    answers = []
    for query in (CHARGE_CALL % selection, CHARGE_CALL % f"{selection} __typename @skip(if: true)"):
        assert is_plain(query) == (len(answers) == 0)
        answer = await api.answer(query, {"input": input}, by=by)
        for error in answer.get("errors", ()):
            del error["extensions"]["requestId"]
        answers.append(answer)
    return answers


async def test_a_call_is_charged_once_and_answered_alike(api: Api, luluka: Person) -> None:
    input = {"call": a_call("c1", "keytyh*luluka")}
    first = await api(CHARGE_CALL % PLAIN, {"input": input}, by=luluka)
    assert first["chargeCall"]["call"] == {
        "__typename": "Call",
        "id": first["chargeCall"]["call"]["id"],
        "callId": "c1",
        "number": "4315123456",
        "callerNumber": None,
        "destination": "Austria",
        "startedAt": "2026-05-04T12:00:00Z",
        "durationSeconds": 90,
        "charged": "0.09000",
        "status": "CHARGED",
        "overdrawn": False,
    }
    assert (first["chargeCall"]["duplicate"], first["chargeCall"]["errors"]) == (False, [])
    short, executed = await both_ways(api, PLAIN, input, luluka)
    assert short == executed
    assert short["data"]["chargeCall"]["duplicate"] is True


@pytest.mark.parametrize(
    "changes",
    [{"number": "12"}, {"number": "no number"}, {"username": "nobody"}, {"durationSeconds": 9_000_000}, {"callId": ""}],
)
async def test_a_refusal_is_answered_alike_and_changes_nothing(
    api: Api, luluka: Person, changes: dict[str, Any]
) -> None:
    before = await api.rows()
    short, executed = await both_ways(api, PLAIN, {"call": a_call("c1", "keytyh*luluka") | changes}, luluka)
    assert short == executed
    assert len(short["data"]["chargeCall"]["errors"]) == 1
    assert await api.rows() == before


async def test_who_is_not_signed_in_or_may_not_charge_is_answered_alike(api: Api, luluka: Person) -> None:
    keytyh = await api.sign_in("keytyh*luluka")
    for person, code in ((None, "UNAUTHENTICATED"), (keytyh, "FORBIDDEN")):
        short, executed = await both_ways(api, PLAIN, {"call": a_call("c1", "keytyh*luluka")}, person)
        assert short == executed
        assert (short["data"], short["errors"][0]["path"]) == (None, ["chargeCall"])
        assert short["errors"][0]["extensions"] == {"code": code}


async def test_bad_input_is_answered_alike(api: Api, luluka: Person) -> None:
    for input in ({}, {"call": {}}, {"call": a_call("c1", "keytyh*luluka", durationSeconds="90")}, None):
        short, executed = await both_ways(api, PLAIN, input, luluka)  # type: ignore[arg-type]
        assert short == executed
        assert "data" not in short


async def test_aliases_are_answered_under_their_names(api: Api, luluka: Person) -> None:
    query = "mutation ($x: ChargeCallInput!) { booked: chargeCall(input: $x) { again: duplicate call { id: callId } } }"
    assert is_plain(query)
    answer = await api(query, {"x": {"call": a_call("c1", "keytyh*luluka")}}, by=luluka)
    assert answer == {"booked": {"again": False, "call": {"id": "c1"}}}


@pytest.mark.parametrize(
    "query",
    [
        CHARGE_CALL % "call { account { username } }",
        CHARGE_CALL % "errors { account { username } }",
        CHARGE_CALL % "... on ChargeCallPayload { duplicate }",
        CHARGE_CALL % "call { callId } call { number }",
        "mutation ($input: ChargeCallsInput!) { chargeCalls(input: $input) { calls { callId } } }",
        "mutation ($call: CallInput!) { chargeCall(input: {call: $call}) { duplicate } }",
        "mutation ($input: ChargeCallInput!) { a: chargeCall(input: $input) { duplicate } b: chargeCall(input: $input) "
        "{ duplicate } }",
    ],
)
def test_what_is_not_plain_is_executed(query: str) -> None:
    assert not is_plain(query)


def test_a_mutation_without_input_is_plain() -> None:
    assert is_plain("mutation { logout { errors { code } } }")


async def test_what_is_executed_is_charged_as_well(api: Api, luluka: Person) -> None:
    query = "mutation ($call: CallInput!) { chargeCall(input: {call: $call}) { call { account { username } } } }"
    answer = await api(query, {"call": a_call("c1", "keytyh*luluka")}, by=luluka)
    assert answer == {"chargeCall": {"call": {"account": {"username": "keytyh*luluka"}}}}
