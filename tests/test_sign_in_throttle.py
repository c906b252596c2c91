"""Wrong passwords, counted for the account and for the address within a minute."""

import asyncio
from typing import Any

import pytest

from billing.errors import InvalidCredentials
from resolvers.request_errors import Throttled
from resolvers.sign_in_throttle import SignInThrottle
from tests.graphql_client import LOGIN, PASSWORD, Api, running_api


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def wrong(throttle: SignInThrottle, username: str = "operator", address: str = "192.0.2.1") -> None:
    """One wrong password. Raises: Throttled."""
    with pytest.raises(InvalidCredentials):
        async with throttle.one_try(username, address):
            raise InvalidCredentials("wrong")


async def right(throttle: SignInThrottle, username: str = "operator", address: str = "192.0.2.1") -> None:
    """The right password. Raises: Throttled."""
    async with throttle.one_try(username, address):
        pass


async def test_after_too_many_wrong_passwords_for_an_account_even_the_right_one_waits_for_the_minute_to_pass() -> None:
    clock = Clock()
    throttle = SignInThrottle(account_max=3, address_max=100, clock=clock)
    for second in range(3):
        clock.now = 1000.0 + second
        await wrong(throttle, address=f"192.0.2.{second}")
    with pytest.raises(Throttled, match=r"^Too many wrong passwords: try again in 58 s\.$"):
        await right(throttle, username="OPERATOR", address="198.51.100.1")
    await right(throttle, username="keytyh*good", address="192.0.2.1")
    clock.now = 1060.0
    await right(throttle)


async def test_the_right_password_forgets_the_wrong_ones_before_it() -> None:
    throttle = SignInThrottle(account_max=3, address_max=100, clock=Clock())
    for _ in range(5):
        await wrong(throttle)
        await wrong(throttle)
        await right(throttle)


async def test_wrong_passwords_from_one_address_are_counted_over_all_accounts_and_never_forgotten_early() -> None:
    clock = Clock()
    throttle = SignInThrottle(account_max=100, address_max=3, clock=clock)
    for number in range(3):
        await wrong(throttle, username=f"customer{number}*good")
        await right(throttle, username="mine*good", address="192.0.2.9")
    with pytest.raises(Throttled):
        await right(throttle, username="mine*good")
    await right(throttle, username="mine*good", address="192.0.2.2")
    clock.now += 60
    await right(throttle, username="mine*good")


@pytest.mark.parametrize(
    ("address", "neighbour", "is_the_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("unix", "unix", True),
    ],
)
async def test_a_network_of_ipv6_counts_as_one_address(address: str, neighbour: str, is_the_same: bool) -> None:
    throttle = SignInThrottle(account_max=100, address_max=1, clock=Clock())
    await wrong(throttle, address=address)
    if is_the_same:
        with pytest.raises(Throttled):
            await right(throttle, address=neighbour)
    else:
        await right(throttle, address=neighbour)


async def test_of_a_name_without_end_only_the_beginning_is_kept() -> None:
    throttle = SignInThrottle(account_max=1, address_max=100, clock=Clock())
    await wrong(throttle, username="n" * 1_000_000)
    with pytest.raises(Throttled):
        await right(throttle, username="n" * 1_000_001)


async def test_where_no_address_is_known_only_accounts_are_counted() -> None:
    throttle = SignInThrottle(account_max=100, address_max=1, clock=Clock())
    for _ in range(5):
        await wrong(throttle, address="")


async def test_of_many_tries_at_once_no_more_are_checked_than_may_be_wrong() -> None:
    throttle = SignInThrottle(account_max=3, address_max=100, clock=Clock())
    checked = 0

    async def try_wrongly() -> None:
        nonlocal checked
        async with throttle.one_try("operator", "192.0.2.1"):
            checked += 1
            await asyncio.sleep(0)
            raise InvalidCredentials("wrong")

    outcomes = await asyncio.gather(*(try_wrongly() for _ in range(50)), return_exceptions=True)
    assert checked == 3
    assert [type(outcome) for outcome in outcomes].count(Throttled) == 47


async def test_many_right_ones_at_once_all_come_in() -> None:
    throttle = SignInThrottle(account_max=3, address_max=100, clock=Clock())

    async def try_rightly() -> None:
        async with throttle.one_try("operator", "192.0.2.1"):
            await asyncio.sleep(0)

    await asyncio.gather(*(try_rightly() for _ in range(50)))


async def test_a_try_that_breaks_off_counts_as_none() -> None:
    throttle = SignInThrottle(account_max=1, address_max=1, clock=Clock())
    with pytest.raises(OSError, match="database"):
        async with throttle.one_try("operator", "192.0.2.1"):
            raise OSError("database")
    await right(throttle)


async def login(api: Api, username: str, password: str, **headers: str) -> dict[str, Any]:
    """The whole answer to one sign-in."""
    body = {"query": LOGIN, "variables": {"input": {"username": username, "password": password}}}
    answer: dict[str, Any] = (await api.client.post("/graphql", json=body, headers=headers)).json()
    return answer


def codes(answer: dict[str, Any]) -> list[str]:
    """The code of the top-level error, or those of the payload."""
    if "errors" in answer:
        return [error["extensions"]["code"] for error in answer["errors"]]
    return [error["code"] for error in answer["data"]["login"]["errors"]]


async def test_signing_in_is_throttled_and_those_who_are_signed_in_go_on(database_url: str) -> None:
    async with running_api(database_url, wrong_passwords_max=3) as api:
        keytyh = await api.customer("keytyh", of=api.operator)
        before = await api.rows()
        for username in ("keytyh*operator", "KEYTYH*operator", "keytyh*OPERATOR"):
            assert codes(await login(api, username, "wrong")) == ["INVALID_CREDENTIALS"]
        answer = await login(api, "keytyh*operator", PASSWORD)
        assert codes(answer) == ["THROTTLED"]
        assert answer["errors"][0]["message"].startswith("Too many wrong passwords: try again in ")
        for _ in range(3):
            assert codes(await login(api, "nobody", "wrong")) == ["INVALID_CREDENTIALS"]
        assert codes(await login(api, "nobody", "wrong")) == ["THROTTLED"], "names that there are not are no exception"
        assert await api.rows() == before
        assert await api("{ viewer { username } }", by=keytyh) == {"viewer": {"username": "keytyh*operator"}}
        await api.sign_in("operator")


async def test_one_address_is_throttled_whatever_accounts_it_tries(database_url: str) -> None:
    async with running_api(database_url, address_wrong_passwords_max=3) as api:
        for username in ("anna", "berta", "carla"):
            assert codes(await login(api, username, "wrong")) == ["INVALID_CREDENTIALS"]
        assert codes(await login(api, "operator", PASSWORD)) == ["THROTTLED"]


async def test_trying_out_ones_own_current_password_is_throttled_too(database_url: str) -> None:
    async with running_api(database_url, wrong_passwords_max=3) as api:
        change = {"currentPassword": "wrong", "newPassword": "brand new"}
        for _ in range(3):
            refused = await api.refused("changePassword", change, by=api.operator)
            assert refused["code"] == "INVALID_CREDENTIALS"
        mutation = "mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { errors { code } } }"
        right = {**change, "currentPassword": PASSWORD}
        assert await api.failure(mutation, {"input": right}, by=api.operator) == "THROTTLED"
