"""Screens of the manual's back office that need several areas at once: each is one query (domain.md)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.graphql_client import Api, Person
from tests.offers_api import COLLECTED, bought, published
from tests.rates_api import base_id, change, own_list, rate


@pytest.fixture
async def office(api: Api) -> dict[str, Person]:
    """operator ▶ good ▶ keytyh, who pays half as much again as good and has called twice today."""
    good = await api.reseller("good", of=api.operator, credit="100")
    await change(api, await base_id(api), rate("43", "0.06", destination="Austria"), by=api.operator)
    list_id = await own_list(api, "-50", by=good)
    keytyh = await api.customer("keytyh", of=good, credit="10", rateListId=list_id)
    calls = [
        {
            "callId": str(seconds),
            "username": "keytyh*good",
            "number": "+4312345",
            "startedAt": datetime.now(UTC).isoformat(),
            "durationSeconds": seconds,
        }
        for seconds in (4000, 130)
    ]
    await api.done("chargeCalls", "charged", {"calls": calls}, by=good)
    return {"good": good, "keytyh": keytyh}


async def screen(api: Api, fields: str, viewer: Person) -> dict[str, Any]:
    shown: dict[str, Any] = (await api(f"{{ viewer {{ {fields} }} }}", by=viewer))["viewer"]
    return shown


async def test_the_list_of_calls_has_every_column_and_filter_of_its_screen_in_one_query(
    api: Api, office: dict[str, Person]
) -> None:
    fields = f"""calls(since: "2020-01-01T00:00:00Z", until: "2100-01-01T00:00:00Z", number: "431", destination: "aust",
      account: "{office["keytyh"].id}", status: CHARGED, direction: DESC) {{
      nodes {{ startedAt number destination durationSeconds charged account {{ username }} charges {{ amount }} }} }}"""
    nodes = (await screen(api, fields, office["good"]))["calls"]["nodes"]
    assert [(node["destination"], node["durationSeconds"], node["charged"], node["charges"]) for node in nodes] == [
        ("Austria", 130, "0.19500", [{"amount": "0.13000"}, {"amount": "0.19500"}]),
        ("Austria", 4000, "6.00000", [{"amount": "4.00000"}, {"amount": "6.00000"}]),
    ]
    assert {node["account"]["username"] for node in nodes} == {"keytyh*good"}


async def test_what_can_be_bought_what_is_sold_and_what_was_bought_is_one_query(
    api: Api, office: dict[str, Person]
) -> None:
    offer_id = await published(api, COLLECTED, by=office["good"])
    await bought(api, offer_id, office["keytyh"], "20", by=office["good"], key="1")
    fields = """offers { name currency price perCredit creditMin bonus { credit threshold basis } }
      ownOffers { nodes { name } } purchases { nodes { credit toPay currency creditTotal } }"""

    shown = await screen(api, fields, office["keytyh"])
    assert shown == {
        "offers": [
            {
                "name": "Collected",
                "currency": "CNY",
                "price": "105.00",
                "perCredit": "10.00000",
                "creditMin": "0.00000",
                "bonus": {"credit": "18.00000", "threshold": "100.00000", "basis": "PURCHASES_ADDED_UP"},
            }
        ],
        "ownOffers": {"nodes": []},
        "purchases": {
            "nodes": [{"credit": "20.00000", "toPay": "210.00", "currency": "CNY", "creditTotal": "20.00000"}]
        },
    }
    shown = await screen(api, fields, office["good"])
    assert (shown["offers"], shown["ownOffers"]["nodes"]) == ([], [{"name": "Collected"}])
