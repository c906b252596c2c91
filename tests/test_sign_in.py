"""Signing in and out, sessions, passwords, API tokens and their scopes."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from billing.passwords import Passwords
from tests.graphql_client import LOGIN, PASSWORD, Api, running_api

WHO = "{ viewer { username } }"


async def end_of_session(api: Api, token_digest_of: str) -> None:
    async with api.db.transaction() as tx:
        await tx.exec_driver_sql(
            "UPDATE tokens SET expires_at = now() - interval '1 second' "
            "WHERE secret_digest = sha256(convert_to($1, 'UTF8'))",
            (token_digest_of,),
        )


async def test_signing_in_gives_a_token_that_names_the_viewer_for_thirty_days(api: Api) -> None:
    before = datetime.now(UTC)
    credentials = {"username": "operator", "password": PASSWORD}
    payload = (await api(LOGIN, {"input": credentials}))["login"]

    assert payload["viewer"]["username"] == "operator"
    assert await api(WHO, by=payload["token"]) == {"viewer": {"username": "operator"}}
    life = datetime.fromisoformat(payload["expiresAt"]) - before
    assert timedelta(days=30) - timedelta(minutes=1) < life < timedelta(days=30, minutes=1)


async def test_usernames_sign_in_whatever_their_case(api: Api) -> None:
    assert (await api.sign_in("OPERator")).username == "operator"


@pytest.mark.parametrize(
    ("username", "password"),
    [("operator", "wrong"), ("operator", ""), ("nobody", PASSWORD), ("", ""), ("opera\0tor", PASSWORD)],
)
async def test_a_wrong_name_and_a_wrong_password_are_not_told_apart(api: Api, username: str, password: str) -> None:
    before = await api.rows()

    error = await api.refused("login", {"username": username, "password": password})

    assert (error["code"], error["message"]) == ("INVALID_CREDENTIALS", "The username or the password is wrong.")
    assert await api.rows() == before


async def test_a_secret_is_kept_nowhere(api: Api) -> None:
    rows = await api.rows("tokens", "accounts")

    assert api.operator.token not in str(rows)
    assert PASSWORD not in str(rows)


@pytest.mark.parametrize("token", ["", "nonsense", "tollpath_", "\xff", "a b"])
async def test_a_token_that_is_none_is_nobodys(api: Api, token: str) -> None:
    headers = {"authorization": f"Bearer {token}".encode("latin-1")}
    response = await api.client.post("/graphql", json={"query": WHO}, headers=headers)

    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_an_anonymous_caller_may_read_the_settings_and_nothing_else(api: Api) -> None:
    assert await api("{ settings { currency passwordLengthMin } }") == {
        "settings": {"currency": "EUR", "passwordLengthMin": 4}
    }
    for query in (WHO, '{ account(username: "operator") { id } }', '{ node(id: "QWNjb3VudDox") { id } }'):
        assert await api.failure(query) == "UNAUTHENTICATED"


async def test_an_expired_session_is_nobodys(api: Api) -> None:
    await end_of_session(api, api.operator.token)

    assert await api.failure(WHO, by=api.operator) == "UNAUTHENTICATED"


async def test_signing_out_ends_the_token_at_once_and_no_other(api: Api) -> None:
    other = await api.sign_in("operator")

    assert await api("mutation { logout { errors { code } } }", by=api.operator) == {"logout": {"errors": []}}

    assert await api.failure(WHO, by=api.operator) == "UNAUTHENTICATED"
    assert await api(WHO, by=other) == {"viewer": {"username": "operator"}}
    assert await api.failure("mutation { logout { errors { code } } }", by=api.operator) == "UNAUTHENTICATED"


async def test_changing_ones_own_password_needs_the_current_one_and_ends_the_other_sessions(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    elsewhere = await api.sign_in("keytyh*operator")
    token = (await api.done("createApiToken", "token", {"name": "reader", "scopes": ["READ"]}, by=keytyh))["token"]
    before = await api.rows()

    for current in ("wrong", None):
        wrong = {"currentPassword": current, "newPassword": "brand new"}
        error = await api.refused("changePassword", wrong, by=keytyh)
        assert (error["code"], error["path"]) == ("INVALID_CREDENTIALS", ["currentPassword"])
    short = {"currentPassword": PASSWORD, "newPassword": "abc"}
    error = await api.refused("changePassword", short, by=keytyh)
    assert (error["code"], error["path"]) == ("PASSWORD_TOO_SHORT", ["newPassword"])
    assert await api.rows() == before

    change = {"currentPassword": PASSWORD, "newPassword": "brand new"}
    payload = await api.done("changePassword", "account { username }", change, by=keytyh)
    assert payload["account"] == {"username": "keytyh*operator"}

    assert await api.failure(WHO, by=elsewhere) == "UNAUTHENTICATED"
    assert await api(WHO, by=keytyh) == await api(WHO, by=token) == {"viewer": {"username": "keytyh*operator"}}
    assert (await api.refused("login", {"username": "keytyh*operator", "password": PASSWORD}))["code"] == (
        "INVALID_CREDENTIALS"
    )
    await api.sign_in("keytyh*operator", "brand new")


async def test_a_reseller_gives_its_customer_a_new_password_without_knowing_the_old_one(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    keytyh = await api.customer("keytyh", of=good)
    below = await api.customer("deep", of=await api.reseller("middle", of=good))

    await api.done("changePassword", "account { id }", {"accountId": keytyh.id, "newPassword": "brand new"}, by=good)

    assert await api.failure(WHO, by=keytyh) == "UNAUTHENTICATED"
    await api.sign_in(keytyh.username, "brand new")
    before = await api.rows()
    error = await api.refused("changePassword", {"accountId": below.id, "newPassword": "brand new"}, by=good)
    assert error["code"] == "NOT_ALLOWED"
    error = await api.refused("changePassword", {"accountId": good.id, "newPassword": "brand new"}, by=below)
    assert error["code"] == "NOT_FOUND"
    assert await api.rows() == before


async def test_a_sign_in_under_way_leaves_no_session_of_the_old_password(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    old = {"input": {"username": keytyh.username, "password": PASSWORD}}
    change = {"accountId": keytyh.id, "newPassword": "brand new"}

    answers = await asyncio.gather(
        *(api(LOGIN, old) for _ in range(8)),
        api.done("changePassword", "account { id }", change, by=api.operator),
        *(api(LOGIN, old) for _ in range(8)),
    )

    tokens = [answer["login"]["token"] for answer in answers if "login" in answer]
    for token in filter(None, tokens):
        assert await api.failure(WHO, by=token) == "UNAUTHENTICATED"


async def test_an_api_token_carries_its_scopes_and_nothing_else(api: Api) -> None:
    good = await api.reseller("good", of=api.operator)
    payload = await api.done(
        "createApiToken",
        "token apiToken { id name scopes expiresAt revokedAt }",
        {"name": "reader", "scopes": ["READ"]},
        by=good,
    )
    token, shown = payload["token"], payload["apiToken"]
    assert {**shown, "id": ""} == {
        "id": "",
        "name": "reader",
        "scopes": ["READ"],
        "expiresAt": None,
        "revokedAt": None,
    }
    assert await api(WHO, by=token) == {"viewer": {"username": "good*operator"}}
    before = await api.rows()
    create = 'mutation { createCustomer(input: {username: "x", password: "abcd"}) { message } }'
    assert await api.failure(create, by=token) == "FORBIDDEN"
    assert await api.rows() == before

    manager = await api.done("createApiToken", "token", {"name": "m", "scopes": ["MANAGE"]}, by=good)
    assert await api.failure(WHO, by=manager["token"]) == "FORBIDDEN"


async def test_an_api_token_carries_no_scope_that_its_maker_lacks(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    manager = (await api.done("createApiToken", "token", {"name": "m", "scopes": ["MANAGE"]}, by=api.operator))["token"]
    before = await api.rows()

    error = await api.refused("createApiToken", {"name": "x", "scopes": ["READ", "CALLS_CHARGE"]}, by=keytyh)
    assert (error["code"], error["path"]) == ("NOT_ALLOWED", ["scopes"])
    error = await api.refused("createApiToken", {"name": "x", "scopes": ["READ"]}, by=manager)
    assert error["code"] == "NOT_ALLOWED"
    error = await api.refused("createApiToken", {"name": "x", "scopes": []}, by=api.operator)
    assert error["code"] == "INVALID_INPUT"
    past = {"name": "x", "scopes": ["READ"], "expiresAt": "2020-01-01T00:00:00Z"}
    assert (await api.refused("createApiToken", past, by=api.operator))["code"] == "INVALID_INPUT"
    assert await api.rows() == before


async def test_a_revoked_api_token_is_nobodys_and_only_its_owner_revokes_it(api: Api) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    made = await api.done("createApiToken", "token apiToken { id }", {"name": "r", "scopes": ["READ"]}, by=keytyh)
    token_id = made["apiToken"]["id"]
    own_tokens = "{ viewer { apiTokens { id name } } }"
    assert await api(own_tokens, by=keytyh) == {"viewer": {"apiTokens": [{"id": token_id, "name": "r"}]}}
    seen = "query ($id: ID!) { account(id: $id) { apiTokens { id } } }"
    assert await api(seen, {"id": keytyh.id}, by=api.operator) == {"account": {"apiTokens": None}}

    for wrong_id in (token_id, "nonsense"):
        error = await api.refused("revokeApiToken", {"tokenId": wrong_id}, by=api.operator)
        assert error["code"] == "NOT_FOUND"
    assert await api(WHO, by=made["token"]) == {"viewer": {"username": "keytyh*operator"}}

    for _ in range(2):
        payload = await api.done("revokeApiToken", "apiToken { id revokedAt }", {"tokenId": token_id}, by=keytyh)
        assert payload["apiToken"]["revokedAt"] is not None
    assert await api.failure(WHO, by=made["token"]) == "UNAUTHENTICATED"
    assert await api(own_tokens, by=keytyh) == {"viewer": {"apiTokens": []}}


async def test_the_shortest_password_and_the_life_of_a_session_are_settings(database_url: str) -> None:
    async with running_api(database_url, password_length_min=6, session_ttl_s=60, currency="USD") as api:
        assert await api("{ settings { currency passwordLengthMin } viewer { currency } }", by=api.operator) == {
            "settings": {"currency": "USD", "passwordLengthMin": 6},
            "viewer": {"currency": "USD"},
        }
        error = await api.refused("createCustomer", {"username": "x", "password": "abcde"}, by=api.operator)
        assert error["message"] == "Password is too short; password should at least contain 6 characters."
        payload = (await api(LOGIN, {"input": {"username": "operator", "password": PASSWORD}}))["login"]
        assert datetime.fromisoformat(payload["expiresAt"]) < datetime.now(UTC) + timedelta(seconds=62)


async def test_a_password_is_checked_without_stopping_the_event_loop() -> None:
    passwords = Passwords(rounds=3, memory_kib=64 * 1024)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    stored = await passwords.hash(PASSWORD)
    assert await passwords.matches(PASSWORD, stored)
    assert not await passwords.matches("wrong", stored)
    assert not await passwords.matches(PASSWORD, None)
    assert not await passwords.matches(PASSWORD, "no hash at all")
    ticking.cancel()
    assert ticks > 10
