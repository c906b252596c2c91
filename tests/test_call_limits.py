"""Limits on calls beyond credit, enforced over the whole path when a call is authorised or extended."""

from datetime import timedelta
from decimal import Decimal
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


async def test_calls_of_every_account_below_count_and_other_branches_do_not(api: Api, tree: dict[str, Person]) -> None:
    await api.customer("anna", of=tree["good"], credit="100")
    await api.customer("stand", of=tree["luluka"], credit="100")
    await limit(api, tree["good"], tree["luluka"], concurrentCallsMax=2)
    for call_id, username in (("c-1", "keytyh*good"), ("c-2", "stand*luluka"), ("c-3", "anna*good")):
        assert (await authorise(api, tree, call_id, username=username))["heldSeconds"] == 60
    for username in ("keytyh*good", "anna*good", "good*luluka"):
        assert await authorise(api, tree, "c-4", username=username) == ("LIMIT_REACHED", "good*luluka")
    assert (await authorise(api, tree, "c-4", username="stand*luluka"))["heldSeconds"] == 60


async def test_a_call_whose_end_never_came_no_longer_counts_once_its_hold_has_expired(
    api: Api, tree: dict[str, Person]
) -> None:
    await limit(api, tree["keytyh"], tree["good"], concurrentCallsMax=1, dailySpendMax="1")
    assert (await authorise(api, tree, "c-1"))["heldSeconds"] == 60
    assert await authorise(api, tree, "c-2") == ("LIMIT_REACHED", "keytyh*good")
    async with api.db.transaction() as tx:  # two minutes pass
        await tx.exec_driver_sql("UPDATE holds SET expires_at = expires_at - interval '3 minutes'")
    assert (await authorise(api, tree, "c-2"))["heldSeconds"] == 60


async def test_a_limit_of_an_account_above_the_viewer_refuses_without_naming_it(
    api: Api, tree: dict[str, Person]
) -> None:
    await limit(api, tree["luluka"], api.operator, concurrentCallsMax=0)
    assert await authorise(api, tree, "c-1") == ("LIMIT_REACHED", "luluka*operator")
    refused = await api.refused("authorizeCall", a_call("c-1"), by=tree["good"])
    assert (refused["code"], refused["account"]) == ("LIMIT_REACHED", None)
    await limit(api, tree["luluka"], api.operator, concurrentCallsMax=None)
    assert (await authorise(api, tree, "c-1"))["heldSeconds"] == 60


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


async def test_what_was_spent_today_is_known_where_no_limit_was_ever_set(api: Api, tree: dict[str, Person]) -> None:
    await authorise(api, tree, "c-1")
    await api.done("settleCall", "pending", {"callId": "c-1", "durationSeconds": 90}, by=tree["luluka"])
    await authorise(api, tree, "c-2")

    limits = "callLimits { spentToday dailySpendMax runningCalls allowedPrefixes noLossCalls }"
    for person in (tree["luluka"], tree["good"], tree["keytyh"]):
        found = (await api(f"{{ viewer {{ held usage {{ charged }} {limits} }} }}", by=person))["viewer"]
        spent = Decimal(found["held"]) + Decimal(found["usage"]["charged"])
        assert found["callLimits"] == {
            "spentToday": str(spent),
            "dailySpendMax": None,
            "runningCalls": None,
            "allowedPrefixes": [],
            "noLossCalls": False,
        }
        assert spent > 0


@pytest.mark.parametrize("limited", ["keytyh", "good", "luluka"])
async def test_what_was_spent_on_another_utc_day_does_not_count(
    api: Api, tree: dict[str, Person], limited: str
) -> None:
    resellers = {"keytyh": tree["good"], "good": tree["luluka"], "luluka": api.operator}
    await limit(api, tree[limited], resellers[limited], dailySpendMax="2")
    async with api.db.read() as connection:
        rows = await connection.exec_driver_sql("SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'")
        midnight = rows.scalar_one()
    # A call belongs to the day of its start: yesterday's last one counts nothing, today's first one does.
    for call_id, started_at in (("c-1", midnight - timedelta(seconds=1)), ("c-2", midnight)):
        call = {**a_call(call_id), "startedAt": started_at.isoformat(), "durationSeconds": 90}
        await api.done("chargeCall", "duplicate", {"call": call}, by=tree["luluka"])
    held = await authorise(api, tree, "c-3")
    assert (held["maxDurationSeconds"], held["heldSeconds"]) == (30, 30)
    username = f"{limited}*{'good' if limited == 'keytyh' else 'luluka' if limited == 'good' else 'operator'}"
    assert await authorise(api, tree, "c-4") == ("LIMIT_REACHED", username)


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
    selected = await api.done(
        "updateAccount", "warnings", {"accountId": tree["keytyh"].id, "rateListId": ten_off}, by=tree["good"]
    )
    assert len(selected["warnings"]) == 1
    assert "lose" in selected["warnings"][0]
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
