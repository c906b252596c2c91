"""chargeCall, chargeCalls and reading calls, through the API. The engine's own facts are in test_charging.py."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.graphql_client import Api, Person

CALL = "call { callId number destination prefix durationSeconds billedSeconds charged status overdrawn "
CALL += "account { username } charges { account { username } amount pricePerMinute } }"
STARTED = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


async def give_rates(api: Api) -> None:
    """The operator's deck: Austria at 0.06 a minute, its mobiles at 0.2 in steps of 60 / 30 s."""
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql("UPDATE pricing_epoch SET epoch = epoch + 1")
        await tx.exec_driver_sql(
            "INSERT INTO rates (rate_list_id, prefix, destination, price_per_minute_e8, first_increment_s, "
            "next_increment_s, epoch) SELECT id, prefix, destination, price, first_s, next_s, 1 FROM rate_lists, "
            "(VALUES ('43', 'Austria', 6000000, 1, 1), ('43664', 'Austria mobile', 20000000, 60, 30)) "
            "AS rate (prefix, destination, price, first_s, next_s) WHERE is_base"
        )


@pytest.fixture
async def tree(api: Api) -> dict[str, Person]:
    """operator ▶ luluka*operator ▶ good*luluka ▶ keytyh*good, each with credit of 10; and a stranger beside luluka."""
    await give_rates(api)
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    good = await api.reseller("good", of=luluka, credit="10")
    keytyh = await api.customer("keytyh", of=good, credit="10")
    stranger = await api.reseller("stranger", of=api.operator, credit="10")
    return {"luluka": luluka, "good": good, "keytyh": keytyh, "stranger": stranger}


def a_call(call_id: str, username: str, **fields: Any) -> dict[str, Any]:
    """A call of 90 s to an Austrian number."""
    return {
        "callId": call_id,
        "username": username,
        "number": "+43 1 5123456",
        "startedAt": STARTED.isoformat(),
        "durationSeconds": 90,
        **fields,
    }


async def balances(api: Api, tree: dict[str, Person]) -> list[str]:
    """The balances of operator, luluka, good and keytyh."""
    people = (api.operator, tree["luluka"], tree["good"], tree["keytyh"])
    return [(await api("{ viewer { balance } }", by=person))["viewer"]["balance"] for person in people]


async def test_a_call_is_charged_on_every_level_and_shows_each_viewer_its_own_levels(
    api: Api, tree: dict[str, Person]
) -> None:
    charged = await api.done(
        "chargeCall", f"duplicate {CALL}", {"call": a_call("c-1", "keytyh*good")}, by=tree["luluka"]
    )
    assert charged["duplicate"] is False
    assert charged["call"] == {
        "callId": "c-1",
        "number": "4315123456",
        "destination": "Austria",
        "prefix": "43",
        "durationSeconds": 90,
        "billedSeconds": 90,
        "charged": "0.09000",
        "status": "CHARGED",
        "overdrawn": False,
        "account": {"username": "keytyh*good"},
        "charges": [
            {"account": {"username": name}, "amount": "0.09000", "pricePerMinute": "0.06000000"}
            for name in ("luluka*operator", "good*luluka", "keytyh*good")
        ],
    }
    assert await balances(api, tree) == ["-0.09000", "9.91000", "9.91000", "9.91000"]
    query = '{ call(callId: "c-1") { charges { account { username } } } }'
    for viewer, levels in (
        (api.operator, ["operator", "luluka*operator", "good*luluka", "keytyh*good"]),
        (tree["good"], ["good*luluka", "keytyh*good"]),
        (tree["keytyh"], ["keytyh*good"]),
    ):
        seen = await api(query, by=viewer)
        assert [charge["account"]["username"] for charge in seen["call"]["charges"]] == levels
    assert (await api(query, by=tree["stranger"]))["call"] is None


async def test_the_same_call_again_changes_nothing_and_is_flagged(api: Api, tree: dict[str, Person]) -> None:
    call = {"call": a_call("c-1", "keytyh*good")}
    await api.done("chargeCall", "duplicate", call, by=tree["good"])
    again = await api.done("chargeCall", "duplicate call { callId charged }", call, by=tree["good"])
    assert again == {"duplicate": True, "call": {"callId": "c-1", "charged": "0.09000"}, "errors": []}
    assert await balances(api, tree) == ["-0.09000", "9.91000", "9.91000", "9.91000"]
    other = {"call": a_call("c-1", "keytyh*good", durationSeconds=91)}
    assert (await api.refused("chargeCall", other, by=tree["good"]))["code"] == "IDEMPOTENCY_CONFLICT"
    assert await balances(api, tree) == ["-0.09000", "9.91000", "9.91000", "9.91000"]


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"username": "nobody*good"}, "NOT_FOUND", ["call", "accountId"]),
        ({"username": "stranger*operator"}, "NOT_FOUND", ["call", "accountId"]),
        ({"username": None}, "INVALID_CALL", ["call", "accountId"]),
        ({"number": "sip:alice"}, "INVALID_NUMBER", ["call", "number"]),
        ({"number": "4912345"}, "NO_RATE", ["call", "number"]),
        ({"durationSeconds": -60}, "INVALID_CALL", ["call", "durationSeconds"]),
        ({"callId": ""}, "INVALID_CALL", ["call", "callId"]),
        ({"startedAt": "1999-12-31T23:59:59Z"}, "INVALID_CALL", ["call", "startedAt"]),
        ({"durationSeconds": 604_800}, "INSUFFICIENT_CREDIT", []),
    ],
)
async def test_a_refused_call_says_where_and_why_and_changes_nothing(
    api: Api, tree: dict[str, Person], fields: dict[str, Any], code: str, path: list[str]
) -> None:
    before = await api.rows("account_state", "calls", "charges", "call_keys", "usage_days")
    call = {"call": a_call("c-1", "keytyh*good") | fields}
    error = await api.refused("chargeCall", call, by=tree["luluka"])
    assert (error["code"], error["path"]) == (code, path)
    assert await api.rows("account_state", "calls", "charges", "call_keys", "usage_days") == before


async def test_a_refusal_names_the_account_only_to_who_may_see_it(api: Api, tree: dict[str, Person]) -> None:
    await api.done("blockAccount", "account { id }", {"accountId": tree["luluka"].id}, by=api.operator)
    call = {"call": a_call("c-1", "keytyh*good")}
    refused = await api.refused("chargeCall", call, by=api.operator)
    assert (refused["code"], refused["account"]) == ("ACCOUNT_BLOCKED", {"username": "luluka*operator"})
    refused = await api.refused("chargeCall", call, by=tree["good"])
    assert (refused["code"], refused["account"]) == ("ACCOUNT_BLOCKED", None)


async def test_a_blocked_resellers_switch_still_reports_calls_that_were_running(
    api: Api, tree: dict[str, Person]
) -> None:
    await api.done("blockAccount", "account { id }", {"accountId": tree["luluka"].id}, by=api.operator)
    call = {"call": a_call("c-1", "keytyh*good"), "policy": "ALWAYS_CHARGE"}
    assert (await api.done("chargeCall", "call { charged }", call, by=tree["luluka"]))["call"]["charged"] == "0.09000"
    assert await balances(api, tree) == ["-0.09000", "9.91000", "9.91000", "9.91000"]


async def test_many_calls_succeed_or_are_refused_each_on_its_own(api: Api, tree: dict[str, Person]) -> None:
    sent = [
        a_call("c-1", "keytyh*good"),
        a_call("c-2", "nobody*good"),
        a_call("c-3", "keytyh*good", number="4912345"),
        a_call("c-1", "keytyh*good"),
        a_call("c-4", "keytyh*good", number="0043664123456", durationSeconds=61),
        a_call("c-1", "keytyh*good", durationSeconds=1),
    ]
    fields = "charged duplicates unrated refused { index callId code } calls { callId charged billedSeconds }"
    answer = await api.done("chargeCalls", fields, {"calls": sent}, by=tree["luluka"])
    assert answer == {
        "charged": 2,
        "duplicates": 1,
        "unrated": 0,
        "refused": [
            {"index": 1, "callId": "c-2", "code": "NOT_FOUND"},
            {"index": 2, "callId": "c-3", "code": "NO_RATE"},
            {"index": 5, "callId": "c-1", "code": "IDEMPOTENCY_CONFLICT"},
        ],
        "calls": [
            {"callId": "c-1", "charged": "0.09000", "billedSeconds": 90},
            {"callId": "c-1", "charged": "0.09000", "billedSeconds": 90},
            {"callId": "c-4", "charged": "0.30000", "billedSeconds": 90},
        ],
        "errors": [],
    }
    assert await balances(api, tree) == ["-0.39000", "9.61000", "9.61000", "9.61000"]


async def test_a_carried_call_is_charged_below_zero_or_kept_unrated(api: Api, tree: dict[str, Person]) -> None:
    sent = [
        a_call("c-1", "keytyh*good", durationSeconds=100 * 60 * 60),
        a_call("c-2", "keytyh*good", number="4912345"),
    ]
    fields = (
        "charged unrated refused { code } calls { callId charged status overdrawn unratedReason charges { amount } }"
    )
    answer = await api.done("chargeCalls", fields, {"calls": sent, "policy": "ALWAYS_CHARGE"}, by=tree["good"])
    overdrawn, unrated = answer["calls"]
    assert (answer["charged"], answer["unrated"], answer["refused"]) == (1, 1, [])
    assert (overdrawn["charged"], overdrawn["status"], overdrawn["overdrawn"]) == ("360.00000", "CHARGED", True)
    assert (unrated["charged"], unrated["status"], unrated["charges"]) == ("0.00000", "UNRATED", [])
    assert "4912345" in unrated["unratedReason"]
    assert await balances(api, tree) == ["-360.00000", "-350.00000", "-350.00000", "-350.00000"]


async def test_a_request_carries_at_most_a_thousand_calls(api: Api, tree: dict[str, Person]) -> None:
    query = "mutation ($input: ChargeCallsInput!) { chargeCalls(input: $input) { charged } }"
    calls = [a_call(f"c-{index}", "keytyh*good", durationSeconds=0) for index in range(1001)]
    assert await api.failure(query, {"input": {"calls": calls}}, by=tree["good"]) == "BAD_USER_INPUT"
    answer = await api(query, {"input": {"calls": calls[:1000]}}, by=tree["good"])
    assert answer == {"chargeCalls": {"charged": 1000}}


async def test_charging_needs_its_scope(api: Api, tree: dict[str, Person]) -> None:
    query = "mutation ($input: ChargeCallInput!) { chargeCall(input: $input) { duplicate } }"
    call = {"input": {"call": a_call("c-1", "keytyh*good")}}
    assert await api.failure(query, call, by=tree["keytyh"]) == "FORBIDDEN"
    assert await api.failure(query, call) == "UNAUTHENTICATED"


async def test_a_reseller_reads_the_calls_of_everything_below_it_newest_first(
    api: Api, tree: dict[str, Person]
) -> None:
    sent = [
        a_call(f"c-{index}", username, number=number, startedAt=(STARTED + timedelta(minutes=index)).isoformat())
        for index, (username, number) in enumerate(
            [("keytyh*good", "4311"), ("good*luluka", "4322"), ("keytyh*good", "43664"), ("luluka*operator", "4311")]
        )
    ]
    await api.done("chargeCalls", "charged", {"calls": sent}, by=tree["luluka"])

    async def listed(viewer: Person, arguments: str = "first: 100") -> list[str]:
        found = await api(f"{{ viewer {{ calls({arguments}) {{ nodes {{ callId }} }} }} }}", by=viewer)
        return [node["callId"] for node in found["viewer"]["calls"]["nodes"]]

    assert await listed(tree["luluka"]) == ["c-3", "c-2", "c-1", "c-0"]
    assert await listed(tree["good"]) == ["c-2", "c-1", "c-0"]
    assert await listed(tree["keytyh"]) == ["c-2", "c-0"]
    assert await listed(tree["stranger"]) == []
    assert await listed(tree["luluka"], "direction: ASC, first: 2") == ["c-0", "c-1"]
    assert await listed(tree["luluka"], 'number: "+43 1"') == ["c-3", "c-0"]
    assert await listed(tree["luluka"], 'since: "2026-05-04T12:01:00Z", until: "2026-05-04T12:03:00Z"') == [
        "c-2",
        "c-1",
    ]
    assert await listed(tree["luluka"], "last: 1") == ["c-0"]


async def test_pages_of_calls_follow_each_other_without_gap_or_repeat(api: Api, tree: dict[str, Person]) -> None:
    sent = [a_call(f"c-{index:02}", "keytyh*good") for index in range(25)]  # all of the same instant
    await api.done("chargeCalls", "charged", {"calls": sent}, by=tree["good"])
    query = (
        "query ($after: String) { viewer { calls(first: 10, after: $after) "
        "{ nodes { callId } pageInfo { hasNextPage endCursor } } } }"
    )
    found: list[str] = []
    after = None
    for _ in range(3):
        page = (await api(query, {"after": after}, by=tree["good"]))["viewer"]["calls"]
        found += [node["callId"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert page["pageInfo"]["hasNextPage"] is False
    assert found == [f"c-{index:02}" for index in reversed(range(25))]


async def test_usage_counts_calls_seconds_and_charges_of_everything_below(api: Api, tree: dict[str, Person]) -> None:
    sent = [a_call("c-1", "keytyh*good"), a_call("c-2", "good*luluka", durationSeconds=30)]
    await api.done("chargeCalls", "charged", {"calls": sent}, by=tree["luluka"])
    query = '{ viewer { usage(since: "2026-05-04", until: "2026-05-04") { calls durationSeconds charged } } }'
    for viewer, figures in (
        (tree["luluka"], (2, 120, "0.12000")),
        (tree["good"], (2, 120, "0.12000")),
        (tree["keytyh"], (1, 90, "0.09000")),
    ):
        usage = (await api(query, by=viewer))["viewer"]["usage"]
        assert (int(usage["calls"]), int(usage["durationSeconds"]), usage["charged"]) == figures


async def test_values_that_are_not_of_their_type_refuse_the_request_and_each_is_named(
    api: Api, tree: dict[str, Person]
) -> None:
    changes: list[dict[str, Any]] = [{}, {"startedAt": "yesterday"}, {"durationSeconds": 1.5}]
    calls = [a_call(f"c-{index}", "keytyh*good", **change) for index, change in enumerate(changes)]
    query = "mutation ($input: ChargeCallsInput!) { chargeCalls(input: $input) { charged } }"
    answer = await api.answer(query, {"input": {"calls": calls}}, by=tree["good"])
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"] * 2
    assert [error["message"].partition(":")[0] for error in answer["errors"]] == [
        "Variable '$input' has invalid value at .calls[1].startedAt",
        "Variable '$input' has invalid value at .calls[2].durationSeconds",
    ]
    assert await api.rows("calls", "call_keys") == {"calls": [], "call_keys": []}
