"""Authorisations, extensions and ends at the same time, over several processes on one database."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from models.database import Database
from resolvers.audit import audit
from tests.server_process import server_processes
from tests.simulated_api import Credit, SimulatedApi

STARTED_AT = "2026-03-01T12:00:00Z"
_STANDING = "{ viewer { username balance held available descendants(first: 10) { nodes { username balance held } } } }"
_HOLDS = "{ viewer { holds(first: 1) { nodes { callId } } } }"


class Switch:
    """A switch that spreads what it asks over all servers; operator ▶ luluka ▶ good ▶ keytyh."""

    def __init__(self, api: SimulatedApi) -> None:
        self.api = api

    async def begin(self, *, credit: dict[str, str]) -> None:
        """A tree, each level with its own price: 0.03, 0.06, 0.08 and 0.10 a minute."""
        await self.api.sign_in("operator")
        (base,) = [one for one in await self.api.rate_lists("operator") if one["isBase"]]
        await self.set_price("operator", base["id"], "0.03")
        for name, reseller, price in (
            ("luluka", "operator", "0.06"),
            ("good", "luluka*operator", "0.08"),
            ("keytyh", "good*luluka", "0.10"),
        ):
            new_list = {"name": name, "discountPercent": "0"}
            rate_list = (await self.done(reseller, "createRateList", "rateList { id }", new_list))["rateList"]
            await self.set_price(reseller, rate_list["id"], price)
            customer = {
                "username": name,
                "password": "s3cret",
                "isReseller": name != "keytyh",
                "credit": credit[name],
                "rateListId": rate_list["id"],
            }
            await self.done(reseller, "createCustomer", "account { username }", customer)
            await self.api.sign_in(f"{name}*{reseller.partition('*')[0]}")

    async def set_price(self, by: str, rate_list_id: str, per_minute: str) -> None:
        """One price for every number that begins with 43, by the second."""
        rate = {"prefix": "43", "pricePerMinute": per_minute}
        await self.done(by, "setRates", "changed", {"rateListId": rate_list_id, "rates": [rate]})

    async def done(self, by: str, mutation: str, fields: str, input: dict[str, Any]) -> Any:
        """The payload of a mutation that is not refused."""
        refused, payload = await self.api.change(by, mutation, fields, input)
        assert refused is None, payload
        return payload

    async def authorize(self, call_id: str, **changes: Any) -> tuple[str, Any]:
        """HELD and for how long, ENDED, or the refusal's code and the account in the way."""
        call = {"callId": call_id, "username": "keytyh*good", "number": "+431234", **changes}
        payload = await self.api.ask(
            "good*luluka",
            "mutation ($input: AuthorizeCallInput!) { authorizeCall(input: $input) "
            "{ authorization { heldSeconds } errors { code account { username } } } }",
            {"input": call},
        )
        answer = payload["authorizeCall"]
        if answer["errors"]:
            (error,) = answer["errors"]
            return error["code"], error["account"] and error["account"]["username"]
        held_s = answer["authorization"]["heldSeconds"]
        return ("HELD", held_s) if held_s else ("ENDED", None)

    async def extend(self, call_id: str, sequence: int) -> str:
        """HELD or the refusal's code."""
        input = {"callId": call_id, "sequence": sequence}
        return (await self.api.change("good*luluka", "extendCall", "__typename", input))[0] or "HELD"

    async def settle(self, call_id: str, duration_s: int, by: str = "good*luluka", **changes: Any) -> str:
        """BOOKED, AGAIN, PENDING or the refusal's code."""
        input = {"callId": call_id, "durationSeconds": duration_s, **changes}
        return _ended(await self.api.change(by, "settleCall", "pending duplicate", input))

    async def release(self, call_id: str) -> str:
        """The same of a call that was never answered."""
        return _ended(await self.api.change("good*luluka", "releaseCall", "pending duplicate", {"callId": call_id}))

    async def standing(self) -> dict[str, tuple[str, str]]:
        """Balance and held amount of everybody, by bare name."""
        viewer = (await self.api.ask("operator", _STANDING))["viewer"]
        return {
            account["username"].partition("*")[0]: (account["balance"], account["held"])
            for account in [viewer, *viewer["descendants"]["nodes"]]
        }


def _ended(answer: tuple[str | None, Any]) -> str:
    refused, payload = answer
    if refused is not None:
        return refused
    return "PENDING" if payload["pending"] else "AGAIN" if payload["duplicate"] else "BOOKED"


@asynccontextmanager
async def a_switch(database_url: str, folder: Path, servers: int) -> AsyncIterator[Switch]:
    """So many servers, and a connection to each for every call that may be in flight."""
    limits = httpx.Limits(max_connections=100)
    async with server_processes(database_url, folder, servers) as processes, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=process.address, timeout=60, limits=limits))
            for process in processes
        ]
        yield Switch(SimulatedApi(cycle(clients)))
        assert [process.log() for process in processes] == [""] * servers


async def nothing_is_left(switch: Switch, db: Database) -> None:
    """Nothing is held of anybody, the books agree, and no row waits for anything."""
    assert {held for _, held in (await switch.standing()).values()} == {"0.00000"}
    assert (await switch.api.ask("operator", _HOLDS))["viewer"]["holds"]["nodes"] == []
    assert (await audit(db)).differences == ()
    async with db.read() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT (SELECT count(*) FROM holds), (SELECT count(*) FROM early_ends)"
        )
        assert tuple(rows.one()) == (0, 0)


async def test_of_200_calls_at_once_exactly_as_many_start_as_the_middle_reseller_can_pay_for(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    async with a_switch(database_url, tmp_path, 4) as switch:
        await switch.begin(credit={"luluka": "1000", "good": "0", "keytyh": "1000"})
        for number in range(5):
            slices = Credit("operator", "good*luluka", 37 * Fraction("0.08"), f"round {number}")
            assert (await switch.api.credit(slices)).refused is None
            calls = [f"{number}.{index}" for index in range(200)]
            answers = dict(zip(calls, await asyncio.gather(*map(switch.authorize, calls)), strict=True))
            assert Counter(answers.values()) == {("HELD", 60): 37, ("INSUFFICIENT_CREDIT", "good*luluka"): 163}
            assert {name: held for name, (_, held) in (await switch.standing()).items()} == {
                "operator": "1.11000",
                "luluka": "2.22000",
                "good": "2.96000",
                "keytyh": "3.70000",
            }
            held = [call_id for call_id, (code, _) in answers.items() if code == "HELD"]
            # Each end is reported twice at once, by two switches.
            ends = [switch.settle(call_id, 60, by) for call_id in held for by in ("operator", "good*luluka")]
            assert Counter(await asyncio.gather(*ends)) == {"BOOKED": 37, "AGAIN": 37}
            rounds = number + 1
            assert {name: Fraction(balance) for name, (balance, _) in (await switch.standing()).items()} == {
                "operator": -rounds * Fraction("1.11"),
                "luluka": 1000 - rounds * Fraction("2.22"),
                "good": 0,
                "keytyh": 1000 - rounds * Fraction("3.70"),
            }
            await nothing_is_left(switch, db)


async def test_of_thirty_calls_at_once_on_a_credit_of_1_as_many_start_as_it_pays_for(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    async with a_switch(database_url, tmp_path, 2) as switch:
        await switch.begin(credit={"luluka": "100", "good": "1", "keytyh": "100"})
        answers = await asyncio.gather(*(switch.authorize(f"call {number}") for number in range(30)))
        # At 0.08 a minute: twelve times 60 seconds, and 30 seconds for what is left.
        refused = ("INSUFFICIENT_CREDIT", "good*luluka")
        assert Counter(answers) == {("HELD", 60): 12, ("HELD", 30): 1, refused: 17}
        assert (await switch.standing())["good"] == ("1.00000", "1.00000")
        ended = await asyncio.gather(*(switch.release(f"call {number}") for number in range(30)))
        assert Counter(ended) == {"BOOKED": 13, "PENDING": 17}
        assert (await switch.standing())["good"] == ("1.00000", "0.00000")
        assert (await audit(db)).differences == ()


async def test_a_call_comes_to_the_same_in_whatever_order_its_orders_arrive(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    chosen = random.Random(4)
    async with a_switch(database_url, tmp_path, 2) as switch:
        await switch.begin(credit={"luluka": "100", "good": "100", "keytyh": "100"})
        for number in range(3):
            talks = [f"{number}.{index}" for index in range(15)]
            misses = [f"{number}.missed {index}" for index in range(5)]
            orders = [order for call_id in talks for order in all_of_a_talk(switch, call_id)]
            orders += [order for call_id in misses for order in all_of_a_miss(switch, call_id)]
            chosen.shuffle(orders)
            answers = await asyncio.gather(*orders)
            assert set(answers) <= {
                *(("HELD", 60), ("HELD", 120), ("HELD", 180), ("ENDED", None), ("CALL_ENDED", None)),
                *("HELD", "NOT_FOUND", "CALL_ENDED", "BOOKED", "AGAIN", "PENDING"),
            }
            # 15 talks of 90 seconds; nobody pays for the others.
            minutes = (number + 1) * 15 * Fraction(3, 2)
            assert {name: Fraction(balance) for name, (balance, _) in (await switch.standing()).items()} == {
                "operator": -minutes * Fraction("0.03"),
                "luluka": 100 - minutes * Fraction("0.06"),
                "good": 100 - minutes * Fraction("0.08"),
                "keytyh": 100 - minutes * Fraction("0.10"),
            }
            assert await calls_in_the_books(db, f"{number}.") == {("CHARGED", 90): 15, ("RELEASED", 0): 5}
            await nothing_is_left(switch, db)


def all_of_a_talk(switch: Switch, call_id: str) -> Iterable[Coroutine[Any, Any, Any]]:
    """What a switch may ever send of a call of 90 seconds, some of it twice."""
    for _ in range(2):
        yield switch.authorize(call_id, at=STARTED_AT)
        yield switch.settle(call_id, 90, startedAt=STARTED_AT)
    for sequence in (1, 2):
        yield switch.extend(call_id, sequence)


def all_of_a_miss(switch: Switch, call_id: str) -> Iterable[Coroutine[Any, Any, Any]]:
    """What a switch may ever send of a call that nobody answers, some of it twice."""
    for _ in range(2):
        yield switch.authorize(call_id, at=STARTED_AT)
        yield switch.release(call_id)


async def calls_in_the_books(db: Database, prefix: str) -> dict[tuple[str, int], int]:
    """How many calls there are of each status and duration, of those whose callId begins so."""
    async with db.read() as connection:
        rows = await connection.execute(
            text("SELECT status, duration_s FROM calls WHERE starts_with(call_id, :prefix)"), {"prefix": prefix}
        )
        return Counter((row.status, row.duration_s) for row in rows)
