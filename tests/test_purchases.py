"""Purchases: the credit and the bonus that it earns, both or neither, once; domain.md's real offers."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from resolvers.audit import audit
from tests.graphql_client import Api, Person
from tests.offers_api import AT_ONCE, COLLECTED, PURCHASE, RETAIL, WHOLESALE, bought, published, purchase

TABLES = ("offers", "purchases", "account_state", "credit_transactions", "idempotency_keys")


async def earned(api: Api, offer_id: str, account: Person, *credits: str, by: Person) -> list[tuple[str, str]]:
    """What is to pay and the bonus, purchase by purchase."""
    found = []
    for number, credit in enumerate(credits):
        payload = await bought(api, offer_id, account, credit, by=by, key=f"{offer_id} {number}")
        found.append((payload["purchase"]["toPay"], payload["purchase"]["bonus"]))
    return found


async def test_the_first_real_offer_costs_90_cny_per_10_eur_from_10_eur(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    offer_id = await published(api, WHOLESALE, by=api.operator)

    payload = await bought(api, offer_id, luluka, "25.5", by=api.operator, key="1")

    assert payload == {
        "purchase": {
            "credit": "25.50000",
            "bonus": "0.00000",
            "toPay": "229.50",
            "currency": "CNY",
            "creditTotal": "25.50000",
            "account": {"username": "luluka*operator"},
            "offer": {"name": "Wholesale"},
            "createdBy": {"username": "operator"},
        },
        "transactions": [{"amount": "25.50000", "balanceAfter": "25.50000", "kind": "PURCHASE", "remark": "Wholesale"}],
        "account": {"balance": "25.50000"},
        "duplicate": False,
        "errors": [],
    }
    before = await api.rows(*TABLES)
    error = await api.refused("recordPurchase", purchase(offer_id, luluka, "9.99999", "2"), by=api.operator)
    assert (error["code"], error["path"]) == ("INVALID_AMOUNT", ["credit"])
    assert error["message"] == "Under this offer one buys at least 10.00000."
    assert await api.rows(*TABLES) == before


async def test_the_second_real_offer_brings_18_eur_each_time_that_purchases_add_up_to_100(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    offer_id = await published(api, COLLECTED, by=api.operator)

    assert await earned(api, offer_id, luluka, "60", "39.99999", by=api.operator) == [
        ("630.00", "0.00000"),
        ("420.00", "0.00000"),
    ]
    payload = await bought(api, offer_id, luluka, "0.00001", by=api.operator, key="the hundredth")
    assert (payload["purchase"]["creditTotal"], payload["purchase"]["bonus"]) == ("100.00000", "18.00000")
    assert payload["transactions"] == [
        {"amount": "0.00001", "balanceAfter": "100.00000", "kind": "PURCHASE", "remark": "Collected"},
        {"amount": "18.00000", "balanceAfter": "118.00000", "kind": "BONUS", "remark": "Collected"},
    ]
    # The bonus itself is not bought, so the next one comes at 200; and 300 at once brings three.
    payload = await bought(api, offer_id, luluka, "99.99999", by=api.operator, key="199.99999")
    assert payload["purchase"]["bonus"] == "0.00000"
    payload = await bought(api, offer_id, luluka, "200.00001", by=api.operator, key="400")
    assert (payload["purchase"]["bonus"], payload["account"]["balance"]) == ("54.00000", "472.00000")
    assert (await audit(api.db)).differences == ()


async def test_the_third_real_offer_brings_20_eur_for_100_in_one_purchase_and_nothing_for_less(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    offer_id = await published(api, AT_ONCE, by=api.operator)

    assert await earned(api, offer_id, luluka, "99.99999", "50", "100", "250", by=api.operator) == [
        ("1050.00", "0.00000"),
        ("525.00", "0.00000"),
        ("1050.00", "20.00000"),
        ("2625.00", "20.00000"),
    ]
    assert (await audit(api.db)).differences == ()


async def test_the_fourth_real_rule_keeps_retail_at_98_cny_per_10_eur(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    keytyh = await api.customer("keytyh", of=luluka)
    await published(api, WHOLESALE, by=api.operator, resalePriceMin="98")
    refused = await api.refused("createOffer", {**RETAIL, "price": "97.99"}, by=luluka)
    assert refused["code"] == "PRICE_TOO_LOW"

    offer_id = await published(api, RETAIL, by=luluka, price="98")

    payload = await bought(api, offer_id, keytyh, "10", by=luluka, key="1")
    assert (payload["purchase"]["toPay"], payload["purchase"]["currency"]) == ("98.00", "CNY")


async def test_a_purchase_leaves_the_seller_as_it_was(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator, credit="5")
    keytyh = await api.customer("keytyh", of=luluka)
    offer_id = await published(api, AT_ONCE, by=luluka)
    await bought(api, offer_id, keytyh, "100", by=luluka, key="1")
    query = "{ viewer { balance version } }"
    assert await api(query, by=luluka) == {"viewer": {"balance": "5.00000", "version": 1}}
    assert await api(query, by=keytyh) == {"viewer": {"balance": "120.00000", "version": 2}}


async def test_each_account_and_each_offer_adds_up_by_itself(api: Api) -> None:
    one, two = await api.customer("one", of=api.operator), await api.customer("two", of=api.operator)
    offer_id = await published(api, COLLECTED, by=api.operator)
    other_id = await published(api, COLLECTED, by=api.operator, name="Other")
    for key, (offer, account) in enumerate([(offer_id, one), (other_id, one), (offer_id, two)]):
        payload = await bought(api, offer, account, "90", by=api.operator, key=str(key))
        assert payload["purchase"]["creditTotal"] == "90.00000"
    payload = await bought(api, offer_id, one, "10", by=api.operator, key="last")
    assert payload["purchase"]["bonus"] == "18.00000"


async def test_a_changed_threshold_counts_from_then_on_and_what_was_bought_keeps_its_terms(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    offer_id = await published(api, COLLECTED, by=api.operator)
    await bought(api, offer_id, keytyh, "90", by=api.operator, key="1")
    bonus = {"credit": "5", "threshold": "50", "basis": "PURCHASES_ADDED_UP"}
    changes = {"offerId": offer_id, "price": "100", "bonus": bonus}
    await api.done("updateOffer", "offer { id }", changes, by=api.operator)

    # 50 had been bought before the new terms: only the step to 100 is crossed under them.
    payload = await bought(api, offer_id, keytyh, "20", by=api.operator, key="2")

    assert (payload["purchase"]["bonus"], payload["purchase"]["toPay"]) == ("5.00000", "200.00")
    query = "{ viewer { purchases { nodes { credit toPay bonus } } } }"
    assert (await api(query, by=keytyh))["viewer"]["purchases"]["nodes"] == [
        {"credit": "20.00000", "toPay": "200.00", "bonus": "5.00000"},
        {"credit": "90.00000", "toPay": "945.00", "bonus": "0.00000"},
    ]
    assert (await audit(api.db)).differences == ()


async def test_the_same_key_again_books_nothing_and_answers_the_first_purchase(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    offer_id = await published(api, COLLECTED, by=api.operator)
    first = await bought(api, offer_id, keytyh, "100", by=api.operator, key="1")
    closed = {"offerId": offer_id, "closed": True}
    await api.done("updateOffer", "offer { id }", closed, by=api.operator)
    before = await api.rows(*TABLES)

    again = await bought(api, offer_id, keytyh, "100", by=api.operator, key="1")

    assert again == first | {"duplicate": True}
    assert await api.rows(*TABLES) == before


async def test_other_content_under_the_same_key_is_a_conflict(api: Api) -> None:
    one, two = await api.customer("one", of=api.operator), await api.customer("two", of=api.operator)
    offer_id = await published(api, COLLECTED, by=api.operator)
    other_id = await published(api, WHOLESALE, by=api.operator)
    await bought(api, offer_id, one, "10", by=api.operator, key="1")
    plain = {"accountId": one.id, "amount": "1", "idempotencyKey": "2"}
    await api.done("createCreditTransaction", "duplicate", plain, by=api.operator)
    before = await api.rows(*TABLES)

    for asked in (
        purchase(offer_id, one, "10.00001", "1"),
        purchase(offer_id, two, "10", "1"),
        purchase(other_id, one, "10", "1"),
        purchase(offer_id, one, "1", "2"),
    ):
        error = await api.refused("recordPurchase", asked, by=api.operator)
        assert (error["code"], error["path"]) == ("IDEMPOTENCY_CONFLICT", ["idempotencyKey"])
    plain = {"accountId": one.id, "amount": "10", "idempotencyKey": "1"}
    error = await api.refused("createCreditTransaction", plain, by=api.operator)
    assert error["code"] == "IDEMPOTENCY_CONFLICT"
    assert await api.rows(*TABLES) == before


async def test_of_identical_purchases_at_once_one_is_booked_and_all_answer_it(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    offer_id = await published(api, AT_ONCE, by=api.operator)

    answers = await asyncio.gather(*(bought(api, offer_id, keytyh, "100", by=api.operator, key="1") for _ in range(8)))

    assert Counter(answer["duplicate"] for answer in answers) == {False: 1, True: 7}
    assert {answer["account"]["balance"] for answer in answers} == {"120.00000"}
    assert len({tuple(transaction["amount"] for transaction in answer["transactions"]) for answer in answers}) == 1


async def test_of_purchases_at_once_exactly_those_that_complete_a_hundred_bring_the_bonus(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    offer_id = await published(api, COLLECTED, by=api.operator)

    answers = await asyncio.gather(
        *(bought(api, offer_id, keytyh, "10", by=api.operator, key=str(number)) for number in range(35))
    )

    purchases = [answer["purchase"] for answer in answers]
    assert sorted(one["creditTotal"] for one in purchases) == sorted(f"{10 * n}.00000" for n in range(1, 36))
    with_bonus = sorted(one["creditTotal"] for one in purchases if one["bonus"] == "18.00000")
    assert with_bonus == ["100.00000", "200.00000", "300.00000"]
    assert Counter(len(answer["transactions"]) for answer in answers) == {1: 32, 2: 3}
    assert await api("{ viewer { balance } }", by=keytyh) == {"viewer": {"balance": "404.00000"}}
    assert (await audit(api.db)).differences == ()


async def test_purchases_changes_of_the_offer_and_credit_at_once_leave_right_books(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    offer_id = await published(api, COLLECTED, by=api.operator)

    async def change(threshold: int) -> None:
        bonus = {"credit": "1", "threshold": str(threshold), "basis": "PURCHASES_ADDED_UP"}
        input = {"offerId": offer_id, "bonus": bonus, "price": str(threshold)}
        await api.done("updateOffer", "offer { id }", input, by=api.operator)

    async def give(number: int) -> None:
        input = {"accountId": keytyh.id, "amount": "-0.5", "idempotencyKey": f"gift {number}"}
        await api.change("createCreditTransaction", "duplicate", input, by=api.operator)

    await asyncio.gather(
        *(bought(api, offer_id, keytyh, "7", by=api.operator, key=str(number)) for number in range(20)),
        *(change(threshold) for threshold in range(5, 15)),
        *(give(number) for number in range(10)),
    )

    assert (await audit(api.db)).differences == ()


async def refusal(api: Api, asked: dict[str, Any], *, by: Person) -> str:
    """The code of a refused purchase, which has changed nothing."""
    before = await api.rows(*TABLES)
    error = await api.refused("recordPurchase", asked, by=by)
    assert await api.rows(*TABLES) == before
    return str(error["code"])


@pytest.mark.parametrize("credit", ["0", "-10"])
async def test_nothing_or_less_cannot_be_bought(api: Api, credit: str) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, credit="100")
    offer_id = await published(api, COLLECTED, by=api.operator)
    assert await refusal(api, purchase(offer_id, keytyh, credit, "1"), by=api.operator) == "INVALID_AMOUNT"


async def test_what_cannot_be_kept_cannot_be_bought(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    dear_id = await published(api, WHOLESALE, by=api.operator, price="999999999999")
    giving_id = await published(
        api,
        WHOLESALE,
        by=api.operator,
        name="Giving",
        bonus={"credit": "999999999999", "threshold": "0.00001", "basis": "PURCHASES_ADDED_UP"},
    )
    asked = purchase(dear_id, keytyh, "999999999999", "1")
    assert await refusal(api, asked, by=api.operator) == "INVALID_AMOUNT"
    assert await refusal(api, purchase(giving_id, keytyh, "10", "1"), by=api.operator) == "INVALID_AMOUNT"


async def test_under_a_closed_offer_nothing_is_bought(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    offer_id = await published(api, COLLECTED, by=api.operator)
    await api.done("updateOffer", "offer { id }", {"offerId": offer_id, "closed": True}, by=api.operator)
    assert await refusal(api, purchase(offer_id, keytyh, "10", "1"), by=api.operator) == "OFFER_CLOSED"


async def test_an_account_buys_from_its_own_reseller_only(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    good = await api.reseller("good", of=luluka)
    keytyh = await api.customer("keytyh", of=good)
    above_id, own_id = await published(api, WHOLESALE, by=luluka), await published(api, RETAIL, by=good)

    assert await refusal(api, purchase(above_id, keytyh, "10", "1"), by=good) == "NOT_ALLOWED"
    assert await refusal(api, purchase(own_id, keytyh, "10", "1"), by=luluka) == "NOT_ALLOWED"
    assert await refusal(api, purchase(own_id, keytyh, "10", "1"), by=keytyh) == "NOT_ALLOWED"
    assert await refusal(api, purchase(own_id, good, "10", "1"), by=good) == "NOT_ALLOWED"
    assert await refusal(api, purchase("nonsense", keytyh, "10", "1"), by=good) == "NOT_FOUND"
    # The operator acts for every reseller.
    await bought(api, own_id, keytyh, "10", by=api.operator, key="1")


async def test_a_reseller_that_is_held_to_its_own_credit_sells_no_more_than_it_has_bonus_included(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator, credit="119.99999")
    held = {"accountId": luluka.id, "heldToOwnCredit": True}
    await api.done("updateAccount", "account { id }", held, by=api.operator)
    keytyh = await api.customer("keytyh", of=luluka)
    offer_id = await published(api, AT_ONCE, by=luluka)

    before = await api.rows(*TABLES)
    error = await api.refused("recordPurchase", purchase(offer_id, keytyh, "100", "1"), by=luluka)
    assert (error["code"], error["path"]) == ("INSUFFICIENT_CREDIT", ["credit"])
    assert await api.rows(*TABLES) == before
    await bought(api, offer_id, keytyh, "99", by=luluka, key="1")


async def test_purchases_are_listed_and_found_by_those_who_see_the_account(api: Api) -> None:
    good, sibling = await api.reseller("good", of=api.operator), await api.reseller("sibling", of=api.operator)
    keytyh = await api.customer("keytyh", of=good)
    offer_id = await published(api, RETAIL, by=good)
    for number in range(1, 4):
        await bought(api, offer_id, keytyh, str(number), by=good, key=str(number))
    query = """query ($id: ID!, $after: String) { account(id: $id) { purchases(first: 2, after: $after) {
      nodes { id credit createdBy { username } offer { name } transactions { amount } }
      pageInfo { hasNextPage endCursor } } } }"""

    first = (await api(query, {"id": keytyh.id}, by=keytyh))["account"]["purchases"]
    assert [node["credit"] for node in first["nodes"]] == ["3.00000", "2.00000"]
    assert first["nodes"][0]["createdBy"] is None
    assert first["nodes"][0]["offer"] == {"name": "Retail"}
    assert first["nodes"][0]["transactions"] == [{"amount": "3.00000"}]
    after = {"id": keytyh.id, "after": first["pageInfo"]["endCursor"]}
    second = (await api(query, after, by=good))["account"]["purchases"]
    assert [(node["credit"], node["createdBy"]["username"]) for node in second["nodes"]] == [
        ("1.00000", "good*operator")
    ]
    found = "query ($id: ID!) { node(id: $id) { ... on Purchase { credit } } }"
    for viewer in (keytyh, good, api.operator):
        assert await api(found, {"id": first["nodes"][0]["id"]}, by=viewer) == {"node": {"credit": "3.00000"}}
    assert await api(found, {"id": first["nodes"][0]["id"]}, by=sibling) == {"node": None}


async def test_a_purchase_and_its_bonus_stand_among_the_transactions(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator, credit="1")
    offer_id = await published(api, AT_ONCE, by=api.operator)
    await api.done("recordPurchase", PURCHASE, purchase(offer_id, keytyh, "100", "1"), by=api.operator)
    query = "{ viewer { transactions { nodes { kind amount balanceAfter remark } } } }"
    assert (await api(query, by=keytyh))["viewer"]["transactions"]["nodes"] == [
        {"kind": "BONUS", "amount": "20.00000", "balanceAfter": "121.00000", "remark": "At once"},
        {"kind": "PURCHASE", "amount": "100.00000", "balanceAfter": "101.00000", "remark": "At once"},
        {"kind": "OPENING", "amount": "1.00000", "balanceAfter": "1.00000", "remark": None},
    ]
