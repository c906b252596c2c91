"""The tree: what is above and below an account, in pages, and nothing beyond the viewer."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.counted_statements import counted_statements
from tests.graphql_client import Api, Person

ANCESTRY = """
query ($id: ID!) { account(id: $id) { username depth parent { username } path { username } } }
"""
PAGE = """{ nodes { username } edges { cursor node { username } }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }"""
CUSTOMERS = f"""
query ($first: Int, $after: String, $last: Int, $before: String, $filter: AccountFilter, $orderBy: AccountOrder) {{
  viewer {{ list: customers(
    first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {PAGE} }} }}
"""
DESCENDANTS = f"""
query ($first: Int, $after: String, $last: Int, $before: String, $maxDepth: Int, $filter: AccountFilter,
       $orderBy: AccountOrder) {{
  viewer {{ list: descendants(
    first: $first, after: $after, last: $last, before: $before, maxDepth: $maxDepth, filter: $filter,
    orderBy: $orderBy) {PAGE} }} }}
"""


async def chain(api: Api, *names: str) -> list[Person]:
    """Resellers, each the customer of the one before, the first of the operator."""
    above, people = api.operator, []
    for name in names:
        above = await api.reseller(name, of=above)
        people.append(above)
    return people


async def listed(api: Api, query: str, by: Person, **arguments: Any) -> list[str]:
    nodes = (await api(query, arguments, by=by))["viewer"]["list"]["nodes"]
    return [node["username"].partition("*")[0] for node in nodes]


async def test_parent_and_path_end_at_the_viewer(api: Api) -> None:
    top, middle, low = await chain(api, "top", "middle", "low")

    async def ancestry(viewer: Person) -> Any:
        found = (await api(ANCESTRY, {"id": low.id}, by=viewer))["account"]
        return found["depth"], found["parent"] and found["parent"]["username"], [a["username"] for a in found["path"]]

    everybody = ["operator", "top*operator", "middle*top", "low*middle"]
    assert await ancestry(api.operator) == (3, "middle*top", everybody)
    assert await ancestry(top) == (3, "middle*top", everybody[1:])
    assert await ancestry(middle) == (3, "middle*top", everybody[2:])
    assert await ancestry(low) == (3, None, everybody[3:])


async def test_an_account_outside_the_subtree_does_not_exist(api: Api) -> None:
    good, sibling = await api.reseller("good", of=api.operator), await api.reseller("sibling", of=api.operator)
    hidden = await api.customer("hidden", of=sibling)
    by_id = "query ($id: ID!) { account(id: $id) { id } node(id: $id) { id } }"
    by_name = "query ($name: String!) { account(username: $name) { id } }"

    for account in (api.operator, sibling, hidden):
        assert await api(by_id, {"id": account.id}, by=good) == {"account": None, "node": None}
        assert await api(by_name, {"name": account.username}, by=good) == {"account": None}
    assert await api(by_name, {"name": "HIDDEN*sibling"}, by=sibling) == {"account": {"id": hidden.id}}
    assert await api(by_id, {"id": hidden.id}, by=sibling) == {
        "account": {"id": hidden.id},
        "node": {"id": hidden.id},
    }


@pytest.mark.parametrize(
    "id",
    [
        "",
        "nonsense",
        "QWNjb3VudDo=",
        "QWNjb3VudDoxMjM0NQ==",
        "QWNjb3VudDo5OTk5OTk5OTk5OTk5OTk5OTk5OTk=",
        "UmF0ZUxpc3Q6MQ==",
    ],
)
async def test_an_id_that_names_nothing_is_null(api: Api, id: str) -> None:
    query = "query ($id: ID!) { account(id: $id) { id } }"

    assert await api(query, {"id": id}, by=api.operator) == {"account": None}


async def test_account_takes_an_id_or_a_username_and_not_both(api: Api) -> None:
    for arguments in ("", '(id: "x", username: "y")'):
        assert await api.failure(
            f"{{ account{arguments} {{ id }} }}" if arguments else "{ account { id } }", by=api.operator
        ) == ("BAD_USER_INPUT")
    assert await api('{ account(username: "zero\\u0000") { id } }', by=api.operator) == {"account": None}


async def test_customers_come_by_name_whatever_the_case_or_as_they_were_created(api: Api) -> None:
    for name in ("delta", "Alpha", "charlie", "Bravo"):
        await api.customer(name, of=api.operator)

    async def ordered(**order: Any) -> list[str]:
        return await listed(api, CUSTOMERS, api.operator, orderBy=order)

    assert await listed(api, CUSTOMERS, api.operator) == ["Alpha", "Bravo", "charlie", "delta"]
    assert await ordered(field="USERNAME", descending=True) == ["delta", "charlie", "Bravo", "Alpha"]
    assert await ordered(field="CREATED_AT") == ["delta", "Alpha", "charlie", "Bravo"]
    assert await ordered(field="CREATED_AT", descending=True) == ["Bravo", "charlie", "Alpha", "delta"]


async def test_descendants_come_in_tree_order_down_to_the_depth_asked_for(api: Api) -> None:
    top, middle, _ = await chain(api, "top", "middle", "low")
    await api.customer("aside", of=top)
    await api.customer("beside", of=api.operator)
    await api.customer("deep", of=middle)

    everybody = ["top", "middle", "low", "deep", "aside", "beside"]
    assert await listed(api, DESCENDANTS, api.operator) == everybody
    assert (
        await listed(api, DESCENDANTS, api.operator, orderBy={"field": "PATH", "descending": True}) == everybody[::-1]
    )
    assert await listed(api, DESCENDANTS, api.operator, maxDepth=1) == ["top", "beside"]
    assert await listed(api, DESCENDANTS, api.operator, maxDepth=2) == ["top", "middle", "aside", "beside"]
    with capture_logs() as logs:
        everybody = await listed(api, DESCENDANTS, api.operator, maxDepth=2**31 - 1)
    assert everybody == await listed(api, DESCENDANTS, api.operator)
    assert not [entry for entry in logs if entry["log_level"] == "error"]
    assert await listed(api, DESCENDANTS, top) == ["middle", "low", "deep", "aside"]
    assert await listed(api, DESCENDANTS, top, orderBy={"field": "USERNAME"}) == ["aside", "deep", "low", "middle"]
    counts = "{ viewer { customerCount descendantCount } }"
    assert await api(counts, by=api.operator) == {"viewer": {"customerCount": 2, "descendantCount": 6}}
    assert await api(counts, by=top) == {"viewer": {"customerCount": 2, "descendantCount": 4}}


async def test_the_descendants_of_several_accounts_are_each_their_own(api: Api) -> None:
    for name in ("one", "two"):
        top = await api.reseller(name, of=api.operator)
        await api.customer(f"under-{name}", of=await api.reseller(f"between-{name}", of=top))
    query = """query ($of: AccountOrder, $only: AccountFilter) { viewer { customers { nodes {
      descendants(orderBy: $of, filter: $only) { nodes { username } } } } } }"""
    every: dict[str, Any] = {"of": {"field": "USERNAME"}, "only": {"blocked": False}}
    for variables in ({}, {"of": every["of"]}, {"only": every["only"]}, every):
        found = (await api(query, variables, by=api.operator))["viewer"]["customers"]["nodes"]
        below = [[one["username"].partition("*")[0] for one in each["descendants"]["nodes"]] for each in found]
        assert below == [["between-one", "under-one"], ["between-two", "under-two"]]


async def test_a_list_is_narrowed_by_name_kind_and_block(api: Api) -> None:
    top = await api.reseller("top", of=api.operator)
    await api.customer("under", of=await api.reseller("between", of=top))
    await api.done("blockAccount", "account { id }", {"accountId": top.id}, by=api.operator)
    await api.customer("Undo", of=api.operator)

    assert await listed(api, DESCENDANTS, api.operator, filter={"search": "UND"}) == ["under", "Undo"]
    assert await listed(api, DESCENDANTS, api.operator, filter={"search": "*between"}) == ["under"]
    assert await listed(api, DESCENDANTS, api.operator, filter={"search": "%"}) == []
    assert await listed(api, DESCENDANTS, api.operator, filter={"isReseller": True}) == ["top", "between"]
    assert await listed(api, DESCENDANTS, api.operator, filter={"isReseller": False}) == ["under", "Undo"]
    assert await listed(api, DESCENDANTS, api.operator, filter={"blocked": True}) == ["top", "between", "under"]
    assert await listed(api, CUSTOMERS, api.operator, filter={"blocked": False}) == ["Undo"]
    assert await listed(api, CUSTOMERS, api.operator, filter={"blocked": True}) == ["top"]
    assert await listed(api, CUSTOMERS, api.operator, filter={"blocked": True, "isReseller": False}) == []
    # Whoever is below a blocked account is blocked, whatever its own mark.
    assert await listed(api, CUSTOMERS, top, filter={"blocked": True}) == ["between"]
    assert await listed(api, CUSTOMERS, top, filter={"blocked": False}) == []
    bad = {"filter": {"search": "zero\0"}}
    assert await api.failure(CUSTOMERS, bad, by=api.operator) == "BAD_USER_INPUT"


@pytest.mark.parametrize("query", [CUSTOMERS, DESCENDANTS])
@pytest.mark.parametrize("field", ["USERNAME", "CREATED_AT", "PATH"])
@pytest.mark.parametrize("descending", [False, True])
async def test_pages_forward_and_backward_meet_every_account_once(
    api: Api, query: str, field: str, descending: bool
) -> None:
    for name in ("delta", "Alpha", "charlie", "Bravo", "echo"):
        await api.customer(name, of=api.operator)
    order = {"field": field, "descending": descending}
    everybody = await listed(api, query, api.operator, orderBy=order)
    assert len(set(everybody)) == 5

    async def walk(size: str, cursor: str, more: str, end: str) -> list[list[str]]:
        pages, arguments = [], {size: 2}
        while True:
            found = (await api(query, {"orderBy": order, **arguments}, by=api.operator))["viewer"]["list"]
            pages.append([node["username"].partition("*")[0] for node in found["nodes"]])
            assert [edge["node"] for edge in found["edges"]] == found["nodes"]
            assert found["edges"][0]["cursor"] == found["pageInfo"]["startCursor"]
            if not found["pageInfo"][more]:
                return pages
            arguments = {size: 2, cursor: found["pageInfo"][end]}

    assert await walk("first", "after", "hasNextPage", "endCursor") == [everybody[:2], everybody[2:4], everybody[4:]]
    assert await walk("last", "before", "hasPreviousPage", "startCursor") == [
        everybody[3:],
        everybody[1:3],
        everybody[:1],
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {"first": 0},
        {"first": -1},
        {"first": 101},
        {"last": 0},
        {"last": 101},
        {"first": 1, "last": 1},
        {"after": "x", "before": "x"},
        {"after": "nonsense"},
        {"after": ""},
        {"after": "AAAA"},
        {"before": "ümlaut"},
    ],
)
async def test_page_arguments_that_cannot_be_meant_are_bad_input(api: Api, arguments: dict[str, Any]) -> None:
    assert await api.failure(CUSTOMERS, arguments, by=api.operator) == "BAD_USER_INPUT"


async def test_a_cursor_of_another_list_or_order_or_a_damaged_one_is_bad_input(api: Api) -> None:
    await api.customer("alpha", of=api.operator)
    page = (await api(CUSTOMERS, by=api.operator))["viewer"]["list"]["pageInfo"]
    cursor = page["endCursor"]
    assert (await api(CUSTOMERS, {"after": cursor}, by=api.operator))["viewer"]["list"]["nodes"] == []

    damaged = ("B" if cursor[-6] != "B" else "C").join((cursor[:-6], cursor[-5:]))
    for wrong in ({"after": damaged}, {"after": cursor, "orderBy": {"field": "USERNAME", "descending": True}}):
        assert await api.failure(CUSTOMERS, wrong, by=api.operator) == "BAD_USER_INPUT"
    other_list = {"after": cursor, "orderBy": {"field": "USERNAME"}}
    assert await api.failure(DESCENDANTS, other_list, by=api.operator) == "BAD_USER_INPUT"


async def test_a_depth_below_one_is_bad_input(api: Api) -> None:
    assert await api.failure(DESCENDANTS, {"maxDepth": 0}, by=api.operator) == "BAD_USER_INPUT"


async def test_nested_lists_take_one_statement_however_deep_they_nest(api: Api) -> None:
    for reseller in ("a", "b", "c"):
        above = await api.reseller(reseller, of=api.operator)
        for customer in ("x", "y"):
            await api.customer(customer, of=above, credit="1")
    query = """{ viewer { customers { nodes { username customers(first: 1) { nodes { username parent { username }
      usage { calls } transactions { nodes { amount } } } pageInfo { hasNextPage } } customerCount } } } }"""

    with counted_statements() as statements:
        found = (await api(query, by=api.operator))["viewer"]["customers"]["nodes"]

    assert [(n["username"], n["customerCount"], n["customers"]["nodes"][0]["username"]) for n in found] == [
        ("a*operator", 2, "x*a"),
        ("b*operator", 2, "x*b"),
        ("c*operator", 2, "x*c"),
    ]
    assert all(node["customers"]["pageInfo"]["hasNextPage"] for node in found)
    assert [node["customers"]["nodes"][0]["transactions"]["nodes"] for node in found] == [[{"amount": "1.00000"}]] * 3
    # The whole query; whose the token is, is known.
    assert len(statements) == 1
