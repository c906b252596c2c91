"""refundCall and rerateCalls through the API. The engine's own facts are in test_refunds.py and test_rerating.py."""

import asyncio
from typing import Any

import pytest

from billing.rerating import STEP_CALLS_MAX
from resolvers import rerating
from tests.graphql_client import Api, Person
from tests.rates_api import base_id, change, rate

NOON, MIDNIGHT = "2026-05-04T12:00:00Z", "2026-05-05T00:00:00Z"
REFUNDED = (
    "duplicate call { callId status charged refunded refundReason overdrawn "
    "charges { account { username } amount refunded pricePerMinute } }"
)
RERATED = (
    "dryRun lookedAt changed newlyRated stillUnrated withoutRate totals { depth charged givenBack } hasMore nextCursor"
)
TABLES = ("account_state", "calls", "charges", "usage_days", "call_adjustments")


@pytest.fixture
async def tree(api: Api) -> dict[str, Person]:
    """operator ▶ luluka*operator ▶ good*luluka ▶ keytyh*good, each with 10.00000; Austria costs them 0.06 a minute."""
    await change(api, await base_id(api), rate("43", "0.06", destination="Austria"), by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    good = await api.reseller("good", of=luluka, credit="10")
    keytyh = await api.customer("keytyh", of=good, credit="10")
    return {"luluka": luluka, "good": good, "keytyh": keytyh}


def a_call(call_id: str, **fields: Any) -> dict[str, Any]:
    """A call of 90 s of keytyh to Austria."""
    call = {"callId": call_id, "username": "keytyh*good", "number": "+4312345", "startedAt": NOON}
    return {**call, "durationSeconds": 90, **fields}


async def charge(api: Api, *calls: dict[str, Any]) -> None:
    """Charge calls that were carried."""
    await api.done("chargeCalls", "charged", {"calls": list(calls), "policy": "ALWAYS_CHARGE"}, by=api.operator)


async def balances(api: Api, tree: dict[str, Person]) -> list[str]:
    """Of the operator, luluka, good and keytyh."""
    people = (api.operator, *tree.values())
    return [(await api("{ viewer { balance } }", by=person))["viewer"]["balance"] for person in people]


async def mend(api: Api, price: str) -> None:
    """Austria has cost something else since the evening before."""
    mended = rate("43", price, destination="Austria", effectiveFrom="2026-05-03T20:00:00Z")
    assert await change(api, await base_id(api), mended, by=api.operator) == 1


async def rerate(api: Api, *, fields: str = RERATED, **input: Any) -> Any:
    """What the operator's rerating of that day answers."""
    return await api.done("rerateCalls", fields, {"since": NOON, "until": MIDNIGHT, **input}, by=api.operator)


async def test_a_refund_shows_who_was_given_back_what_and_why(api: Api, tree: dict[str, Person]) -> None:
    await charge(api, a_call("c-1"), a_call("c-2"))
    answer = await api.done("refundCall", REFUNDED, {"callId": "c-1", "reason": "  a bad line "}, by=api.operator)
    expected = {
        "callId": "c-1",
        "status": "REFUNDED",
        "charged": "0.00000",
        "refunded": "0.09000",
        "refundReason": "a bad line",
        "overdrawn": False,
        "charges": [
            {"account": {"username": name}, "amount": "0.00000", "refunded": "0.09000", "pricePerMinute": "0.06000000"}
            for name in ("operator", "luluka*operator", "good*luluka", "keytyh*good")
        ],
    }
    assert answer == {"duplicate": False, "call": expected, "errors": []}
    assert await balances(api, tree) == ["-0.09000", "9.91000", "9.91000", "9.91000"]
    again = await api.done("refundCall", REFUNDED, {"callId": "c-1", "reason": "a bad line"}, by=api.operator)
    assert again == {"duplicate": True, "call": expected, "errors": []}
    assert await balances(api, tree) == ["-0.09000", "9.91000", "9.91000", "9.91000"]


async def test_the_customer_sees_the_refund_in_its_calls_and_its_usage(api: Api, tree: dict[str, Person]) -> None:
    await charge(api, a_call("c-1"), a_call("c-2"))
    await api.done("refundCall", "duplicate", {"callId": "c-1", "reason": "a bad line"}, by=api.operator)
    query = (
        '{ viewer { usage(since: "2026-05-04", until: "2026-05-04") { calls durationSeconds charged refunded } '
        "calls(direction: ASC) { nodes { callId status charged refunded refundReason charges { amount refunded } "
        "adjustments { kind account { username } amount reason pricePerMinuteBefore pricePerMinuteAfter "
        "createdBy { username } } } } } }"
    )
    seen = (await api(query, by=tree["keytyh"]))["viewer"]
    assert seen["usage"] == {"calls": 2, "durationSeconds": 180, "charged": "0.09000", "refunded": "0.09000"}
    assert seen["calls"]["nodes"] == [
        {
            "callId": "c-1",
            "status": "REFUNDED",
            "charged": "0.00000",
            "refunded": "0.09000",
            "refundReason": "a bad line",
            "charges": [{"amount": "0.00000", "refunded": "0.09000"}],
            "adjustments": [
                {
                    "kind": "REFUND",
                    "account": {"username": "keytyh*good"},
                    "amount": "-0.09000",
                    "reason": "a bad line",
                    "pricePerMinuteBefore": "0.06000000",
                    "pricePerMinuteAfter": "0.06000000",
                    "createdBy": None,
                }
            ],
        },
        {
            "callId": "c-2",
            "status": "CHARGED",
            "charged": "0.09000",
            "refunded": "0.00000",
            "refundReason": None,
            "charges": [{"amount": "0.09000", "refunded": "0.00000"}],
            "adjustments": [],
        },
    ]
    author = '{ call(callId: "c-1") { adjustments { createdBy { username } } } }'
    seen = await api(author, by=api.operator)
    assert seen["call"]["adjustments"] == [{"createdBy": {"username": "operator"}}] * 4


@pytest.mark.parametrize(
    ("input", "code", "path"),
    [
        ({"callId": "c-1", "reason": " \n"}, "INVALID_INPUT", ["reason"]),
        ({"callId": "c-1", "reason": "x" * 1001}, "INVALID_INPUT", ["reason"]),
        ({"callId": "unrated", "reason": "x"}, "NOTHING_TO_REFUND", ["callId"]),
        ({"callId": "returned", "reason": "another"}, "IDEMPOTENCY_CONFLICT", ["callId"]),
        ({"callId": "nobody's", "reason": "x"}, "NOT_FOUND", ["callId"]),
        ({"callId": "zero\0", "reason": "x"}, "NOT_FOUND", ["callId"]),
    ],
)
async def test_a_refused_refund_says_why_and_changes_nothing(
    api: Api, tree: dict[str, Person], input: dict[str, Any], code: str, path: list[str]
) -> None:
    await charge(api, a_call("c-1"), a_call("unrated", number="8612"), a_call("returned"))
    await api.done("refundCall", "duplicate", {"callId": "returned", "reason": "a bad line"}, by=api.operator)
    before = await api.rows(*TABLES)
    error = await api.refused("refundCall", input, by=api.operator)
    assert (error["code"], error["path"]) == (code, path)
    assert await api.rows(*TABLES) == before


async def test_nobody_but_the_operator_can_give_back_what_accounts_above_it_paid(
    api: Api, tree: dict[str, Person]
) -> None:
    await charge(api, a_call("c-1"))
    before = await api.rows(*TABLES)
    for person in tree.values():
        refund = {"callId": "c-1", "reason": "I want my money"}
        assert (await api.refused("refundCall", refund, by=person))["code"] == "NOT_ALLOWED"
        for dry_run in (True, False):
            input = {"since": NOON, "until": MIDNIGHT, "dryRun": dry_run}
            assert (await api.refused("rerateCalls", input, by=person))["code"] == "NOT_ALLOWED"
    assert await api.rows(*TABLES) == before


async def test_of_refunds_at_once_one_is_no_duplicate(api: Api, tree: dict[str, Person]) -> None:
    await charge(api, a_call("c-1"))
    refund = {"callId": "c-1", "reason": "a bad line"}
    answers = await asyncio.gather(*(api.done("refundCall", "duplicate", refund, by=api.operator) for _ in range(8)))
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 7
    assert await balances(api, tree) == ["0.00000", "10.00000", "10.00000", "10.00000"]


async def test_rerating_is_a_dry_run_first_and_then_charges_the_difference(api: Api, tree: dict[str, Person]) -> None:
    await charge(api, a_call("c-1"), a_call("unrated", number="8612"), a_call("free", durationSeconds=0))
    await mend(api, "0.08")
    expected = {
        "lookedAt": 3,
        "changed": 1,
        "newlyRated": 0,
        "stillUnrated": 1,
        "withoutRate": 0,
        "totals": [{"depth": depth, "charged": "0.03000", "givenBack": "0.00000"} for depth in range(4)],
        "hasMore": False,
        "nextCursor": None,
        "errors": [],
    }
    before = await api.rows(*TABLES)
    assert await rerate(api) == {"dryRun": True, **expected}
    assert await api.rows(*TABLES) == before
    assert await rerate(api, dryRun=False) == {"dryRun": False, **expected}
    assert await balances(api, tree) == ["-0.12000", "9.88000", "9.88000", "9.88000"]
    right = {"changed": 0, "totals": []}
    assert await rerate(api, dryRun=False) == {"dryRun": False, **expected, **right}


async def test_the_sample_shows_each_level_before_and_after(api: Api, tree: dict[str, Person]) -> None:
    await charge(api, a_call("c-1", durationSeconds=30))
    await mend(api, "0.02")
    fields = (
        "sample { call { callId charged } levels { account { username } amountBefore amountAfter "
        "pricePerMinuteBefore pricePerMinuteAfter } }"
    )
    levels = [
        {
            "account": {"username": name},
            "amountBefore": "0.03000",
            "amountAfter": "0.01000",
            "pricePerMinuteBefore": "0.06000000",
            "pricePerMinuteAfter": "0.02000000",
        }
        for name in ("operator", "luluka*operator", "good*luluka", "keytyh*good")
    ]
    planned = await rerate(api, fields=fields)
    assert planned["sample"] == [{"call": {"callId": "c-1", "charged": "0.03000"}, "levels": levels}]
    done = await rerate(api, fields=fields, dryRun=False)
    assert done["sample"] == [{"call": {"callId": "c-1", "charged": "0.01000"}, "levels": levels}]
    query = '{ call(callId: "c-1") { charged charges { amount pricePerMinute } adjustments { kind amount reason } } }'
    assert (await api(query, by=tree["keytyh"]))["call"] == {
        "charged": "0.01000",
        "charges": [{"amount": "0.01000", "pricePerMinute": "0.02000000"}],
        "adjustments": [{"kind": "RERATE", "amount": "-0.02000", "reason": None}],
    }


async def test_a_long_rerating_goes_on_where_the_request_before_it_ended(
    api: Api, tree: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch in range(2):
        await charge(api, *(a_call(f"c-{batch}-{n}", durationSeconds=1) for n in range(600)))
    await mend(api, "0.12")
    monkeypatch.setattr(rerating, "CALLS_MAX", 2 * STEP_CALLS_MAX)
    counted, after = [], None
    while True:
        answer = await rerate(api, dryRun=False, after=after)
        counted.append((answer["lookedAt"], answer["changed"], answer["hasMore"]))
        after = answer["nextCursor"]
        if after is None:
            break
    assert counted == [(400, 400, True), (400, 400, True), (400, 400, False)]
    assert await balances(api, tree) == ["-2.40000", "7.60000", "7.60000", "7.60000"]


@pytest.mark.parametrize(
    ("input", "code", "path"),
    [
        ({"until": NOON}, "INVALID_INPUT", ["until"]),
        ({"prefix": "abc"}, "INVALID_NUMBER", ["prefix"]),
        ({"accountId": "QWNjb3VudDo5OTk="}, "NOT_FOUND", ["accountId"]),
        ({"accountId": "nonsense"}, "NOT_FOUND", ["accountId"]),
    ],
)
async def test_a_rerating_that_cannot_be_meant_is_refused(
    api: Api, tree: dict[str, Person], input: dict[str, Any], code: str, path: list[str]
) -> None:
    error = await api.refused("rerateCalls", {"since": NOON, "until": MIDNIGHT, **input}, by=api.operator)
    assert (error["code"], error["path"]) == (code, path)


async def test_a_cursor_of_other_calls_is_bad_input(
    api: Api, tree: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    await charge(api, *(a_call(f"c-{n}", durationSeconds=1) for n in range(STEP_CALLS_MAX + 1)))
    monkeypatch.setattr(rerating, "CALLS_MAX", 1)
    cursor = (await rerate(api))["nextCursor"]
    assert (await rerate(api, after=cursor))["lookedAt"] == 1
    query = "mutation ($input: RerateCallsInput!) { rerateCalls(input: $input) { lookedAt } }"
    for other in (
        {"prefix": "43"},
        {"accountId": tree["good"].id},
        {"unratedOnly": True},
        {"until": "2026-05-06T00:00:00Z"},
    ):
        input = {"since": NOON, "until": MIDNIGHT, "after": cursor, **other}
        assert await api.failure(query, {"input": input}, by=api.operator) == "BAD_USER_INPUT"
