"""Limits on calls beyond credit, enforced over the whole path when a call is authorised or extended."""

from typing import Any

import pytest

from tests.graphql_client import Api, Person
from tests.test_holds import AUTHORIZATION, a_call, one_a_minute


@pytest.fixture
async def tree(api: Api) -> dict[str, Person]:
    """operator ▶ luluka*operator ▶ good*luluka ▶ keytyh*good, each with 100.00000 of credit."""
    await one_a_minute(api)
    luluka = await api.reseller("luluka", of=api.operator, credit="100")
    good = await api.reseller("good", of=luluka, credit="100")
    return {"luluka": luluka, "good": good, "keytyh": await api.customer("keytyh", of=good, credit="100")}


async def limit(api: Api, account: Person, by: Person, **limits: Any) -> None:
    await api.done("setCallLimits", "account { id }", {"accountId": account.id, **limits}, by=by)


async def authorise(api: Api, tree: dict[str, Person], call_id: str, **fields: Any) -> Any:
    """The authorisation, or the code of the refusal and the account it names."""
    payload = await api.change("authorizeCall", AUTHORIZATION, a_call(call_id, **fields), by=tree["luluka"])
    if payload["errors"]:
        (error,) = payload["errors"]
        return error["code"], (error["account"] or {}).get("username")
    return payload["authorization"]


async def test_no_more_calls_run_at_once_than_any_level_allows(api: Api, tree: dict[str, Person]) -> None:
    await limit(api, tree["good"], tree["luluka"], concurrentCallsMax=2)
    for call_id in ("c-1", "c-2"):
        assert (await authorise(api, tree, call_id))["heldSeconds"] == 60
    assert await authorise(api, tree, "c-3") == ("LIMIT_REACHED", "good*luluka")
    assert (await authorise(api, tree, "c-1"))["heldSeconds"] == 60, "the same call again is no further call"
    seen = await api("{ viewer { callLimits { concurrentCallsMax runningCalls spentToday } } }", by=tree["good"])
    assert seen["viewer"]["callLimits"] == {"concurrentCallsMax": 2, "runningCalls": 2, "spentToday": "2.00000"}
    await api.done("settleCall", "duplicate", {"callId": "c-1", "durationSeconds": 1}, by=tree["luluka"])
    assert (await authorise(api, tree, "c-3"))["heldSeconds"] == 60


async def test_calls_in_one_request_count_against_each_other(api: Api, tree: dict[str, Person]) -> None:
    await limit(api, tree["good"], tree["luluka"], concurrentCallsMax=2)
    calls = [a_call(f"c-{index}") for index in range(3)]
    answer = await api.done(
        "authorizeCalls", "authorizations { callId } refused { index code }", {"calls": calls}, by=tree["luluka"]
    )
    assert [one["callId"] for one in answer["authorizations"]] == ["c-0", "c-1"]
    assert answer["refused"] == [{"index": 2, "code": "LIMIT_REACHED"}]


async def test_no_more_is_spent_on_a_day_than_allowed_by_running_and_ended_calls(
    api: Api, tree: dict[str, Person]
) -> None:
    await limit(api, tree["keytyh"], tree["good"], dailySpendMax="2.5")
    await authorise(api, tree, "c-1")
    await api.done("settleCall", "duplicate", {"callId": "c-1", "durationSeconds": 60}, by=tree["luluka"])
    second = await authorise(api, tree, "c-2")
    assert (second["maxDurationSeconds"], second["heldSeconds"]) == (90, 60)
    third = await authorise(api, tree, "c-3")
    assert (third["maxDurationSeconds"], third["heldSeconds"]) == (30, 30)
    assert await authorise(api, tree, "c-4") == ("LIMIT_REACHED", "keytyh*good")
    refused = await api.refused("extendCall", {"callId": "c-2", "sequence": 1}, by=tree["luluka"])
    assert refused["code"] == "LIMIT_REACHED"


async def test_no_call_is_authorised_for_longer_than_any_level_allows(api: Api, tree: dict[str, Person]) -> None:
    await limit(api, tree["luluka"], api.operator, callDurationSecondsMax=90)
    held = await authorise(api, tree, "c-1")
    assert (held["maxDurationSeconds"], held["heldSeconds"]) == (90, 60)
    extended = await api.done("extendCall", AUTHORIZATION, {"callId": "c-1", "sequence": 1}, by=tree["luluka"])
    assert (extended["authorization"]["heldSeconds"], extended["authorization"]["askAgainAt"]) == (90, None)
    refused = await api.refused("extendCall", {"callId": "c-1", "sequence": 2}, by=tree["luluka"])
    assert refused["code"] == "LIMIT_REACHED"


async def test_only_allowed_and_no_forbidden_prefixes_are_authorised(api: Api, tree: dict[str, Person]) -> None:
    await limit(api, tree["keytyh"], tree["good"], allowedPrefixes=["+43 1", "+43 2"])
    await limit(api, tree["good"], tree["luluka"], forbiddenPrefixes=["4319"])
    assert (await authorise(api, tree, "c-1", number="+43123"))["heldSeconds"] == 60
    assert await authorise(api, tree, "c-2", number="+43323") == ("LIMIT_REACHED", "keytyh*good")
    assert await authorise(api, tree, "c-3", number="+431923") == ("LIMIT_REACHED", "good*luluka")
    await limit(api, tree["keytyh"], tree["good"], allowedPrefixes=[])
    assert (await authorise(api, tree, "c-2", number="+43323"))["heldSeconds"] == 60


async def test_a_reseller_may_refuse_calls_that_it_would_lose_by(api: Api, tree: dict[str, Person]) -> None:
    lists = await api("{ viewer { rateLists { id name } } }", by=tree["good"])
    ten_off = next(one["id"] for one in lists["viewer"]["rateLists"] if one["name"] == "(Predefined) 10% List")
    await api.done(
        "updateAccount", "account { id }", {"accountId": tree["keytyh"].id, "rateListId": ten_off}, by=tree["good"]
    )
    assert (await authorise(api, tree, "c-1"))["pricePerMinute"] == "0.90000000", "off by default"
    await limit(api, tree["good"], tree["good"], noLossCalls=True)
    assert await authorise(api, tree, "c-2") == ("LIMIT_REACHED", "good*luluka")
    own = await authorise(api, tree, "c-3", username="good*luluka")
    assert own["pricePerMinute"] == "1.00000000", "its own calls are nobody's loss"


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        ({"concurrentCallsMax": -1}, ["concurrentCallsMax"]),
        ({"dailySpendMax": "-1"}, ["dailySpendMax"]),
        ({"callDurationSecondsMax": 0}, ["callDurationSecondsMax"]),
        ({"allowedPrefixes": ["43x"]}, ["allowedPrefixes"]),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_and_changes_nothing(
    api: Api, tree: dict[str, Person], limits: dict[str, Any], path: list[str]
) -> None:
    before = await api.rows("call_limits")
    refused = await api.refused("setCallLimits", {"accountId": tree["keytyh"].id, **limits}, by=tree["good"])
    assert refused["path"] == path
    assert await api.rows("call_limits") == before


async def test_limits_are_set_by_the_accounts_own_reseller_alone(api: Api, tree: dict[str, Person]) -> None:
    wanted = {"accountId": tree["keytyh"].id, "concurrentCallsMax": 1}
    assert (await api.refused("setCallLimits", wanted, by=tree["luluka"]))["code"] == "NOT_ALLOWED"
    assert (await api.refused("setCallLimits", wanted, by=tree["keytyh"]))["code"] == "NOT_ALLOWED"
    own = {"accountId": tree["keytyh"].id, "noLossCalls": True}
    assert (await api.refused("setCallLimits", own, by=tree["keytyh"]))["code"] == "NOT_A_RESELLER"
    assert await api.rows("call_limits") == {"call_limits": []}
