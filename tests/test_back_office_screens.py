"""Every screen of the manual's back office has its data in one query (domain.md, "Screens of the back office")."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.graphql_client import Api, Person
from tests.offers_api import COLLECTED, bought, published
from tests.rates_api import base_id, change, own_list, rate


@pytest.fixture
async def office(api: Api) -> dict[str, Person]:
    """operator ▶ good ▶ keytyh and the reseller late, which is blocked. keytyh has called for 68 min 50 s today."""
    good = await api.reseller("good", of=api.operator, credit="100")
    await change(api, await base_id(api), rate("43", "0.06", destination="Austria"), by=api.operator)
    list_id = await own_list(api, "-50", by=good)
    keytyh = await api.customer("keytyh", of=good, credit="10", rateListId=list_id)
    late = await api.reseller("late", of=good, blocked=True)
    calls = [
        {"callId": str(seconds), "username": "keytyh*good", "number": "+4312345", "durationSeconds": seconds}
        | {"startedAt": datetime.now(UTC).isoformat()}
        for seconds in (4000, 130)
    ]
    await api.done("chargeCalls", "charged", {"calls": calls}, by=good)
    return {"good": good, "keytyh": keytyh, "late": late}


async def screen(api: Api, fields: str, viewer: Person) -> dict[str, Any]:
    shown: dict[str, Any] = (await api(f"{{ viewer {{ {fields} }} }}", by=viewer))["viewer"]
    return shown


async def test_header(api: Api, office: dict[str, Person]) -> None:
    assert await screen(api, "username balance available", office["keytyh"]) == {
        "username": "keytyh*good",
        "balance": "3.80500",
        "available": "3.80500",
    }


async def test_transactions(api: Api, office: dict[str, Person]) -> None:
    gift = {"accountId": office["keytyh"].id, "amount": "2", "idempotencyKey": "1", "remark": "May"}
    await api.done("createCreditTransaction", "duplicate", gift, by=office["good"])
    shown = await screen(api, "transactions { nodes { createdAt amount balanceAfter remark } }", office["keytyh"])
    assert [(node["amount"], node["balanceAfter"], node["remark"]) for node in shown["transactions"]["nodes"]] == [
        ("2.00000", "5.80500", "May"),
        ("10.00000", "10.00000", None),
    ]


async def test_calls(api: Api, office: dict[str, Person]) -> None:
    fields = """calls(since: "2020-01-01T00:00:00Z", number: "431", destination: "aust", direction: DESC) {
      nodes { startedAt number destination durationSeconds charged account { username } charges { amount } } }"""
    shown = await screen(api, fields, office["good"])
    assert [(node["account"]["username"], node["charged"], node["charges"]) for node in shown["calls"]["nodes"]] == [
        ("keytyh*good", "0.19500", [{"amount": "0.13000"}, {"amount": "0.19500"}]),
        ("keytyh*good", "6.00000", [{"amount": "4.00000"}, {"amount": "6.00000"}]),
    ]


async def test_rates_show_a_change_at_once(api: Api, office: dict[str, Person]) -> None:
    fields = 'rates(search: "aust") { nodes { prefix destination pricePerMinute } }'
    for price, shown in (("0.06", "0.09000000"), ("0.08", "0.12000000")):
        await change(api, await base_id(api), rate("43", price, destination="Austria"), by=api.operator)
        found = await screen(api, fields, office["keytyh"])
        assert found["rates"]["nodes"] == [{"prefix": "43", "destination": "Austria", "pricePerMinute": shown}]


async def test_edit_account(api: Api, office: dict[str, Person]) -> None:
    details = {
        "emailAddress": "a@b.example",
        "telephoneNumbers": ["+43 1 5123456"],
        "otherDetails": "rings twice",
        "address": {"line1": "Ring 1", "line2": None, "postalCode": "1010", "city": "Vienna", "country": "Austria"},
    }
    input = {"accountId": office["keytyh"].id, **details}
    await api.done("updateAccount", "account { id }", input, by=office["keytyh"])
    fields = "emailAddress telephoneNumbers otherDetails address { line1 line2 postalCode city country }"
    assert await screen(api, fields, office["keytyh"]) == details


async def test_the_list_of_customers_has_all_its_columns_in_one_query(api: Api, office: dict[str, Person]) -> None:
    fields = """customers { nodes { username balance blocked isReseller rateList { name }
      usage { calls durationSeconds charged } } }"""
    assert (await screen(api, fields, office["good"]))["customers"]["nodes"] == [
        {
            "username": "keytyh*good",
            "balance": "3.80500",
            "blocked": False,
            "isReseller": False,
            "rateList": {"name": "List -50"},
            "usage": {"calls": 2, "durationSeconds": 4130, "charged": "6.19500"},
        },
        {
            "username": "late*good",
            "balance": "0.00000",
            "blocked": True,
            "isReseller": True,
            "rateList": {"name": "(Predefined) 0% List"},
            "usage": {"calls": 0, "durationSeconds": 0, "charged": "0.00000"},
        },
    ]


async def test_rate_lists_for_customers(api: Api, office: dict[str, Person]) -> None:
    fields = "rateLists { name discountPercent warning } customerCount"
    shown = await screen(api, fields, office["good"])
    assert shown["customerCount"] == 2
    assert shown["rateLists"][-1] == {"name": "List -50", "discountPercent": "-50", "warning": None}


async def test_buying_and_selling_credit(api: Api, office: dict[str, Person]) -> None:
    offer_id = await published(api, COLLECTED, by=office["good"])
    await bought(api, offer_id, office["keytyh"], "20", by=office["good"], key="1")
    fields = """offers { name currency price perCredit creditMin bonus { credit threshold basis } }
      ownOffers { nodes { name } } purchases { nodes { credit toPay currency creditTotal } }"""
    shown = await screen(api, fields, office["keytyh"])
    assert (shown["offers"][0]["name"], shown["ownOffers"]["nodes"]) == ("Collected", [])
    assert shown["purchases"]["nodes"] == [
        {"credit": "20.00000", "toPay": "210.00", "currency": "CNY", "creditTotal": "20.00000"}
    ]
    shown = await screen(api, fields, office["good"])
    assert (shown["offers"], shown["ownOffers"]["nodes"]) == ([], [{"name": "Collected"}])


async def test_personalize_website(api: Api, office: dict[str, Person]) -> None:
    await api.done("updateBranding", "branding { name }", {"name": "Good Calls"}, by=office["good"])
    fields = "branding { name logoUrl primaryColour secondaryColour }"
    assert (await screen(api, fields, office["keytyh"]))["branding"]["name"] == "Good Calls"
