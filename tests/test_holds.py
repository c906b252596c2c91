"""Holds through the API: authorise, extend, settle, release, in any order. The pure walk is in test_call_batch.py."""

from typing import Any

import pytest

from tests.graphql_client import Api, Person

AUTHORIZATION = (
    "authorization { callId maxDurationSeconds heldSeconds heldUntil askAgainAt pricePerMinute destination } duplicate"
)


async def one_a_minute(api: Api) -> None:
    """The operator's deck: every number that begins with 43 at 1.00 a minute, by the second."""
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql("UPDATE pricing_epoch SET epoch = epoch + 1")
        await tx.exec_driver_sql(
            "INSERT INTO rates (rate_list_id, prefix, destination, price_per_minute_e8, epoch) "
            "SELECT id, '43', 'Austria', 100000000, 1 FROM rate_lists WHERE is_base"
        )


@pytest.fixture
async def tree(api: Api) -> dict[str, Person]:
    """operator ▶ luluka*operator ▶ good*luluka ▶ keytyh*good, each with 10.00000 of credit."""
    await one_a_minute(api)
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    good = await api.reseller("good", of=luluka, credit="10")
    return {"luluka": luluka, "good": good, "keytyh": await api.customer("keytyh", of=good, credit="10")}


def a_call(call_id: str, **fields: Any) -> dict[str, Any]:
    """A call of keytyh to Austria."""
    return {"callId": call_id, "username": "keytyh*good", "number": "+4312345", **fields}


async def state(api: Api, *people: Person) -> list[tuple[str, str, str | None]]:
    """Balance, held and available of each."""
    seen = [(await api("{ viewer { balance held available } }", by=person))["viewer"] for person in people]
    return [(one["balance"], one["held"], one["available"]) for one in seen]


async def test_a_first_slice_is_held_on_every_level_and_settling_charges_the_talked_time(
    api: Api, tree: dict[str, Person]
) -> None:
    people = (api.operator, *tree.values())
    held = (await api.done("authorizeCall", AUTHORIZATION, a_call("c-1"), by=tree["luluka"]))["authorization"]
    assert (held["maxDurationSeconds"], held["heldSeconds"]) == (600, 60)
    assert (held["pricePerMinute"], held["destination"]) == ("1.00000000", "Austria")
    assert await state(api, *people) == [("0.00000", "1.00000", None)] + [("10.00000", "1.00000", "9.00000")] * 3
    settled = await api.done(
        "settleCall",
        "duplicate pending call { charged status }",
        {"callId": "c-1", "durationSeconds": 90},
        by=tree["luluka"],
    )
    assert settled == {
        "duplicate": False,
        "pending": False,
        "call": {"charged": "1.50000", "status": "CHARGED"},
        "errors": [],
    }
    assert await state(api, *people) == [("-1.50000", "0.00000", None)] + [("8.50000", "0.00000", "8.50000")] * 3


async def test_a_smaller_last_slice_is_held_when_less_than_a_full_one_is_left(
    api: Api, tree: dict[str, Person]
) -> None:
    held = []
    for index in range(4):
        await api.done("authorizeCall", AUTHORIZATION, a_call(f"c-{index}"), by=tree["luluka"])
        for sequence in (1, 2):
            extension = {"callId": f"c-{index}", "sequence": sequence}
            payload = await api.change("extendCall", AUTHORIZATION, extension, by=tree["luluka"])
            if payload["errors"]:
                assert payload["errors"][0]["code"] == "INSUFFICIENT_CREDIT"
        holds = await api(
            "{ viewer { holds(last: 1) { nodes { callId heldSeconds held account { username } } } } }", by=tree["good"]
        )
        (hold,) = holds["viewer"]["holds"]["nodes"]
        held.append((hold["heldSeconds"], hold["held"]))
    assert held == [(180, "3.00000"), (180, "3.00000"), (180, "3.00000"), (60, "1.00000")]
    refused = await api.refused("authorizeCall", a_call("c-5"), by=tree["luluka"])
    assert (refused["code"], refused["account"]) == ("INSUFFICIENT_CREDIT", {"username": "keytyh*good"})
    assert await state(api, tree["keytyh"]) == [("10.00000", "10.00000", "0.00000")]


async def test_a_released_call_frees_its_hold_and_charges_nothing(api: Api, tree: dict[str, Person]) -> None:
    await api.done("authorizeCall", AUTHORIZATION, a_call("c-1"), by=tree["luluka"])
    fields = "duplicate call { charged status durationSeconds }"
    released = await api.done("releaseCall", fields, {"callId": "c-1"}, by=tree["luluka"])
    assert released["call"] == {"charged": "0.00000", "status": "RELEASED", "durationSeconds": 0}
    assert await state(api, tree["keytyh"]) == [("10.00000", "0.00000", "10.00000")]
    again = await api.done("releaseCall", fields, {"callId": "c-1"}, by=tree["luluka"])
    assert (again["duplicate"], again["call"]) == (True, released["call"])
    refused = await api.refused("authorizeCall", a_call("c-1"), by=tree["luluka"])
    assert refused["code"] == "CALL_ENDED"


async def test_a_settle_that_comes_before_its_authorisation_is_charged_when_that_arrives(
    api: Api, tree: dict[str, Person]
) -> None:
    end = {"callId": "c-1", "durationSeconds": 90}
    assert (await api.done("settleCall", "pending call { callId }", end, by=tree["luluka"]))["pending"] is True
    assert (await api.done("settleCall", "pending call { callId }", end, by=tree["luluka"]))["pending"] is True
    assert await state(api, tree["keytyh"]) == [("10.00000", "0.00000", "10.00000")]
    late = (await api.done("authorizeCall", AUTHORIZATION, a_call("c-1"), by=tree["luluka"]))["authorization"]
    assert (late["maxDurationSeconds"], late["heldSeconds"]) == (0, 0)
    assert await state(api, tree["keytyh"]) == [("8.50000", "0.00000", "8.50000")]
    assert (await api.done("settleCall", "duplicate", end, by=tree["luluka"]))["duplicate"] is True


async def test_an_expired_hold_frees_itself_and_a_late_settle_is_still_charged(
    api: Api, tree: dict[str, Person]
) -> None:
    await api.done("authorizeCall", AUTHORIZATION, a_call("c-1"), by=tree["luluka"])
    async with api.db.transaction() as tx:  # two minutes pass
        await tx.exec_driver_sql("UPDATE holds SET expires_at = expires_at - interval '3 minutes'")
    # Needs all of it: what has expired must not stand in the way, whether or not it was swept yet.
    call = {**a_call("c-2"), "startedAt": "2026-05-04T12:00:00Z", "durationSeconds": 600}
    await api.done("chargeCall", "duplicate", {"call": call}, by=tree["luluka"])
    assert await state(api, tree["keytyh"]) == [("0.00000", "0.00000", "0.00000")]
    late = await api.done(
        "settleCall", "call { charged overdrawn }", {"callId": "c-1", "durationSeconds": 30}, by=tree["luluka"]
    )
    assert late["call"] == {"charged": "0.50000", "overdrawn": True}
    assert await state(api, tree["keytyh"]) == [("-0.50000", "0.00000", "-0.50000")]


async def test_a_stranger_neither_extends_nor_settles_a_call(api: Api, tree: dict[str, Person]) -> None:
    stranger = await api.reseller("stranger", of=api.operator)
    await api.done("authorizeCall", AUTHORIZATION, a_call("c-1"), by=tree["luluka"])
    before = await api.rows("holds", "account_state", "calls", "early_ends")
    for mutation, input in (
        ("extendCall", {"callId": "c-1", "sequence": 1}),
        ("settleCall", {"callId": "c-1", "durationSeconds": 60}),
        ("releaseCall", {"callId": "c-1"}),
    ):
        assert (await api.refused(mutation, input, by=stranger))["code"] == "NOT_FOUND"
    assert await api.rows("holds", "account_state", "calls", "early_ends") == before
    await api.done("settleCall", "duplicate", {"callId": "c-1", "durationSeconds": 60}, by=tree["luluka"])
    # Nor does it learn that the call is in the books, or how long it took.
    for mutation, input in (
        ("extendCall", {"callId": "c-1", "sequence": 1}),
        ("settleCall", {"callId": "c-1", "durationSeconds": 60}),
        ("settleCall", {"callId": "c-1", "durationSeconds": 61}),
        ("releaseCall", {"callId": "c-1"}),
    ):
        refused = await api.refused(mutation, input, by=stranger)
        assert (refused["code"], refused["message"]) == ("NOT_FOUND", "There is no such call.")
    for mutation, input, code in (
        ("extendCall", {"callId": "c-1", "sequence": 1}, "CALL_ENDED"),
        ("settleCall", {"callId": "c-1", "durationSeconds": 61}, "IDEMPOTENCY_CONFLICT"),
    ):
        assert (await api.refused(mutation, input, by=tree["good"]))["code"] == code


async def test_many_calls_are_authorised_and_settled_each_on_its_own(api: Api, tree: dict[str, Person]) -> None:
    calls = [a_call(f"c-{index}") for index in range(12)]
    fields = "duplicates authorizations { callId heldSeconds } refused { index code }"
    answer = await api.done("authorizeCalls", fields, {"calls": calls}, by=tree["luluka"])
    assert [one["heldSeconds"] for one in answer["authorizations"]] == [60] * 10
    assert answer["refused"] == [
        {"index": 10, "code": "INSUFFICIENT_CREDIT"},
        {"index": 11, "code": "INSUFFICIENT_CREDIT"},
    ]
    ends = [{"callId": f"c-{index}", "durationSeconds": 6} for index in range(12)]
    answer = await api.done(
        "settleCalls", "settled duplicates pending refused { code }", {"calls": ends}, by=tree["luluka"]
    )
    assert answer == {"settled": 10, "duplicates": 0, "pending": 2, "refused": [], "errors": []}
    assert await state(api, tree["keytyh"]) == [("9.00000", "0.00000", "9.00000")]


@pytest.mark.parametrize(
    ("who_is_short", "asked_by", "named"),
    [
        ("keytyh", "luluka", "keytyh*good"),
        ("good", "luluka", "good*luluka"),
        ("luluka", "luluka", "luluka*operator"),
        ("good", "good", "good*luluka"),
        ("luluka", "good", None),
    ],
)
async def test_a_refusal_names_the_account_in_the_way_to_those_who_may_see_it(
    api: Api, tree: dict[str, Person], who_is_short: str, asked_by: str, named: str | None
) -> None:
    deduct = {"accountId": tree[who_is_short].id, "amount": "-10", "idempotencyKey": "k-1"}
    await api.done("createCreditTransaction", "duplicate", deduct, by=api.operator)
    account = named and {"username": named}
    one = await api.refused("authorizeCall", a_call("c-1"), by=tree[asked_by])
    assert (one["code"], one["account"]) == ("INSUFFICIENT_CREDIT", account)
    fields = "authorizations { callId } refused { index callId code account { username } }"
    many = await api.done("authorizeCalls", fields, {"calls": [a_call("c-1"), a_call("c-2")]}, by=tree[asked_by])
    assert many["refused"] == [
        {"index": index, "callId": f"c-{index + 1}", "code": "INSUFFICIENT_CREDIT", "account": account}
        for index in range(2)
    ]
    assert await api.rows("holds") == {"holds": []}


async def test_a_refused_extension_names_the_account_in_the_way_and_what_was_held_stays(
    api: Api, tree: dict[str, Person]
) -> None:
    await api.done("authorizeCall", AUTHORIZATION, a_call("c-1"), by=tree["good"])
    for name in ("luluka", "keytyh"):
        deduct = {"accountId": tree[name].id, "amount": "-9", "idempotencyKey": f"k-{name}"}
        await api.done("createCreditTransaction", "duplicate", deduct, by=api.operator)
        before = await api.rows("holds", "account_state")
        refused = await api.refused("extendCall", {"callId": "c-1", "sequence": 1}, by=tree["good"])
        # Of several accounts that cannot pay it is the one nearest to the customer.
        shown = {"username": "keytyh*good"} if name == "keytyh" else None
        assert (refused["code"], refused["account"]) == ("INSUFFICIENT_CREDIT", shown)
        assert await api.rows("holds", "account_state") == before


async def test_a_reseller_below_the_switch_that_authorised_a_call_cannot_end_it(
    api: Api, tree: dict[str, Person]
) -> None:
    await api.done("authorizeCall", AUTHORIZATION, a_call("c-1"), by=tree["luluka"])
    seen = await api("{ viewer { holds { nodes { callId } } } }", by=tree["good"])
    assert seen["viewer"]["holds"]["nodes"] == [{"callId": "c-1"}]
    before = await api.rows("holds", "account_state", "calls", "early_ends")
    call = a_call("c-1") | {"startedAt": "2026-05-04T12:00:00Z", "durationSeconds": 0}
    for mutation, input in (
        ("extendCall", {"callId": "c-1", "sequence": 1}),
        ("settleCall", {"callId": "c-1", "durationSeconds": 1}),
        ("releaseCall", {"callId": "c-1"}),
        ("chargeCall", {"call": call, "policy": "ALWAYS_CHARGE"}),
    ):
        assert (await api.refused(mutation, input, by=tree["good"]))["code"] == "NOT_ALLOWED"
    assert await api.rows("holds", "account_state", "calls", "early_ends") == before
    settled = await api.done(
        "settleCall", "call { charged }", {"callId": "c-1", "durationSeconds": 60}, by=api.operator
    )
    assert settled["call"] == {"charged": "1.00000"}, "an account above the switch's may"


async def test_an_end_that_a_lower_reseller_sent_before_the_authorisation_means_nothing(
    api: Api, tree: dict[str, Person]
) -> None:
    await api.done("releaseCall", "pending", {"callId": "c-1"}, by=tree["good"])
    held = await api.done("authorizeCall", AUTHORIZATION, a_call("c-1"), by=tree["luluka"])
    assert held["authorization"]["heldSeconds"] == 60
    await api.done("settleCall", "call { charged }", {"callId": "c-1", "durationSeconds": 60}, by=tree["luluka"])
    assert (await api.rows("early_ends"))["early_ends"] == []
