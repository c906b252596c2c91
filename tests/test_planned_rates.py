"""A rate with a date holds from that instant on, in a server that goes on running."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from tests.graphql_client import Api, Person
from tests.rates_api import base_id, change, rate
from tests.test_holds import a_call

HELD = "authorization { pricePerMinute destination heldUntil }"


async def test_a_planned_rate_holds_from_its_instant_and_until_then_the_shorter_prefix(api: Api) -> None:
    good = await api.reseller("good", of=api.operator, credit="100")
    await api.customer("keytyh", of=good, credit="10")
    async with api.db.read() as connection:
        begins_at = await now(connection) + timedelta(seconds=3)
    planned = rate("4312", "0.02", destination="Vienna", effectiveFrom=begins_at.isoformat())
    await change(api, await base_id(api), rate("43", "0.05", destination="Austria"), planned, by=api.operator)

    found: list[tuple[str, str, datetime]] = []
    async with asyncio.timeout(60):
        while not found or found[-1][0] != "Vienna":
            found.append(await authorised(api, f"c-{len(found)}", by=good))
            await asyncio.sleep(0.05)
    # An authorisation is for the instant of its batch, by the database's clock, as its hold's end tells.
    for destination, price, asked_at in found:
        expected = ("Vienna", "0.02000000") if asked_at >= begins_at else ("Austria", "0.05000000")
        assert (destination, price) == expected

    # Whenever it is asked, what counts is the call's start.
    for seconds, price in ((-1, "0.05000000"), (0, "0.02000000")):
        at = (begins_at + timedelta(seconds=seconds)).isoformat()
        call = a_call(f"at {seconds}", at=at)
        held = await api.done("authorizeCall", HELD, call, by=good)
        assert held["authorization"]["pricePerMinute"] == price
        call = {**a_call(f"charged {seconds}"), "startedAt": at, "durationSeconds": 60}
        charged = await api.done("chargeCall", "call { charged }", {"call": call}, by=good)
        assert charged["call"]["charged"] == price[:7]


async def authorised(api: Api, call_id: str, *, by: Person) -> tuple[str, str, datetime]:
    """Destination and price of a call that wants to start now, and when that was."""
    answer = (await api.done("authorizeCall", HELD, a_call(call_id), by=by))["authorization"]
    asked_at = datetime.fromisoformat(answer["heldUntil"]) - timedelta(seconds=120)
    await api.done("releaseCall", "duplicate", {"callId": call_id}, by=by)
    return answer["destination"], answer["pricePerMinute"], asked_at


async def now(connection: Any) -> datetime:
    """The database's clock."""
    found: datetime = (await connection.exec_driver_sql("SELECT clock_timestamp()")).scalar_one()
    return found
