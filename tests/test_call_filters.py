"""A list of calls, narrowed: by destination, status and account, in pages that follow each other all the same."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.counted_statements import counted_statements
from tests.graphql_client import Api, Person
from tests.rates_api import base_id, change, rate

STARTED = datetime(2026, 5, 4, 12, tzinfo=UTC)
# Whose call it is, and to where: Austria, an Austrian mobile, Germany, and a number without a rate.
CALLS = [
    *(("keytyh*good", "431"), ("keytyh*good", "43664"), ("anna*good", "491"), ("good*luluka", "431")),
    *(("keytyh*good", "9912345"), ("anna*good", "43664"), ("luluka*operator", "491"), ("other*operator", "431")),
]


@pytest.fixture
async def tree(api: Api) -> dict[str, Person]:
    """operator ▶ luluka ▶ good ▶ keytyh and anna; other beside luluka. One call a minute, c-0 to c-7."""
    rates = [
        rate("43", destination="Österreich"),
        rate("43664", destination="Österreich mobil"),
        rate("49", destination="100 % Deutschland"),
    ]
    await change(api, await base_id(api), *rates, by=api.operator)
    luluka = await api.reseller("luluka", of=api.operator, credit="10")
    good = await api.reseller("good", of=luluka, credit="10")
    people = {"operator": api.operator, "luluka": luluka, "good": good}
    people["other"] = await api.customer("other", of=api.operator, credit="10")
    for name in ("keytyh", "anna"):
        people[name] = await api.customer(name, of=good, credit="10")
    calls = [
        {
            "callId": f"c-{index}",
            "username": username,
            "number": f"+{number}",
            "startedAt": (STARTED + timedelta(minutes=index)).isoformat(),
            "durationSeconds": 60,
        }
        for index, (username, number) in enumerate(CALLS)
    ]
    await api.done("chargeCalls", "charged", {"calls": calls, "policy": "ALWAYS_CHARGE"}, by=api.operator)
    await api.done("refundCall", "duplicate", {"callId": "c-5", "reason": "bad line"}, by=api.operator)
    return people


QUERY = """
query ($of: ID!, $first: Int, $after: String, $last: Int, $before: String, $since: DateTime, $until: DateTime,
       $number: String, $direction: SortDirection! = ASC, $destination: String, $account: ID, $status: CallStatus) {
  account(id: $of) { calls(first: $first, after: $after, last: $last, before: $before, since: $since, until: $until,
    number: $number, direction: $direction, destination: $destination, account: $account, status: $status) {
    nodes { callId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }
"""


async def page(api: Api, of: Person, *, by: Person | None = None, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await api(QUERY, {"of": of.id, **arguments}, by=by or of))["account"]["calls"]
    return found


async def listed(api: Api, of: Person, *, by: Person | None = None, **arguments: Any) -> str:
    """The numbers of the calls found, such as ``"013"``."""
    found = await page(api, of, by=by, **arguments)
    return "".join(node["callId"].removeprefix("c-") for node in found["nodes"])


async def test_a_destination_is_found_by_a_part_of_its_name_in_any_case(api: Api, tree: dict[str, Person]) -> None:
    assert await listed(api, api.operator, destination="öSTERREICH") == "01357"
    assert await listed(api, api.operator, destination="mobil") == "15"
    assert await listed(api, tree["good"], destination="deutsch") == "2"
    # What would be a pattern elsewhere is text here.
    assert await listed(api, api.operator, destination="100 %") == "26"
    assert await listed(api, api.operator, destination="%") == "26"
    assert await listed(api, api.operator, destination="Öst_rreich") == ""
    assert await listed(api, api.operator, destination="") == "01234567"


async def test_a_destination_that_cannot_be_a_name_is_bad_input(api: Api) -> None:
    variables = {"of": api.operator.id, "destination": "zero\0"}
    assert await api.failure(QUERY, variables, by=api.operator) == "BAD_USER_INPUT"


async def test_a_status_narrows(api: Api, tree: dict[str, Person]) -> None:
    assert await listed(api, api.operator, status="UNRATED") == "4"
    assert await listed(api, api.operator, status="REFUNDED") == "5"
    assert await listed(api, tree["good"], status="CHARGED") == "0123"
    assert await listed(api, tree["good"], status="RELEASED") == ""


async def test_an_account_narrows_to_its_own_calls_and_those_below_it(api: Api, tree: dict[str, Person]) -> None:
    assert await listed(api, api.operator, account=tree["luluka"].id) == "0123456"
    assert await listed(api, api.operator, account=tree["good"].id) == "012345"
    assert await listed(api, tree["luluka"], account=tree["keytyh"].id) == "014"
    assert await listed(api, tree["keytyh"], account=tree["keytyh"].id) == "014"


async def test_an_account_that_is_not_below_the_one_that_is_asked_narrows_to_nothing(
    api: Api, tree: dict[str, Person]
) -> None:
    for account in (tree["other"].id, tree["luluka"].id, api.operator.id, "nonsense"):
        assert await listed(api, tree["good"], account=account) == ""
    # Also where the viewer sees both: it is the list that is narrowed.
    assert await listed(api, tree["good"], by=api.operator, account=tree["luluka"].id) == ""
    assert await listed(api, tree["anna"], by=api.operator, account=tree["keytyh"].id) == ""


async def test_all_narrow_together(api: Api, tree: dict[str, Person]) -> None:
    until = (STARTED + timedelta(minutes=5)).isoformat()
    narrowed = {"account": tree["good"].id, "destination": "österreich", "status": "CHARGED"}
    assert await listed(api, api.operator, **narrowed) == "013"
    assert await listed(api, api.operator, **narrowed, number="+43 664") == "1"
    assert await listed(api, api.operator, **narrowed, since=STARTED.isoformat(), until=until, direction="DESC") == (
        "310"
    )


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize(
    "narrowed", [{}, {"destination": "österreich"}, {"status": "CHARGED"}, {"account": "good"}, {"number": "43"}]
)
async def test_narrowed_pages_follow_each_other_in_both_directions(
    api: Api, tree: dict[str, Person], direction: str, narrowed: dict[str, str]
) -> None:
    arguments = {**narrowed, "direction": direction}
    if "account" in arguments:
        arguments["account"] = tree[arguments["account"]].id
    whole = [node["callId"] for node in (await page(api, api.operator, **arguments))["nodes"]]
    assert len(whole) > 4

    forward: list[str] = []
    after: dict[str, Any] = {}
    while True:
        found = await page(api, api.operator, **arguments, first=2, **after)
        forward += [node["callId"] for node in found["nodes"]]
        if not found["pageInfo"]["hasNextPage"]:
            break
        after = {"after": found["pageInfo"]["endCursor"]}
    assert forward == whole

    backward: list[str] = []
    before: dict[str, Any] = {}
    while True:
        found = await page(api, api.operator, **arguments, last=2, **before)
        backward = [node["callId"] for node in found["nodes"]] + backward
        if not found["pageInfo"]["hasPreviousPage"]:
            break
        before = {"before": found["pageInfo"]["startCursor"]}
    assert backward == whole


async def test_lists_of_many_accounts_are_narrowed_to_one_account_in_one_statement(
    api: Api, tree: dict[str, Person]
) -> None:
    query = """query ($account: ID) { viewer { descendants { nodes {
      username calls(account: $account, direction: ASC) { nodes { callId } } } } } }"""

    with counted_statements() as statements:
        found = (await api(query, {"account": tree["keytyh"].id}, by=api.operator))["viewer"]["descendants"]["nodes"]

    calls = {node["username"]: [call["callId"] for call in node["calls"]["nodes"]] for node in found}
    mine = ["c-0", "c-1", "c-4"]
    assert calls == {
        "luluka*operator": mine,
        "good*luluka": mine,
        "keytyh*good": mine,
        "anna*good": [],
        "other*operator": [],
    }
    # The whole query, however many lists it narrows; whose the token is, is known.
    assert len(statements) == 1
