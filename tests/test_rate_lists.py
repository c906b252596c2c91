"""Rate lists through the API: who has which, what they do to a price, and who may change them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.graphql_client import Api, Person

PREDEFINED = [f"(Predefined) {percent}% List" for percent in (0, 5, 10, 15, 20, 25, 50, 100)]
LIST = "rateList { id name discountPercent predefined isBase owner { username } }"


async def base_rates(api: Api, **prices: str) -> str:
    """Set the operator's prices by prefix; the id of its list."""
    data = await api("{ viewer { rateLists { id isBase } } }", by=api.operator)
    (base,) = [one["id"] for one in data["viewer"]["rateLists"] if one["isBase"]]
    await set_rates(api, base, by=api.operator, **prices)
    return str(base)


async def set_rates(api: Api, rate_list_id: str, *, by: Person, **prices: str) -> Any:
    rates = [{"prefix": prefix[1:], "pricePerMinute": price} for prefix, price in prices.items()]
    return await api.done("setRates", "changed", {"rateListId": rate_list_id, "rates": rates}, by=by)


async def own_list(api: Api, name: str, percent: str = "0", *, by: Person) -> str:
    payload = await api.done("createRateList", "rateList { id }", {"name": name, "discountPercent": percent}, by=by)
    return str(payload["rateList"]["id"])


async def predefined(api: Api, percent: int, *, by: Person) -> str:
    data = await api("{ viewer { rateLists { id name } } }", by=by)
    (found,) = [one["id"] for one in data["viewer"]["rateLists"] if one["name"] == f"(Predefined) {percent}% List"]
    return str(found)


async def prices(api: Api, person: Person, *, by: Person | None = None) -> dict[str, str]:
    """What the account pays, by prefix."""
    query = "query ($id: ID!) { account(id: $id) { rates(first: 500) { nodes { prefix pricePerMinute } } } }"
    data = await api(query, {"id": person.id}, by=by or person)
    return {rate["prefix"]: rate["pricePerMinute"] for rate in data["account"]["rates"]["nodes"]}


async def test_a_reseller_chooses_from_the_predefined_lists_and_its_own(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    await own_list(api, "Shops", by=luluka)
    await own_list(api, "Agents", by=luluka)
    data = await api("{ viewer { rateLists { name predefined isBase discountPercent } } }", by=luluka)
    assert [one["name"] for one in data["viewer"]["rateLists"]] == [*PREDEFINED, "Agents", "Shops"]
    assert [one["predefined"] for one in data["viewer"]["rateLists"]] == [True] * 8 + [False] * 2
    assert data["viewer"]["rateLists"][2]["discountPercent"] == "10"
    operator = await api("{ viewer { rateLists { name isBase } } }", by=api.operator)
    assert operator["viewer"]["rateLists"][0] == {"name": "Base rates", "isBase": True}
    assert [one["name"] for one in operator["viewer"]["rateLists"][1:]] == PREDEFINED


async def test_a_customer_has_no_lists_to_choose_from(api: Api) -> None:
    customer = await api.customer("keytyh", of=api.operator)
    assert await api("{ viewer { rateLists { name } rateList { name } } }", by=customer) == {
        "viewer": {"rateLists": [], "rateList": None}
    }


async def test_a_new_customer_pays_exactly_what_its_reseller_pays(api: Api) -> None:
    await base_rates(api, p43="0.06", p4366="0.1")
    luluka = await api.reseller("luluka", of=api.operator)
    customer = await api.customer("keytyh", of=luluka)
    assert await prices(api, customer) == {"43": "0.06000000", "4366": "0.10000000"}
    query = "query ($id: ID!) { account(id: $id) { rateList { name } } }"
    data = await api(query, {"id": customer.id}, by=luluka)
    assert data["account"]["rateList"]["name"] == "(Predefined) 0% List"


@pytest.mark.parametrize(
    ("percent", "price"), [(0, "0.06000000"), (10, "0.05400000"), (25, "0.04500000"), (100, "0.00000000")]
)
async def test_a_predefined_list_is_a_discount_on_the_resellers_own_price(api: Api, percent: int, price: str) -> None:
    await base_rates(api, p43="0.05")
    markup = await own_list(api, "Retail", "-20", by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator, rateListId=markup)
    chosen = await predefined(api, percent, by=luluka)
    customer = await api.customer("keytyh", of=luluka, rateListId=chosen)
    assert await prices(api, luluka) == {"43": "0.06000000"}
    assert await prices(api, customer) == {"43": price}


async def test_a_percentage_applies_level_by_level_and_each_price_is_rounded_to_8_decimals(api: Api) -> None:
    await base_rates(api, p43="0.00000005")
    parent = api.operator
    paid = []
    for name in ("one", "two", "three"):
        parent = await api.reseller(name, of=parent, rateListId=await predefined(api, 10, by=parent))
        paid.append((await prices(api, parent))["43"])
    # 4.5 is rounded up to 5, again and again.
    assert paid == ["0.00000005", "0.00000005", "0.00000005"]


async def test_an_own_list_is_a_markup_and_own_prices_for_chosen_prefixes(api: Api) -> None:
    await base_rates(api, p43="0.05", p4366="0.1", p4312="0.04")
    luluka = await api.reseller("luluka", of=api.operator)
    shops = await own_list(api, "Shops", "-20", by=luluka)
    await set_rates(api, shops, by=luluka, p4366="0.15", p43664="0.2", p431="0.01")
    customer = await api.customer("keytyh", of=luluka, rateListId=shops)
    # 431 replaces the 43 that matched so far, but not the longer 4312.
    assert await prices(api, customer) == {
        "43": "0.06000000",
        "431": "0.01000000",
        "4312": "0.04800000",
        "4366": "0.15000000",
        "43664": "0.20000000",
    }
    assert await prices(api, luluka) == {"43": "0.05000000", "4312": "0.04000000", "4366": "0.10000000"}


async def test_a_change_of_the_base_rates_holds_at_once_for_everybody(api: Api) -> None:
    base = await base_rates(api, p43="0.05")
    luluka = await api.reseller("luluka", of=api.operator, rateListId=await predefined(api, 20, by=api.operator))
    customer = await api.customer("keytyh", of=luluka)
    assert await prices(api, customer) == {"43": "0.04000000"}
    await set_rates(api, base, by=api.operator, p43="0.1", p44="0.2")
    assert await prices(api, customer) == {"43": "0.08000000", "44": "0.16000000"}


async def test_a_changed_percentage_or_another_selected_list_holds_at_once(api: Api) -> None:
    await base_rates(api, p43="0.05")
    luluka = await api.reseller("luluka", of=api.operator)
    shops = await own_list(api, "Shops", "-20", by=luluka)
    customer = await api.customer("keytyh", of=luluka, rateListId=shops)
    assert await prices(api, customer) == {"43": "0.06000000"}
    await api.done("updateRateList", LIST, {"rateListId": shops, "discountPercent": "-40"}, by=luluka)
    assert await prices(api, customer) == {"43": "0.07000000"}
    ten = await predefined(api, 10, by=luluka)
    await api.done("updateAccount", "account { id }", {"accountId": customer.id, "rateListId": ten}, by=luluka)
    assert await prices(api, customer) == {"43": "0.04500000"}


async def test_a_list_that_makes_the_reseller_lose_is_made_with_a_warning(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    input = {"name": "Friends", "discountPercent": "12.5"}
    payload = await api.done("createRateList", f"{LIST} warnings", input, by=luluka)
    assert payload["rateList"]["discountPercent"] == "12.5"
    (warning,) = payload["warnings"]
    assert warning.startswith("Customers with this list pay 12.5 % less than you do: you lose on each minute")
    changed = {"rateListId": payload["rateList"]["id"], "discountPercent": "-5"}
    assert (await api.done("updateRateList", "warnings", changed, by=luluka))["warnings"] == []
    lists = (await api("{ viewer { rateLists { name warning } } }", by=luluka))["viewer"]["rateLists"]
    assert [bool(one["warning"]) for one in lists] == [False] + [True] * 7 + [False]


async def test_whoever_selects_a_list_that_makes_it_lose_is_warned(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    ten, zero = await predefined(api, 10, by=luluka), await predefined(api, 0, by=luluka)
    input = {"username": "keytyh", "password": "s3cret", "rateListId": ten}
    created = await api.done("createCustomer", "account { id } warnings", input, by=luluka)
    assert [warning[:40] for warning in created["warnings"]] == ["Customers with this list pay 10 % less t"]
    for rate_list_id, count in ((zero, 0), (ten, 1)):
        change = {"accountId": created["account"]["id"], "rateListId": rate_list_id}
        payload = await api.done("updateAccount", "warnings", change, by=luluka)
        assert len(payload["warnings"]) == count
    harmless = {"accountId": created["account"]["id"], "otherDetails": "a friend"}
    assert (await api.done("updateAccount", "warnings", harmless, by=luluka))["warnings"] == []
    without = {"username": "anna", "password": "s3cret"}
    assert (await api.done("createCustomer", "warnings", without, by=luluka))["warnings"] == []


async def test_a_list_is_renamed_and_an_empty_change_changes_nothing(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    shops = await own_list(api, "Shops", "-20", by=luluka)
    payload = await api.done("updateRateList", LIST, {"rateListId": shops, "name": " Stores "}, by=luluka)
    assert payload["rateList"] == {
        "id": shops,
        "name": "Stores",
        "discountPercent": "-20",
        "predefined": False,
        "isBase": False,
        "owner": {"username": "luluka*operator"},
    }
    before = await api.rows("rate_lists", "pricing_epoch")
    await api.done("updateRateList", LIST, {"rateListId": shops}, by=luluka)
    await api.done("updateRateList", LIST, {"rateListId": shops, "name": "Stores"}, by=luluka)
    assert await api.rows("rate_lists", "pricing_epoch") == before


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("shops", "NAME_TAKEN"),
        (" SHOPS ", "NAME_TAKEN"),
        ("", "INVALID_INPUT"),
        ("   ", "INVALID_INPUT"),
        ("a" * 101, "INVALID_INPUT"),
        ("a\0b", "INVALID_INPUT"),
        ("two\nlines", "INVALID_INPUT"),
        ("(predefined) 10% List", "INVALID_INPUT"),
        ("Base Rates", "INVALID_INPUT"),
    ],
)
async def test_a_name_that_cannot_be_is_refused_and_changes_nothing(api: Api, name: str, code: str) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    await own_list(api, "Shops", by=luluka)
    agents = await own_list(api, "Agents", by=luluka)
    before = await api.rows("rate_lists", "pricing_epoch")
    for mutation, input in (
        ("createRateList", {"name": name}),
        ("updateRateList", {"rateListId": agents, "name": name}),
    ):
        error = await api.refused(mutation, input, by=luluka)
        assert (error["code"], error["path"]) == (code, ["name"])
    assert await api.rows("rate_lists", "pricing_epoch") == before


async def test_two_resellers_may_have_lists_of_the_same_name(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    other = await api.reseller("other", of=api.operator)
    assert await own_list(api, "Shops", by=luluka) != await own_list(api, "Shops", by=other)


async def test_of_two_lists_made_at_once_with_one_name_one_is_made(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    payloads = await asyncio.gather(
        *(api.change("createRateList", "rateList { id }", {"name": "Shops"}, by=luluka) for _ in range(4))
    )
    assert sorted(error["code"] for payload in payloads for error in payload["errors"]) == ["NAME_TAKEN"] * 3


async def test_a_discount_above_100_percent_is_no_percentage(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    before = await api.rows("rate_lists")
    query = 'mutation { createRateList(input: {name: "Shops", discountPercent: "100.0001"}) { errors { code } } }'
    assert await api.failure(query, by=luluka) in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED")
    assert await api.rows("rate_lists") == before


async def test_a_list_is_deleted_once_nobody_has_it_selected_and_its_name_is_free_again(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    shops = await own_list(api, "Shops", "-20", by=luluka)
    customer = await api.customer("keytyh", of=luluka, rateListId=shops)
    before = await api.rows("rate_lists", "account_state", "pricing_epoch")
    error = await api.refused("deleteRateList", {"rateListId": shops}, by=luluka)
    assert (error["code"], error["path"]) == ("RATE_LIST_IN_USE", ["rateListId"])
    assert await api.rows("rate_lists", "account_state", "pricing_epoch") == before
    zero = await predefined(api, 0, by=luluka)
    await api.done("updateAccount", "account { id }", {"accountId": customer.id, "rateListId": zero}, by=luluka)
    payload = await api.done("deleteRateList", LIST, {"rateListId": shops}, by=luluka)
    assert payload["rateList"]["name"] == "Shops"
    assert await api("query ($id: ID!) { node(id: $id) { id } }", {"id": shops}, by=luluka) == {"node": None}
    for mutation, input in (
        ("deleteRateList", {}),
        ("updateRateList", {"name": "Again"}),
        ("setRates", {"rates": [{"prefix": "43", "pricePerMinute": "0.1"}]}),
    ):
        assert (await api.refused(mutation, {"rateListId": shops, **input}, by=luluka))["code"] == "NOT_FOUND"
    input = {"accountId": customer.id, "rateListId": shops}
    assert (await api.refused("updateAccount", input, by=luluka))["code"] == "NOT_FOUND"
    await own_list(api, "Shops", by=luluka)


async def test_a_list_that_is_being_selected_is_not_deleted_meanwhile(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    for attempt in range(8):
        shops = await own_list(api, f"Shops {attempt}", by=luluka)
        input = {"username": f"shop{attempt}", "password": "s3cret", "rateListId": shops}
        deleted, created = await asyncio.gather(
            api.change("deleteRateList", "rateList { id }", {"rateListId": shops}, by=luluka),
            api.change("createCustomer", "account { id }", input, by=luluka),
        )
        codes = [error["code"] for payload in (deleted, created) for error in payload["errors"]]
        assert codes in (["RATE_LIST_IN_USE"], ["NOT_FOUND"])


async def test_only_its_owner_and_the_operator_change_a_list(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    good = await api.reseller("good", of=luluka)
    sibling = await api.reseller("sibling", of=api.operator)
    customer = await api.customer("keytyh", of=luluka)
    lists = {"good": await own_list(api, "Shops", by=good), "predefined": await predefined(api, 10, by=good)}
    base = await base_rates(api)
    before = await api.rows("rate_lists", "rates", "pricing_epoch")
    changes: list[tuple[str, dict[str, Any]]] = [
        ("updateRateList", {"name": "Mine"}),
        ("setRates", {"rates": [{"prefix": "43", "pricePerMinute": "0.1"}]}),
        ("deleteRateList", {}),
    ]
    expected = [
        (luluka, lists["good"], "NOT_ALLOWED"),  # a reseller above sees it
        (sibling, lists["good"], "NOT_FOUND"),
        (customer, lists["good"], "NOT_FOUND"),
        (good, lists["predefined"], "NOT_ALLOWED"),
        (api.operator, lists["predefined"], "NOT_ALLOWED"),
        (good, base, "NOT_FOUND"),
        (good, "UmF0ZUxpc3Q6OTk5OTk5", "NOT_FOUND"),
        (good, good.id, "NOT_FOUND"),
        (good, "no id", "NOT_FOUND"),
    ]
    for viewer, rate_list_id, code in expected:
        for mutation, input in changes:
            error = await api.refused(mutation, {"rateListId": rate_list_id, **input}, by=viewer)
            assert (error["code"], error["path"]) == (code, ["rateListId"]), (mutation, viewer.username)
    assert await api.rows("rate_lists", "rates", "pricing_epoch") == before
    await api.done("updateRateList", LIST, {"rateListId": lists["good"], "name": "By the operator"}, by=api.operator)


async def test_the_base_rates_have_neither_another_name_nor_a_percentage_nor_an_end(api: Api) -> None:
    base = await base_rates(api)
    before = await api.rows("rate_lists", "pricing_epoch")
    for mutation, input in (
        ("updateRateList", {"name": "Other"}),
        ("updateRateList", {"discountPercent": "10"}),
        ("deleteRateList", {}),
    ):
        error = await api.refused(mutation, {"rateListId": base, **input}, by=api.operator)
        assert error["code"] == "NOT_ALLOWED"
    assert await api.rows("rate_lists", "pricing_epoch") == before


async def test_a_customer_makes_no_lists(api: Api) -> None:
    customer = await api.customer("keytyh", of=api.operator)
    before = await api.rows("rate_lists")
    error = await api.refused("createRateList", {"name": "Mine"}, by=customer)
    assert error["code"] == "NOT_A_RESELLER"
    assert await api.rows("rate_lists") == before


async def test_nobody_learns_the_list_that_its_own_reseller_gave_it(api: Api) -> None:
    markup = await own_list(api, "Retail", "-20", by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator, rateListId=markup)
    good = await api.reseller("good", of=luluka)
    query = "query ($id: ID!) { account(id: $id) { rateList { name discountPercent } } node(id: $list) { id } }"
    query = query.replace("$id: ID!)", "$id: ID!, $list: ID!)")
    variables = {"id": luluka.id, "list": markup}
    assert await api(query, variables, by=luluka) == {"account": {"rateList": None}, "node": None}
    assert await api(query, variables, by=good) == {"account": None, "node": None}
    data = await api(query, variables, by=api.operator)
    assert data["account"]["rateList"] == {"name": "Retail", "discountPercent": "-20"}
    assert data["node"] == {"id": markup}


async def test_a_reseller_reads_the_lists_of_those_below_it(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    good = await api.reseller("good", of=luluka)
    shops = await own_list(api, "Shops", "-20", by=good)
    query = "query ($id: ID!) { node(id: $id) { ... on RateList { name owner { username } } } }"
    expected = {"node": {"name": "Shops", "owner": {"username": "good*luluka"}}}
    for viewer in (good, luluka, api.operator):
        assert await api(query, {"id": shops}, by=viewer) == expected


async def test_a_reseller_has_at_most_200_lists(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql(
            "INSERT INTO rate_lists (owner_id, name) SELECT $1, 'List ' || n FROM generate_series(1, 200) AS n",
            (luluka.account_id,),
        )
    error = await api.refused("createRateList", {"name": "One more"}, by=luluka)
    assert (error["code"], error["message"]) == (
        "INVALID_INPUT",
        "A reseller has at most 200 rate lists: delete one first.",
    )


CHARGED = "call { charged charges { account { username } pricePerMinute } }"


async def charged(api: Api, caller: Person, call_id: str, started_at: datetime) -> Any:
    call = {
        "callId": call_id,
        "accountId": caller.id,
        "number": "+43664123456",
        "startedAt": started_at.isoformat(),
        "durationSeconds": 60,
    }
    return (await api.done("chargeCall", CHARGED, {"call": call}, by=api.operator))["call"]


async def test_the_price_on_the_rates_page_is_exactly_the_price_charged_on_every_level(api: Api) -> None:
    await base_rates(api, p43="0.03333333", p4366="0.01234567")
    parent, people = api.operator, [api.operator]
    for name, percent in (("one", "-33.3333"), ("two", "12.3456"), ("three", "-0.0001"), ("four", "7.7777")):
        selected = await own_list(api, f"For {name}", percent, by=parent)
        parent = await api.reseller(name, of=parent, rateListId=selected, credit="10")
        people.append(parent)
    listed = {person.username: (await prices(api, person))["4366"] for person in people}
    call = await charged(api, people[-1], "1", datetime.now(UTC))
    assert {charge["account"]["username"]: charge["pricePerMinute"] for charge in call["charges"]} == listed
    assert len(set(listed.values())) == 5


async def test_a_call_reported_late_is_charged_at_the_price_of_its_start(api: Api) -> None:
    base = await base_rates(api, p43="0.05")
    customer = await api.customer("keytyh", of=api.operator, credit="10")
    before = datetime.now(UTC) - timedelta(minutes=1)
    await set_rates(api, base, by=api.operator, p43="0.08")
    assert (await charged(api, customer, "1", before))["charged"] == "0.05000"
    assert (await charged(api, customer, "2", datetime.now(UTC)))["charged"] == "0.08000"
