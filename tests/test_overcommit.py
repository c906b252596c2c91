"""A reseller can promise more than it has, unless its own reseller holds it to its own credit."""

import asyncio

import pytest

from tests.graphql_client import Api, Person


@pytest.fixture
async def luluka(api: Api) -> Person:
    """A reseller with 10.00000 that is held to it."""
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    held = {"accountId": luluka.id, "heldToOwnCredit": True}
    answer = await api.done("updateAccount", "account { heldToOwnCredit }", held, by=api.operator)
    assert answer["account"] == {"heldToOwnCredit": True}
    return luluka


async def give(api: Api, to: Person, amount: str, by: Person, key: str = "k") -> str | None:
    """The code of the refusal, None if the credit was given."""
    input = {"accountId": to.id, "amount": amount, "idempotencyKey": key}
    payload = await api.change("createCreditTransaction", "duplicate", input, by=by)
    return payload["errors"][0]["code"] if payload["errors"] else None


async def test_by_default_a_reseller_promises_more_than_it_has(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    first = await api.customer("first", of=luluka, credit="10")
    assert await give(api, first, "100", luluka) is None


async def test_a_reseller_held_to_its_own_credit_promises_no_more_in_all(api: Api, luluka: Person) -> None:
    first = await api.customer("first", of=luluka, credit="4")
    before = await api.rows()
    refused = await api.refused(
        "createCustomer", {"username": "second", "password": "s3cret", "credit": "6.00001"}, by=luluka
    )
    assert (refused["code"], refused["account"]) == ("INSUFFICIENT_CREDIT", {"username": "luluka*operator"})
    assert await give(api, first, "6.00001", luluka) == "INSUFFICIENT_CREDIT"
    limit = {"accountId": first.id, "creditLimit": "6.00001"}
    assert (await api.refused("setCreditLimit", limit, by=luluka))["code"] == "INSUFFICIENT_CREDIT"
    assert await api.rows() == before
    assert await give(api, first, "2", luluka) is None
    await api.done("setCreditLimit", "account { id }", {**limit, "creditLimit": "4"}, by=luluka)
    assert await give(api, first, "0.00001", luluka, "k-2") == "INSUFFICIENT_CREDIT"
    assert await give(api, first, "-1", luluka, "k-3") is None, "to take some back is no promise"


async def test_two_promises_at_once_do_not_exceed_it_together(api: Api, luluka: Person) -> None:
    first = await api.customer("first", of=luluka)
    second = await api.customer("second", of=luluka)
    for round_ in range(5):
        given = await asyncio.gather(
            give(api, first, "6", luluka, f"first {round_}"), give(api, second, "6", luluka, f"second {round_}")
        )
        assert sorted(given, key=str) == ["INSUFFICIENT_CREDIT", None]
        winner = first if given[0] is None else second
        assert await give(api, winner, "-6", luluka, f"back {round_}") is None


async def test_only_its_own_reseller_holds_a_reseller_to_its_credit(api: Api, luluka: Person) -> None:
    free = {"accountId": luluka.id, "heldToOwnCredit": False}
    assert (await api.refused("updateAccount", free, by=luluka))["code"] == "NOT_ALLOWED"
    assert (await api("{ viewer { heldToOwnCredit } }", by=luluka))["viewer"]["heldToOwnCredit"] is True
