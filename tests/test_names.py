"""Names and passwords: every sentence of the trade's manual."""

import asyncio

import pytest

from tests.graphql_client import PASSWORD, Api


async def test_the_suffix_is_the_creating_resellers_own_bare_name(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    good = await api.reseller("good", of=luluka)
    keytyh = await api.customer("keytyh", of=good)

    assert (luluka.username, good.username, keytyh.username) == ("luluka*operator", "good*luluka", "keytyh*good")


async def test_the_account_at_the_top_has_no_suffix(api: Api) -> None:
    assert await api("{ viewer { username depth parent { id } } }", by=api.operator) == {
        "viewer": {"username": "operator", "depth": 0, "parent": None}
    }


@pytest.mark.parametrize("typed", ["keytyh*good", "*", "keytyh*", "*good"])
async def test_whoever_types_a_suffix_gets_a_clear_error(api: Api, typed: str) -> None:
    good = await api.reseller("good", of=api.operator)
    before = await api.rows()

    error = await api.refused("createCustomer", {"username": typed, "password": PASSWORD}, by=good)

    assert error["code"] == "INVALID_USERNAME"
    assert error["message"] == "Type the name without * and suffix: the system adds *good by itself."
    assert error["path"] == ["username"]
    assert await api.rows() == before


@pytest.mark.parametrize("typed", ["", " ", "two words", "tab\t", "zero\0", "ümlaut", "x" * 65, "a@b", '"'])
async def test_a_name_that_no_telephone_could_use_is_refused(api: Api, typed: str) -> None:
    before = await api.rows()

    error = await api.refused("createCustomer", {"username": typed, "password": PASSWORD}, by=api.operator)

    assert (error["code"], error["path"]) == ("INVALID_USERNAME", ["username"])
    assert await api.rows() == before


async def test_a_taken_name_is_refused_in_the_manuals_words_whatever_its_case(api: Api) -> None:
    await api.customer("Keytyh", of=api.operator)
    before = await api.rows()

    for typed in ("Keytyh", "keytyh", "KEYTYH"):
        error = await api.refused("createCustomer", {"username": typed, "password": PASSWORD}, by=api.operator)
        assert (error["code"], error["message"]) == ("USERNAME_TAKEN", "User already exists, no update.")
    assert await api.rows() == before


async def test_the_same_bare_name_is_free_under_another_reseller(api: Api) -> None:
    good, fine = await api.reseller("good", of=api.operator), await api.reseller("fine", of=api.operator)

    await api.customer("keytyh", of=good)
    assert (await api.customer("keytyh", of=fine)).username == "keytyh*fine"


async def test_two_resellers_of_the_same_bare_name_share_one_suffix(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    other = await api.reseller("other", of=api.operator)
    namesake = await api.reseller("good", of=other)
    await api.customer("keytyh", of=good)

    error = await api.refused("createCustomer", {"username": "keytyh", "password": PASSWORD}, by=namesake)
    assert error["message"] == "User already exists, no update."


async def test_of_many_who_race_for_a_name_one_gets_it(api: Api) -> None:
    names = ["racer", "RACER", "Racer", "rAcer", "raceR", "RaCeR"]
    answers = await asyncio.gather(
        *(
            api.change("createCustomer", "message", {"username": name, "password": PASSWORD}, by=api.operator)
            for name in names
        )
    )

    refused = [answer["errors"][0]["message"] for answer in answers if answer["errors"]]
    assert refused == ["User already exists, no update."] * 5
    assert await api("{ viewer { customerCount } }", by=api.operator) == {"viewer": {"customerCount": 1}}


async def test_a_password_has_at_least_four_characters(api: Api) -> None:
    before = await api.rows()

    error = await api.refused("createCustomer", {"username": "keytyh", "password": "abc"}, by=api.operator)

    assert error == {
        "code": "PASSWORD_TOO_SHORT",
        "message": "Password is too short; password should at least contain 4 characters.",
        "path": ["password"],
        "account": None,
    }
    assert await api.rows() == before
    await api.done("createCustomer", "message", {"username": "keytyh", "password": "abcd"}, by=api.operator)


async def test_the_answer_to_a_successful_creation_ends_with_the_full_username(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)

    payload = await api.done("createCustomer", "message", {"username": "keytyh", "password": PASSWORD}, by=good)
    assert payload["message"] == "Customer created: keytyh*good"

    payload = await api.done(
        "createCustomer", "message", {"username": "fine", "password": PASSWORD, "isReseller": True}, by=good
    )
    assert payload["message"] == "Reseller created: fine*good"


async def test_no_mutation_takes_another_username(api: Api) -> None:
    fields = await api('{ __type(name: "UpdateAccountInput") { inputFields { name } } }')

    assert "username" not in [field["name"] for field in fields["__type"]["inputFields"]]
