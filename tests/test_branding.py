"""Branding: a reseller's own, inherited as a whole by everybody below who has set nothing."""

from typing import Any

import pytest

from tests.counted_statements import counted_statements
from tests.graphql_client import Api, Person

BRANDING = "branding { name logoUrl primaryColour secondaryColour owner { username } }"
FULL = {
    "name": "Lu & Ka Télécom",
    "logoUrl": "https://luluka.example/logo.svg?v=2",
    "primaryColour": "#1A2b3c",
    "secondaryColour": "#ffffff",
}


async def branded(api: Api, *, by: Person, **changes: Any) -> Any:
    return (await api.done("updateBranding", BRANDING, changes, by=by))["branding"]


async def shown(api: Api, viewer: Person) -> Any:
    return (await api(f"{{ viewer {{ {BRANDING} }} }}", by=viewer))["viewer"]["branding"]


async def test_without_any_branding_there_is_none(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    assert (await shown(api, api.operator), await shown(api, keytyh)) == (None, None)


async def test_a_branding_is_shown_to_its_reseller_and_to_everybody_below_who_does_not_learn_whose_it_is(
    api: Api,
) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    good = await api.reseller("good", of=luluka)
    keytyh = await api.customer("keytyh", of=good)
    beside = await api.customer("beside", of=api.operator)

    branding = await branded(api, by=luluka, **FULL)

    assert branding == {**FULL, "primaryColour": "#1a2b3c", "owner": {"username": "luluka*operator"}}
    assert await shown(api, luluka) == branding
    assert await shown(api, good) == await shown(api, keytyh) == {**branding, "owner": None}
    assert await shown(api, beside) is None
    assert await shown(api, api.operator) is None


async def test_the_nearest_branding_holds_as_a_whole(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    good = await api.reseller("good", of=luluka)
    keytyh = await api.customer("keytyh", of=good)
    await branded(api, by=api.operator, name="Operator", primaryColour="#000000")
    await branded(api, by=luluka, **FULL)

    await branded(api, by=good, name="Good")

    assert await shown(api, keytyh) == {
        "name": "Good",
        "logoUrl": None,
        "primaryColour": None,
        "secondaryColour": None,
        "owner": None,
    }
    query = f"query ($id: ID!) {{ account(id: $id) {{ {BRANDING} }} }}"
    seen = (await api(query, {"id": keytyh.id}, by=luluka))["account"]["branding"]
    assert (seen["name"], seen["owner"]) == ("Good", {"username": "good*luluka"})


async def test_what_is_left_out_stays_and_clearing_all_inherits_again(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    await branded(api, by=api.operator, name="Operator")
    await branded(api, by=luluka, **FULL)

    branding = await branded(api, by=luluka, logoUrl=None, name="  Luluka  ", secondaryColour="")
    assert (branding["name"], branding["logoUrl"], branding["primaryColour"], branding["secondaryColour"]) == (
        *("Luluka", None),
        *("#1a2b3c", None),
    )
    branding = await branded(api, by=luluka, name=None, primaryColour=None)
    assert (branding["name"], branding["owner"]) == ("Operator", None)
    assert len((await api.rows("brandings"))["brandings"]) == 1


async def test_a_customer_has_no_branding_of_its_own(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    error = await api.refused("updateBranding", {"name": "Mine"}, by=keytyh)
    assert error["code"] == "NOT_A_RESELLER"
    assert await api.rows("brandings") == {"brandings": []}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", "x" * 101),
        ("name", "two\nlines"),
        ("name", "zero\0"),
        ("logoUrl", "http://luluka.example/logo.png"),
        ("logoUrl", "https:///logo.png"),
        ("logoUrl", "https://"),
        ("logoUrl", "https://user:secret@luluka.example/logo.png"),
        ("logoUrl", "https://luluka.example/a b.png"),
        ("logoUrl", "https://luluka.example/\"onload='x'"),
        ("logoUrl", "https://luluka.example/);x"),
        ("logoUrl", "https://luluka.example:99999/logo.png"),
        ("logoUrl", "https://[luluka/logo.png"),
        ("logoUrl", "javascript:alert(1)"),
        ("logoUrl", "data:image/png;base64,AAAA"),
        ("logoUrl", "https://luluka.example/" + "x" * 2000),
        ("primaryColour", "red"),
        ("primaryColour", "#12345"),
        ("primaryColour", "#1234567"),
        ("primaryColour", "#12345g"),
        ("primaryColour", "#12345٣"),
        ("secondaryColour", "#fff; background: url(x)"),
    ],
)
async def test_what_a_page_cannot_use_is_refused_and_changes_nothing(api: Api, field: str, text: str) -> None:
    await branded(api, by=api.operator, **FULL)
    before = await api.rows("brandings")
    error = await api.refused("updateBranding", {"name": "Other", field: text}, by=api.operator)
    assert (error["code"], error["path"]) == ("INVALID_INPUT", [field])
    assert await api.rows("brandings") == before


async def test_the_branding_of_a_page_of_accounts_takes_one_statement(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    own = await api.reseller("own", of=good)
    await api.customer("keytyh", of=good)
    await api.customer("below", of=own)
    await branded(api, by=good, name="Good")
    await branded(api, by=own, name="Own")
    query = "{ viewer { descendants { nodes { username branding { name } } } } }"

    with counted_statements() as statements:
        found = (await api(query, by=good))["viewer"]["descendants"]["nodes"]

    assert [(node["username"], node["branding"]["name"]) for node in found] == [
        ("own*good", "Own"),
        ("below*own", "Own"),
        ("keytyh*good", "Good"),
    ]
    # The token, the query, and of what it leaves to resolvers the accounts and their branding.
    assert len(statements) == 4
