"""`Account.rates` and `RateList.rates`: what is listed, in pages, found by digits or by name, as of any time."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.rate_changes import NewRate
from billing.rating import Price
from billing.set_rates import set_rates
from tests.graphql_client import Api, Person
from tests.rates_api import base_id, change, own_list, rate

RATES = """
query (
  $id: ID!, $prefix: String, $search: String, $at: DateTime, $first: Int, $after: String, $last: Int, $before: String
) {
  account(id: $id) {
    rates(prefix: $prefix, search: $search, at: $at, first: $first, after: $after, last: $last, before: $before) {
      nodes {
        prefix destination pricePerMinute connectionFee firstIncrementSeconds nextIncrementSeconds effectiveFrom blocked
      }
      edges { cursor }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}
"""


async def page(api: Api, person: Person, **arguments: Any) -> Any:
    return (await api(RATES, {"id": person.id, **arguments}, by=person))["account"]["rates"]


async def listed(api: Api, person: Person, **arguments: Any) -> list[str]:
    return [node["prefix"] for node in (await page(api, person, first=500, **arguments))["nodes"]]


async def test_a_rate_has_all_that_a_list_says(api: Api) -> None:
    await change(
        api,
        await base_id(api),
        rate(
            "43",
            "0.05",
            destination="Austria",
            connectionFee="0.01",
            firstIncrementSeconds=60,
            nextIncrementSeconds=6,
            effectiveFrom="2026-01-31T12:00:00+02:00",
        ),
        rate("44", "0", blocked=True),
        by=api.operator,
    )
    customer = await api.customer("keytyh", of=api.operator)
    assert (await page(api, customer))["nodes"] == [
        {
            "prefix": "43",
            "destination": "Austria",
            "pricePerMinute": "0.05000000",
            "connectionFee": "0.01000000",
            "firstIncrementSeconds": 60,
            "nextIncrementSeconds": 6,
            "effectiveFrom": "2026-01-31T10:00:00Z",
            "blocked": False,
        },
        {
            "prefix": "44",
            "destination": None,
            "pricePerMinute": "0.00000000",
            "connectionFee": "0.00000000",
            "firstIncrementSeconds": 1,
            "nextIncrementSeconds": 1,
            "effectiveFrom": None,
            "blocked": True,
        },
    ]


async def test_a_percentage_applies_to_the_fee_as_well_and_the_name_comes_from_above(api: Api) -> None:
    await change(api, await base_id(api), rate("43", destination="Austria", connectionFee="0.01"), by=api.operator)
    markup = await own_list(api, "-50", rate("4366", "0.2"), by=api.operator)
    customer = await api.customer("keytyh", of=api.operator, rateListId=markup)
    nodes = (await page(api, customer))["nodes"]
    assert [(n["prefix"], n["destination"], n["pricePerMinute"], n["connectionFee"]) for n in nodes] == [
        ("43", "Austria", "0.07500000", "0.01500000"),
        ("4366", "Austria", "0.20000000", "0.00000000"),
    ]


async def test_pages_forward_and_backward_show_every_prefix_of_every_level_once_and_in_order(api: Api) -> None:
    base = await base_id(api)
    prefixes = [str(number) for number in range(10, 40)]
    await change(api, base, *(rate(prefix) for prefix in prefixes), by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator)
    extra = [f"{prefix}5" for prefix in prefixes[::3]]
    shops = await own_list(api, "-10", *(rate(prefix) for prefix in [*extra, *prefixes[:5]]), by=luluka)
    customer = await api.customer("keytyh", of=luluka, rateListId=shops)
    expected = sorted({*prefixes, *extra})

    forward, cursor, pages = [], None, 0
    while True:
        found = await page(api, customer, first=7, after=cursor)
        forward += [node["prefix"] for node in found["nodes"]]
        pages += 1
        assert found["pageInfo"]["hasPreviousPage"] == (cursor is not None)
        cursor = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert (forward, pages) == (expected, 6)

    backward, cursor = [], None
    while True:
        found = await page(api, customer, last=7, before=cursor)
        backward = [node["prefix"] for node in found["nodes"]] + backward
        assert found["pageInfo"]["hasNextPage"] == (cursor is not None)
        cursor = found["pageInfo"]["startCursor"]
        if not found["pageInfo"]["hasPreviousPage"]:
            break
    assert backward == expected


async def test_a_page_has_at_most_500_rates(api: Api) -> None:
    assert await api.failure(RATES, {"id": api.operator.id, "first": 501}, by=api.operator) == "BAD_USER_INPUT"
    assert await api.failure(RATES, {"id": api.operator.id, "prefix": "4x"}, by=api.operator) == "BAD_USER_INPUT"
    assert await api.failure(RATES, {"id": api.operator.id, "search": "a" * 101}, by=api.operator) == "BAD_USER_INPUT"
    assert (await page(api, api.operator, first=500))["nodes"] == []


async def test_rates_are_found_by_leading_digits_or_by_a_part_of_the_name(api: Api) -> None:
    names = {"43": "Austria", "4366": "Austria mobile", "49": "Germany", "4915": "Germany MOBILE", "7": None}
    await change(api, await base_id(api), *(rate(p, destination=name) for p, name in names.items()), by=api.operator)
    customer = await api.customer("keytyh", of=api.operator)
    assert await listed(api, customer, prefix="43") == ["43", "4366"]
    assert await listed(api, customer, prefix="4") == ["43", "4366", "49", "4915"]
    assert await listed(api, customer, search="491") == ["4915"]
    assert await listed(api, customer, search="Mobile") == ["4366", "4915"]
    assert await listed(api, customer, search=" germ ", prefix="4915") == ["4915"]
    assert await listed(api, customer, search="43", prefix="49") == []
    assert await listed(api, customer, search="4", prefix="49") == ["49", "4915"]
    assert await listed(api, customer, search="nowhere") == []
    assert await listed(api, customer, search="", prefix="") == ["43", "4366", "49", "4915", "7"]


async def test_a_name_that_an_own_rate_takes_from_above_is_found(api: Api) -> None:
    await change(api, await base_id(api), rate("43", destination="Austria"), by=api.operator)
    shops = await own_list(api, "0", rate("4366", "0.2"), by=api.operator)
    customer = await api.customer("keytyh", of=api.operator, rateListId=shops)
    assert await listed(api, customer, search="austria") == ["43", "4366"]


async def test_a_destination_is_found_by_the_name_that_it_had_at_the_time(api: Api) -> None:
    base = await base_id(api)
    later = datetime.now(UTC) + timedelta(days=30)
    await change(api, base, rate("43", destination="Austria"), rate("49", destination="Germany"), by=api.operator)
    await change(api, base, rate("43", destination="Österreich", effectiveFrom=later.isoformat()), by=api.operator)
    customer = await api.customer("keytyh", of=api.operator)
    then = (later + timedelta(seconds=1)).isoformat()
    assert await listed(api, customer, search="austria") == ["43"]
    assert await listed(api, customer, search="österreich") == []
    assert await listed(api, customer, search="ÖSTER", at=then) == ["43"]
    assert await listed(api, customer, search="austria", at=then) == []


async def test_a_planned_rate_is_shown_as_of_its_time_and_not_before(api: Api) -> None:
    base = await base_id(api)
    later = datetime.now(UTC) + timedelta(days=30)
    await change(api, base, rate("43", "0.05"), by=api.operator)
    planned = [rate("43", "0.07", effectiveFrom=later.isoformat()), rate("44", "0.02", effectiveFrom=later.isoformat())]
    assert await change(api, base, *planned, by=api.operator) == 2
    customer = await api.customer("keytyh", of=api.operator)
    assert [n["pricePerMinute"] for n in (await page(api, customer))["nodes"]] == ["0.05000000"]
    then = await page(api, customer, at=(later + timedelta(seconds=1)).isoformat())
    assert [n["pricePerMinute"] for n in then["nodes"]] == ["0.07000000", "0.02000000"]


async def test_a_withdrawn_rate_is_gone_from_the_page_and_from_the_list(api: Api) -> None:
    base = await base_id(api)
    await change(api, base, rate("43"), rate("4366", "0.1"), by=api.operator)
    customer = await api.customer("keytyh", of=api.operator)
    assert await change(api, base, rate("43"), by=api.operator, replace=True) == 1
    assert await listed(api, customer) == ["43"]
    query = "query ($id: ID!) { node(id: $id) { ... on RateList { rates { nodes { prefix } } } } }"
    data = await api(query, {"id": base}, by=api.operator)
    assert data["node"]["rates"]["nodes"] == [{"prefix": "43"}]


async def test_a_destination_blocked_above_is_blocked_below_whatever_the_own_rate_says(api: Api) -> None:
    await change(api, await base_id(api), rate("881", blocked=True), by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator)
    shops = await own_list(api, "0", rate("881", "0.5"), by=luluka)
    customer = await api.customer("keytyh", of=luluka, rateListId=shops)
    nodes = (await page(api, customer))["nodes"]
    assert [(n["prefix"], n["blocked"]) for n in nodes] == [("881", True)]


async def test_a_prefix_without_a_rate_above_is_not_listed_since_it_cannot_be_called(api: Api) -> None:
    await change(api, await base_id(api), rate("43"), by=api.operator)
    shops = await own_list(api, "0", rate("44", "0.5"), rate("4366", "0.5"), by=api.operator)
    customer = await api.customer("keytyh", of=api.operator, rateListId=shops)
    assert await listed(api, customer) == ["43", "4366"]


async def test_a_customer_sees_its_own_prices_and_never_its_resellers(api: Api) -> None:
    await change(api, await base_id(api), rate("43", "0.05"), by=api.operator)
    markup = await own_list(api, "-100", by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator, rateListId=markup)
    customer = await api.customer("keytyh", of=luluka)
    query = """query ($own: ID!, $parent: ID!) {
      own: account(id: $own) { parent { id } path { rates { nodes { pricePerMinute } } } }
      parent: account(id: $parent) { rates { nodes { pricePerMinute } } }
    }"""
    assert await api(query, {"own": customer.id, "parent": luluka.id}, by=customer) == {
        "own": {"parent": None, "path": [{"rates": {"nodes": [{"pricePerMinute": "0.10000000"}]}}]},
        "parent": None,
    }


async def test_a_list_shows_its_own_rates_without_its_percentage(api: Api) -> None:
    await change(api, await base_id(api), rate("43"), by=api.operator)
    shops = await own_list(api, "-20", rate("44", "0.3", destination="Britain"), rate("45", "0.4"), by=api.operator)
    query = """query ($id: ID!, $search: String) { node(id: $id) { ... on RateList {
      rates(search: $search) { nodes { prefix pricePerMinute } } } } }"""
    assert (await api(query, {"id": shops}, by=api.operator))["node"]["rates"]["nodes"] == [
        {"prefix": "44", "pricePerMinute": "0.30000000"},
        {"prefix": "45", "pricePerMinute": "0.40000000"},
    ]
    found = await api(query, {"id": shops, "search": "brit"}, by=api.operator)
    assert [node["prefix"] for node in found["node"]["rates"]["nodes"]] == ["44"]


async def test_several_accounts_show_their_rates_in_one_request(api: Api) -> None:
    await change(api, await base_id(api), rate("43", "0.05"), by=api.operator)
    markup = await own_list(api, "-100", by=api.operator)
    await api.customer("one", of=api.operator)
    await api.customer("two", of=api.operator, rateListId=markup)
    query = "{ viewer { customers { nodes { rateList { name } rates { nodes { pricePerMinute } } } } } }"
    nodes = (await api(query, by=api.operator))["viewer"]["customers"]["nodes"]
    assert [node["rates"]["nodes"][0]["pricePerMinute"] for node in nodes] == ["0.05000000", "0.10000000"]
    assert [node["rateList"]["name"] for node in nodes] == ["(Predefined) 0% List", "List -100"]


async def test_refused_rates_change_nothing(api: Api) -> None:
    base = await base_id(api)
    await change(api, base, rate("43"), by=api.operator)
    before = await api.rows("rates", "pricing_epoch")
    for rates, path in (
        ([rate("44"), rate("*1003")], ["rates", "1", "prefix"]),
        ([rate("44"), rate("45"), rate("44")], ["rates", "2", "prefix"]),
        ([rate("44", firstIncrementSeconds=0)], ["rates", "0", "firstIncrementSeconds"]),
        ([rate("44", effectiveFrom="1900-01-01T00:00:00Z")], ["rates", "0", "effectiveFrom"]),
        ([rate("44", destination="")], ["rates", "0", "destination"]),
    ):
        error = await api.refused("setRates", {"rateListId": base, "rates": rates, "replace": True}, by=api.operator)
        assert (error["code"], error["path"]) == ("INVALID_RATE", path)
    assert await api.rows("rates", "pricing_epoch") == before


async def test_a_deck_of_80_000_prefixes_is_paged_and_searched_quickly(api: Api) -> None:
    async with api.db.transaction() as tx:
        base = (await tx.exec_driver_sql("SELECT id FROM rate_lists WHERE is_base")).scalar_one()
        deck = [NewRate(Price(i, 0, 1, 1, str(100_000 + i), f"Place {i // 9}", False)) for i in range(80_000)]
        await set_rates(tx, rate_list_id=base, rates=deck)
    luluka = await api.reseller("luluka", of=api.operator)
    customer = await api.customer("keytyh", of=luluka)
    await page(api, customer)  # the first one loads the deck
    took_s = {}
    for name, arguments in {
        "a page": {"first": 100},
        "the last page": {"last": 100},
        "leading digits": {"prefix": "1794"},
        "a name": {"search": "place 8888"},
        "no such name": {"search": "nowhere"},
    }.items():
        started = time.process_time()
        await page(api, customer, **arguments)
        took_s[name] = time.process_time() - started
    print({name: f"{1000 * seconds:.0f} ms" for name, seconds in took_s.items()})
    assert max(took_s.values()) < 1
