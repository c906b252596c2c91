"""`quote`: what a call would cost each visible level, and why it would be refused."""

from typing import Any

import pytest

from tests.graphql_client import Api, Person
from tests.rates_api import base_id, change, own_list, rate

QUOTE = """
query ($id: ID!, $number: String!, $seconds: Int!, $at: DateTime) {
  quote(accountId: $id, number: $number, durationSeconds: $seconds, at: $at) {
    number durationSeconds
    levels { account { username } prefix destination pricePerMinute connectionFee billedSeconds amount }
    refusal { code message account { username } }
  }
}
"""


async def quoted(
    api: Api, person: Person, number: str = "+43 664 123456", seconds: int = 300, *, by: Person | None = None
) -> Any:
    return (await api(QUOTE, {"id": person.id, "number": number, "seconds": seconds}, by=by or person))["quote"]


async def amounts(api: Api, person: Person, *, by: Person, **others: Any) -> dict[str, str]:
    levels = (await quoted(api, person, by=by, **others))["levels"]
    return {level["account"]["username"]: level["amount"] for level in levels}


async def tree(api: Api) -> tuple[Person, Person]:
    """luluka pays 0.06 and its customer keytyh 0.10 a minute; both have credit."""
    await change(api, await base_id(api), rate("43", "0.03", destination="Austria"), by=api.operator)
    to_luluka = await own_list(api, "-100", by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator, rateListId=to_luluka, credit="100")
    to_keytyh = await own_list(api, "0", rate("43664", "0.10", connectionFee="0.02"), by=luluka)
    return luluka, await api.customer("keytyh", of=luluka, rateListId=to_keytyh, credit="10")


async def test_a_quote_shows_each_visible_level_at_its_own_price(api: Api) -> None:
    luluka, keytyh = await tree(api)
    assert await quoted(api, keytyh, by=api.operator) == {
        "number": "43664123456",
        "durationSeconds": 300,
        "levels": [
            {
                "account": {"username": "operator"},
                "prefix": "43",
                "destination": "Austria",
                "pricePerMinute": "0.03000000",
                "connectionFee": "0.00000000",
                "billedSeconds": 300,
                "amount": "0.15000",
            },
            {
                "account": {"username": "luluka*operator"},
                "prefix": "43",
                "destination": "Austria",
                "pricePerMinute": "0.06000000",
                "connectionFee": "0.00000000",
                "billedSeconds": 300,
                "amount": "0.30000",
            },
            {
                "account": {"username": "keytyh*luluka"},
                "prefix": "43664",
                "destination": "Austria",
                "pricePerMinute": "0.10000000",
                "connectionFee": "0.02000000",
                "billedSeconds": 300,
                "amount": "0.52000",
            },
        ],
        "refusal": None,
    }
    assert await amounts(api, keytyh, by=luluka) == {"luluka*operator": "0.30000", "keytyh*luluka": "0.52000"}
    assert await amounts(api, keytyh, by=keytyh) == {"keytyh*luluka": "0.52000"}


async def test_a_quote_is_exactly_what_is_charged(api: Api) -> None:
    _, keytyh = await tree(api)
    expected = await amounts(api, keytyh, by=api.operator)
    call = {
        "callId": "1",
        "accountId": keytyh.id,
        "number": "+43664123456",
        "startedAt": "2026-01-01T12:00:00Z",
        "durationSeconds": 300,
    }
    fields = "call { charges { account { username } amount } }"
    payload = await api.done("chargeCall", fields, {"call": call}, by=api.operator)
    charges = {charge["account"]["username"]: charge["amount"] for charge in payload["call"]["charges"]}
    assert charges == expected


async def test_a_quote_changes_nothing(api: Api) -> None:
    _, keytyh = await tree(api)
    before = await api.rows("account_state", "calls", "charges", "usage_days")
    await quoted(api, keytyh)
    assert await api.rows("account_state", "calls", "charges", "usage_days") == before


async def test_a_call_of_0_seconds_is_quoted_at_nothing(api: Api) -> None:
    _, keytyh = await tree(api)
    assert await amounts(api, keytyh, by=keytyh, seconds=0) == {"keytyh*luluka": "0.00000"}


async def test_a_number_without_a_rate_has_a_reason_and_no_levels(api: Api) -> None:
    _, keytyh = await tree(api)
    found = await quoted(api, keytyh, number="+4412345")
    assert (found["levels"], found["refusal"]["code"]) == ([], "NO_RATE")


async def test_a_destination_blocked_above_has_a_reason_and_no_levels(api: Api) -> None:
    _, keytyh = await tree(api)
    await change(api, await base_id(api), rate("43664", blocked=True), by=api.operator)
    found = await quoted(api, keytyh)
    assert (found["levels"], found["refusal"]["code"]) == ([], "NO_RATE")


async def test_whoever_cannot_pay_is_named_where_the_viewer_may_see_it(api: Api) -> None:
    luluka, keytyh = await tree(api)
    found = await quoted(api, keytyh, seconds=7200)
    assert found["refusal"]["code"] == "INSUFFICIENT_CREDIT"
    assert found["refusal"]["account"] == {"username": "keytyh*luluka"}
    assert len(found["levels"]) == 1
    taken = {"accountId": luluka.id, "amount": "-99.9", "idempotencyKey": "1"}
    await api.done("createCreditTransaction", "transaction { id }", taken, by=api.operator)
    for viewer, account in ((keytyh, None), (luluka, {"username": "luluka*operator"})):
        refusal = (await quoted(api, keytyh, by=viewer))["refusal"]
        assert (refusal["code"], refusal["account"]) == ("INSUFFICIENT_CREDIT", account)


async def test_a_block_above_is_a_reason(api: Api) -> None:
    luluka, keytyh = await tree(api)
    await api.done("blockAccount", "account { id }", {"accountId": luluka.id}, by=api.operator)
    found = await quoted(api, keytyh)
    assert found["refusal"]["code"] == "ACCOUNT_BLOCKED"
    assert found["refusal"]["account"] is None
    assert len(found["levels"]) == 1


@pytest.mark.parametrize("number", ["", "sip:alice", "*1003", "1234567890123456"])
async def test_what_is_no_number_is_a_reason(api: Api, number: str) -> None:
    _, keytyh = await tree(api)
    found = await quoted(api, keytyh, number=number)
    assert (found["number"], found["levels"], found["refusal"]["code"]) == (None, [], "INVALID_NUMBER")


async def test_a_quote_at_another_time_has_the_prices_of_that_time(api: Api) -> None:
    await tree(api)
    planned = rate("43", "0.3", effectiveFrom="2100-01-01T00:00:00Z")
    await change(api, await base_id(api), planned, by=api.operator)
    variables = {"id": api.operator.id, "number": "43664", "seconds": 60}
    now = await api(QUOTE, variables, by=api.operator)
    then = await api(QUOTE, {**variables, "at": "2100-01-01T00:00:00Z"}, by=api.operator)
    assert [data["quote"]["levels"][0]["amount"] for data in (now, then)] == ["0.03000", "0.30000"]


async def test_a_quote_is_for_visible_accounts_and_possible_durations_only(api: Api) -> None:
    luluka, keytyh = await tree(api)
    sibling = await api.customer("sibling", of=api.operator)
    for viewer, account in ((sibling, keytyh), (keytyh, luluka)):
        assert await quoted(api, account, by=viewer) is None
    variables = {"id": keytyh.id, "number": "43664"}
    for seconds in (-1, 7 * 24 * 3600 + 1):
        assert await api.failure(QUOTE, {**variables, "seconds": seconds}, by=keytyh) == "BAD_USER_INPUT"
    assert await api.failure(QUOTE, {**variables, "seconds": 1}) == "UNAUTHENTICATED"
