"""Offers: what a reseller publishes, who is shown it, and that nobody sells on below what those above allow."""

import asyncio
from typing import Any

import pytest

from tests.graphql_client import Api, Person
from tests.offers_api import AT_ONCE, RETAIL, WHOLESALE, published

OFFER = """
name currency price perCredit creditMin bonus { credit threshold basis } resalePriceMin closedAt owner { username }
"""
SHOWN = "{ viewer { offers { name owner { username } } ownOffers { nodes { name } } } }"
TABLES = ("offers", "purchases", "account_state", "credit_transactions", "idempotency_keys")


async def names(api: Api, viewer: Person) -> tuple[list[str], list[str]]:
    """Names of the offers that the viewer may buy under, and of those it publishes."""
    shown = (await api(SHOWN, by=viewer))["viewer"]
    return [offer["name"] for offer in shown["offers"]], [offer["name"] for offer in shown["ownOffers"]["nodes"]]


async def test_an_offer_shows_its_terms_as_they_were_given(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    given = {**AT_ONCE, "creditMin": "10.5", "resalePriceMin": "98.5"}

    offer = (await api.done("createOffer", f"offer {{ {OFFER} }}", given, by=good))["offer"]

    assert offer == {
        "name": "At once",
        "currency": "CNY",
        "price": "105.00",
        "perCredit": "10.00000",
        "creditMin": "10.50000",
        "bonus": {"credit": "20.00000", "threshold": "100.00000", "basis": "ONE_PURCHASE"},
        "resalePriceMin": "98.50",
        "closedAt": None,
        "owner": {"username": "good*operator"},
    }


async def test_the_price_is_for_one_unless_the_offer_says_for_how_much(api: Api) -> None:
    input = {"name": "Plain", "currency": "USD", "price": "1.10"}
    offer = (await api.done("createOffer", f"offer {{ {OFFER} }}", input, by=api.operator))["offer"]
    assert (offer["perCredit"], offer["creditMin"], offer["bonus"], offer["resalePriceMin"]) == (
        *("1.00000", "0.00000"),
        *(None, None),
    )


async def test_an_offer_is_made_to_the_direct_customers_who_do_not_learn_whose_it_is(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    keytyh = await api.customer("keytyh", of=good)
    await published(api, WHOLESALE, by=api.operator)
    offer_id = await published(api, RETAIL, by=good)

    assert await names(api, api.operator) == ([], ["Wholesale"])
    assert await names(api, good) == (["Wholesale"], ["Retail"])
    assert await names(api, keytyh) == (["Retail"], [])
    assert (await api(SHOWN, by=keytyh))["viewer"]["offers"][0]["owner"] is None
    query = "query ($id: ID!) { node(id: $id) { ... on Offer { name owner { username } } } }"
    assert await api(query, {"id": offer_id}, by=keytyh) == {"node": {"name": "Retail", "owner": None}}
    assert await api(query, {"id": offer_id}, by=api.operator) == {
        "node": {"name": "Retail", "owner": {"username": "good*operator"}}
    }


async def test_the_offers_of_a_page_of_customers_are_asked_in_one_query(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    await published(api, RETAIL, by=good)
    for number in range(3):
        await api.customer(f"c{number}", of=good)
    query = (
        "{ viewer { offers { name } customers { nodes { username offers { name } ownOffers { nodes { name } } } } } }"
    )
    shown = (await api(query, by=good))["viewer"]
    assert [node["offers"] for node in shown["customers"]["nodes"]] == [[{"name": "Retail"}]] * 3


async def test_changed_terms_hold_and_what_is_left_out_stays(api: Api) -> None:
    offer_id = await published(api, AT_ONCE, by=api.operator, resalePriceMin="98")

    async def changed(**changes: Any) -> dict[str, Any]:
        input = {"offerId": offer_id, **changes}
        offer: dict[str, Any] = (await api.done("updateOffer", f"offer {{ {OFFER} }}", input, by=api.operator))["offer"]
        return offer

    first = await changed(price="110", name="Now")
    assert (first["price"], first["name"], first["bonus"]["credit"]) == ("110.00", "Now", "20.00000")
    second = await changed(bonus=None, resalePriceMin=None, price=None)
    assert (second["price"], second["bonus"], second["resalePriceMin"]) == ("110.00", None, None)
    assert second["perCredit"] == "10.00000"


async def test_a_closed_offer_is_no_longer_made_and_frees_its_name(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    offer_id = await published(api, WHOLESALE, by=api.operator)
    closed = {"offerId": offer_id, "closed": True}

    done = await api.done("updateOffer", "offer { closedAt }", closed, by=api.operator)

    assert done["offer"]["closedAt"] is not None
    assert await names(api, good) == ([], [])
    await published(api, WHOLESALE, by=api.operator)
    query = "query ($closed: Boolean) { viewer { ownOffers(closed: $closed) { nodes { name closedAt } } } }"
    for wanted, count in ((True, 1), (False, 1), (None, 2)):
        nodes = (await api(query, {"closed": wanted}, by=api.operator))["viewer"]["ownOffers"]["nodes"]
        assert len(nodes) == count
        assert wanted is None or all((node["closedAt"] is not None) is wanted for node in nodes)
    error = await api.refused("updateOffer", {"offerId": offer_id, "closed": False}, by=api.operator)
    assert error["code"] == "NAME_TAKEN"
    await api.done(
        "updateOffer", "offer { id }", {"offerId": offer_id, "closed": False, "name": "Old"}, by=api.operator
    )
    assert await names(api, good) == (["Old", "Wholesale"], [])


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"price": "0"}, "INVALID_OFFER", ["price"]),
        ({"perCredit": "0"}, "INVALID_OFFER", ["perCredit"]),
        ({"currency": "yuan"}, "INVALID_OFFER", ["currency"]),
        ({"creditMin": "-1"}, "INVALID_OFFER", ["creditMin"]),
        ({"bonus": {**AT_ONCE["bonus"], "credit": "-1"}}, "INVALID_OFFER", ["bonus", "credit"]),  # type: ignore[dict-item]
        ({"resalePriceMin": "0"}, "INVALID_OFFER", ["resalePriceMin"]),
        ({"name": " "}, "INVALID_INPUT", ["name"]),
        ({"name": "RETAIL"}, "NAME_TAKEN", ["name"]),
    ],
)
async def test_an_offer_that_cannot_be_is_refused_and_changes_nothing(
    api: Api, changes: dict[str, Any], code: str, path: list[str]
) -> None:
    await published(api, RETAIL, by=api.operator)
    offer_id = await published(api, WHOLESALE, by=api.operator)
    before = await api.rows(*TABLES)

    for mutation, input in (("createOffer", {**AT_ONCE, **changes}), ("updateOffer", {"offerId": offer_id, **changes})):
        error = await api.refused(mutation, input, by=api.operator)
        assert (error["code"], error["path"]) == (code, path)
    assert await api.rows(*TABLES) == before


async def test_nobody_below_sells_for_less_than_the_lowest_resale_price(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    good = await api.reseller("good", of=luluka)
    await published(api, WHOLESALE, by=api.operator, resalePriceMin="98")
    before = await api.rows(*TABLES)

    for seller in (luluka, good):
        error = await api.refused("createOffer", {**RETAIL, "price": "97.99", "resalePriceMin": None}, by=seller)
        assert (error["code"], error["path"]) == ("PRICE_TOO_LOW", ["price"])
        assert error["message"] == "10.00000 may not be sold for less than 98.00 CNY."
        hidden = {**RETAIL, "price": "105", "bonus": {"credit": "1", "threshold": "10", "basis": "ONE_PURCHASE"}}
        assert (await api.refused("createOffer", hidden, by=seller))["code"] == "PRICE_TOO_LOW"
    assert await api.rows(*TABLES) == before

    for seller in (luluka, good):
        await published(api, RETAIL, by=seller, price="98")
        await published(api, RETAIL, by=seller, name="by ones", price="9.80", perCredit="1", resalePriceMin=None)
        await published(api, RETAIL, by=seller, name="other money", currency="EUR", price="1", resalePriceMin=None)


async def test_a_change_below_the_floor_is_refused_and_a_closed_offer_may_not_be_opened_below_it(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    offer_id = await published(api, RETAIL, by=luluka, price="95")
    floor_id = await published(api, WHOLESALE, by=api.operator, resalePriceMin="98")

    async def code(**changes: Any) -> str | None:
        payload = await api.change("updateOffer", "__typename", {"offerId": offer_id, **changes}, by=luluka)
        return payload["errors"][0]["code"] if payload["errors"] else None

    # What was published before the floor may go on, but not be changed into another offer below it.
    assert await code(price="96") == "PRICE_TOO_LOW"
    assert await code(closed=True) is None
    assert await code(price="96") is None
    assert await code(closed=False) == "PRICE_TOO_LOW"
    assert await code(closed=False, price="98") is None
    await api.done("updateOffer", "offer { id }", {"offerId": floor_id, "resalePriceMin": None}, by=api.operator)
    assert await code(price="90") is None


async def test_a_floor_of_a_closed_offer_or_of_an_offer_beside_binds_nobody(api: Api) -> None:
    luluka, sibling = await api.reseller("luluka", of=api.operator), await api.reseller("sibling", of=api.operator)
    floor_id = await published(api, WHOLESALE, by=api.operator, resalePriceMin="98")
    await api.done("updateOffer", "offer { id }", {"offerId": floor_id, "closed": True}, by=api.operator)
    await published(api, RETAIL, by=sibling)
    await published(api, RETAIL, by=luluka, price="50")


async def test_of_publishing_at_once_under_one_name_one_succeeds(api: Api) -> None:
    answers = await asyncio.gather(
        *(api.change("createOffer", "offer { id }", RETAIL, by=api.operator) for _ in range(6))
    )
    assert sorted(error["code"] for answer in answers for error in answer["errors"]) == ["NAME_TAKEN"] * 5
    assert await names(api, api.operator) == ([], ["Retail"])


async def test_a_reseller_has_at_most_200_open_offers(api: Api) -> None:
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql(
            "INSERT INTO offers (owner_id, name, currency, price_cents, per_credit_units) "
            "SELECT accounts.id, 'Offer ' || n, 'CNY', 1, 1 FROM accounts, generate_series(1, 199) AS n"
        )
    answers = await asyncio.gather(
        *(
            api.change("createOffer", "offer { id }", {**RETAIL, "name": f"Last {number}"}, by=api.operator)
            for number in range(4)
        )
    )
    assert sorted(error["code"] for answer in answers for error in answer["errors"]) == ["INVALID_OFFER"] * 3


async def test_own_offers_are_paged_from_the_newest_down(api: Api) -> None:
    for name in ("a", "b", "c"):
        await published(api, RETAIL, by=api.operator, name=name)
    query = """query ($after: String) { viewer { ownOffers(first: 2, after: $after) {
      nodes { name } pageInfo { hasNextPage endCursor } } } }"""
    first = (await api(query, by=api.operator))["viewer"]["ownOffers"]
    second = (await api(query, {"after": first["pageInfo"]["endCursor"]}, by=api.operator))["viewer"]["ownOffers"]
    assert [node["name"] for node in first["nodes"] + second["nodes"]] == ["c", "b", "a"]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
