"""Whose a token is need not be asked for every query; whether it is still good is, with whatever the query asks."""

import pytest

from resolvers import viewers
from resolvers.viewers import Viewers
from tests.counted_statements import counted_statements
from tests.graphql_client import Api
from tests.test_sign_in import end_of_session

WHO = "{ viewer { username } }"
# Both are left to resolvers, the first by the whole query, the second inside a statement.
BY_RESOLVERS = ("{ viewer { apiTokens { name } } }", "{ viewer { username lowBalanceThreshold } }")


async def test_a_query_by_a_known_token_takes_one_statement(api: Api) -> None:
    with counted_statements() as first:
        await api(WHO, by=api.operator)
    with counted_statements() as second:
        await api(WHO, by=api.operator)

    # Signing in has looked it up, but by another way than requests do.
    assert len(first) == 2
    assert len(second) == 1


@pytest.mark.parametrize("query", [WHO, *BY_RESOLVERS])
async def test_a_known_token_that_has_ended_is_nobodys_from_then_on(api: Api, query: str) -> None:
    leaver, expired = await api.sign_in("operator"), await api.sign_in("operator")
    for person in (leaver, expired, api.operator):
        await api(query, by=person)

    await api("mutation { logout { errors { code } } }", by=leaver)
    await end_of_session(api, expired.token)

    for _ in range(2):
        assert await api.failure(query, by=leaver) == "UNAUTHENTICATED"
        assert await api.failure(query, by=expired) == "UNAUTHENTICATED"
    await api(query, by=api.operator)


@pytest.mark.parametrize("query", [WHO, *BY_RESOLVERS])
async def test_a_known_token_that_has_ended_elsewhere_learns_nothing(api: Api, query: str) -> None:
    await api(query, by=api.operator)
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql("DELETE FROM tokens")

    answer = await api.answer(query, by=api.operator)

    assert not answer.get("data")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]


async def test_a_known_token_without_the_scope_is_refused_each_time(api: Api) -> None:
    request = {"name": "switch", "scopes": ["CALLS_CHARGE"]}
    token = (await api.done("createApiToken", "token", request, by=api.operator))["token"]

    for _ in range(2):
        assert await api.failure(WHO, by=token) == "FORBIDDEN"


async def test_no_more_tokens_are_remembered_than_there_is_room_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "_REMEMBERED_MAX", 2)
    known = Viewers(api.db)
    people = [await api.sign_in("operator") for _ in range(3)]

    for person in people:
        assert await known.of_token(person.token) is not None

    assert [known.remembered(person.token) is not None for person in people] == [False, False, True]
    assert known.remembered("nobody's") is None
