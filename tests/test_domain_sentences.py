"""Sentences of the manual that no other test says as plainly, with its figures. Which test proves which is in
test_domain_map.py.
"""

import asyncio
from typing import Any

import pytest

from tests.graphql_client import Api, Person
from tests.rates_api import base_id, change, own_list, rate

STARTED = "2026-05-04T12:00:00Z"


async def give_deck(api: Api, *rates: dict[str, Any]) -> None:
    await change(api, await base_id(api), *rates, by=api.operator)


async def balance(api: Api, person: Person) -> str:
    viewer = (await api("{ viewer { balance } }", by=person))["viewer"]
    return str(viewer["balance"])


async def predefined(api: Api, percent: int, *, by: Person) -> str:
    """The id of the predefined list of this percentage."""
    lists = (await api("{ viewer { rateLists { id name } } }", by=by))["viewer"]["rateLists"]
    return next(str(one["id"]) for one in lists if one["name"] == f"(Predefined) {percent}% List")


def call(account: Person, call_id: str, seconds: int, number: str = "+43 664 123456") -> dict[str, Any]:
    return {
        "callId": call_id,
        "accountId": account.id,
        "number": number,
        "startedAt": STARTED,
        "durationSeconds": seconds,
    }


async def charge(api: Api, asked: dict[str, Any]) -> list[str]:
    """Charge a call as the operator; the codes of why it was refused, if it was."""
    payload = await api.change("chargeCall", "call { charged }", {"call": asked}, by=api.operator)
    return [error["code"] for error in payload["errors"]]


# How money moves


async def test_every_account_has_its_own_balance_in_euro_shown_to_five_decimals(api: Api) -> None:
    good = await api.reseller("good", of=api.operator, credit="9.25")
    keytyh = await api.customer("keytyh", of=good, credit="0.00001")
    shown = [(await api("{ viewer { balance currency } }", by=person))["viewer"] for person in (good, keytyh)]
    assert shown == [{"balance": "9.25000", "currency": "EUR"}, {"balance": "0.00001", "currency": "EUR"}]


async def test_nobody_ever_sees_a_call_charged_in_part(api: Api) -> None:
    await give_deck(api, rate("43", "0.06"))
    people = [api.operator]
    for name in ("luluka", "good", "keytyh"):
        people.append(await api.reseller(name, of=people[-1], credit="100"))
    customer = people[-1]
    total = "SELECT array_agg(balance_units ORDER BY account_id) FROM account_state"
    seen = set()
    charged = asyncio.Event()

    async def watch() -> None:
        async with api.db.read() as connection:
            while not charged.is_set():
                seen.add(tuple((await connection.exec_driver_sql(total)).scalar_one()))

    watching = asyncio.create_task(watch())
    for number in range(20):
        assert await charge(api, call(customer, f"c-{number}", 60)) == []
    charged.set()
    await watching
    for operator, *others in seen:
        # Each level pays 0.06 a call: the same number of calls on every level, whenever one looks.
        assert {10_000_000 + operator} == set(others), "a level was charged before the others"
    assert len(seen) > 1


@pytest.mark.parametrize("poor", ["luluka", "good", "keytyh"])
async def test_a_call_starts_only_while_every_account_on_the_path_can_pay(api: Api, poor: str) -> None:
    await give_deck(api, rate("43", "0.06", firstIncrementSeconds=60))
    people = {"operator": api.operator}
    for name, above in (("luluka", "operator"), ("good", "luluka"), ("keytyh", "good")):
        credit = "0.05999" if name == poor else "100"
        people[name] = await api.reseller(name, of=people[above], credit=credit)
    before = await api.rows("account_state", "calls", "charges", "holds")
    start = {"callId": "c-1", "accountId": people["keytyh"].id, "number": "+43664123456"}
    for mutation, input in (("authorizeCall", start), ("chargeCall", {"call": call(people["keytyh"], "c-2", 1)})):
        refused = await api.refused(mutation, input, by=api.operator)
        assert refused["code"] == "INSUFFICIENT_CREDIT"
        assert refused["account"]["username"].startswith(poor)
    assert await api.rows("account_state", "calls", "charges", "holds") == before

    one_unit = {"accountId": people[poor].id, "amount": "0.00001", "idempotencyKey": "the last unit"}
    await api.done("createCreditTransaction", "duplicate", one_unit, by=api.operator)
    await api.done("authorizeCall", "authorization { heldSeconds }", start, by=api.operator)


async def test_a_reseller_earns_the_difference(api: Api) -> None:
    await give_deck(api, rate("43", "0.06"))
    good = await api.reseller("good", of=api.operator, credit="10")
    dearer = await own_list(api, "0", rate("43", "0.10"), by=good)
    keytyh = await api.customer("keytyh", of=good, credit="10", rateListId=dearer)
    assert await charge(api, call(keytyh, "c-1", 300)) == []
    # The customer paid 0.50 and the reseller 0.30: of what the customer's credit shrank, 0.20 is earned.
    assert (await balance(api, keytyh), await balance(api, good)) == ("9.50000", "9.70000")
    seen = await api('{ call(callId: "c-1") { charges { account { username } amount } } }', by=good)
    assert seen["call"]["charges"] == [
        {"account": {"username": "good*operator"}, "amount": "0.30000"},
        {"account": {"username": "keytyh*good"}, "amount": "0.50000"},
    ]


# Screens of the back office


async def test_the_header_is_one_query(api: Api) -> None:
    good = await api.reseller("good", of=api.operator, credit="9.25")
    assert await api("{ viewer { username balance available currency } }", by=good) == {
        "viewer": {"username": "good*operator", "balance": "9.25000", "available": "9.25000", "currency": "EUR"}
    }


# Rate lists


async def test_with_the_100_percent_list_a_customer_calls_for_free_at_its_resellers_cost(api: Api) -> None:
    await give_deck(api, rate("43", "0.06", connectionFee="0.01"))
    good = await api.reseller("good", of=api.operator, credit="10")
    free = await predefined(api, 100, by=good)
    keytyh = await api.customer("keytyh", of=good, rateListId=free)
    assert await charge(api, call(keytyh, "c-1", 300)) == []
    assert (await balance(api, keytyh), await balance(api, good)) == ("0.00000", "9.69000")


# What hurts users of the systems in this trade


async def test_of_thirty_calls_that_start_at_once_no_more_are_held_than_the_credit_covers(api: Api) -> None:
    await give_deck(api, rate("43", "0.06", firstIncrementSeconds=60, nextIncrementSeconds=60))
    good = await api.reseller("good", of=api.operator, credit="1")
    keytyh = await api.customer("keytyh", of=good, credit="100")

    async def start(number: int) -> bool:
        input = {"callId": f"c-{number}", "accountId": keytyh.id, "number": "+43664123456"}
        payload = await api.change("authorizeCall", "authorization { heldSeconds }", input, by=api.operator)
        return payload["errors"] == []

    started = await asyncio.gather(*map(start, range(30)))
    # A minute is held of each: sixteen are 0.96 of the reseller's 1.00.
    assert sum(started) == 16
    states = [(await api("{ viewer { held available } }", by=person))["viewer"] for person in (good, keytyh)]
    assert states == [{"held": "0.96000", "available": "0.04000"}, {"held": "0.96000", "available": "99.04000"}]
