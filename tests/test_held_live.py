"""What is held is told live, and frees itself at its time, whichever process is there."""

import asyncio
from typing import Any

from server.app import create_app
from server.services import open_services
from server.settings import Settings
from tests.graphql_client import CHEAP_HASH, Api, running_api
from tests.http_face import running
from tests.live_client import over_websocket
from tests.test_holds import a_call, one_a_minute

WATCH = "subscription { balanceChanged { balance held available version cause } }"


def state(balance: str, held: str, available: str, version: int, cause: str) -> dict[str, Any]:
    """One `balanceChanged`."""
    return {"balance": balance, "held": held, "available": available, "version": version, "cause": cause}


async def test_every_change_of_what_is_held_is_told_by_another_process_too(api: Api, database_url: str) -> None:
    await one_a_minute(api)
    good = await api.reseller("good", of=api.operator, credit="100")
    keytyh = await api.customer("keytyh", of=good, credit="10")
    async with (
        running(create_app(Settings(**CHEAP_HASH), database_url)) as address,
        over_websocket(address, keytyh.token, WATCH) as stream,
    ):
        assert await stream.change() == state("10.00000", "0.00000", "10.00000", 1, "PRESENT")
        await api.done("authorizeCall", "duplicate", a_call("c-1"), by=good)
        assert await stream.change() == state("10.00000", "1.00000", "9.00000", 2, "HOLD")
        await api.done("extendCall", "duplicate", {"callId": "c-1", "sequence": 1}, by=good)
        assert await stream.change() == state("10.00000", "2.00000", "8.00000", 3, "HOLD")
        await api.done("extendCall", "duplicate", {"callId": "c-1", "sequence": 1}, by=good)
        await api.done("settleCall", "duplicate", {"callId": "c-1", "durationSeconds": 90}, by=good)
        assert await stream.change() == state("8.50000", "0.00000", "8.50000", 4, "CALL"), "freed and charged in one"
        await api.done("authorizeCall", "duplicate", a_call("c-2"), by=good)
        assert await stream.change() == state("8.50000", "1.00000", "7.50000", 5, "HOLD")
        async with api.db.transaction() as tx:  # two minutes pass
            await tx.exec_driver_sql("UPDATE holds SET expires_at = expires_at - interval '3 minutes'")
        assert await stream.change() == state("8.50000", "0.00000", "8.50000", 6, "HOLD")
        for version, mutation, ended in ((7, "releaseCall", {}), (9, "settleCall", {"durationSeconds": 0})):
            await api.done("authorizeCall", "duplicate", a_call(mutation), by=good)
            assert await stream.change() == state("8.50000", "1.00000", "7.50000", version, "HOLD")
            await api.done(mutation, "duplicate", {"callId": mutation, **ended}, by=good)
            assert await stream.change() == state("8.50000", "0.00000", "8.50000", version + 1, "HOLD"), "only freed"


async def test_a_hold_frees_itself_in_whichever_process_is_alive(database_url: str) -> None:
    async with running_api(database_url) as api:
        await one_a_minute(api)
        good = await api.reseller("good", of=api.operator, credit="100")
        await api.customer("keytyh", of=good, credit="10")
        await api.done("authorizeCall", "duplicate", a_call("c-1"), by=good)
    # The process that has authorised the call is gone. Nobody asks for anything; another one starts.
    async with open_services(Settings(**CHEAP_HASH), database_url) as services:
        async with services.db.transaction() as tx:  # two minutes pass
            assert await held(tx) == [100_000] * 3
            await tx.exec_driver_sql("UPDATE holds SET expires_at = expires_at - interval '3 minutes'")
        async with asyncio.timeout(20), services.db.read() as connection:
            while await held(connection) != [0] * 3:  # noqa: ASYNC110 - only the table says it
                await asyncio.sleep(0.05)
            rows = await connection.exec_driver_sql("SELECT call_id, expires_at FROM holds")
            assert [*rows] == [("c-1", None)], "kept for a settle that comes late"


async def held(connection: Any) -> list[int]:
    """What is held of everybody, operator first."""
    rows = await connection.exec_driver_sql("SELECT held_units FROM account_state ORDER BY account_id")
    return [row.held_units for row in rows]
