"""`tollpath serve --workers 2`: right as one process is, whatever becomes of a worker."""

import asyncio
import os
import re
import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import httpx

from models.database import Database
from resolvers.audit import audit
from server.workers import again_after_s
from tests.command_line import started
from tests.embedded_users import is_running, wait_until
from tests.graphql_client import PASSWORD, Api, Person
from tests.live_client import over_websocket
from tests.rates_api import base_id, change, rate
from tests.server_process import ServerProcess, server_process

CALLERS = 12
CALLS_OF_EACH = 15
STARTED_AT = datetime.now(UTC).isoformat()
CHARGE = """
mutation ($input: ChargeCallInput!) { chargeCall(input: $input) { duplicate errors { code } } }
"""
WATCH = "subscription { balanceChanged { balance version } }"


async def tree_of(server: ServerProcess, db: Database, *, credit: str) -> tuple[Api, Person, Person]:
    """The API, a reseller with 1000 and its customer with ``credit``; a minute costs everybody 0.10."""
    api = Api(httpx.AsyncClient(base_url=server.address, timeout=60), db)
    api.operator = await api.sign_in("operator")
    await change(api, await base_id(api), rate("43", "0.10"), by=api.operator)
    good = await api.reseller("good", of=api.operator, credit="1000")
    return api, good, await api.customer("keytyh", of=good, credit=credit)


async def charge(client: httpx.AsyncClient, by: Person, call_id: str) -> str:
    """Charge a minute; CHARGED, AGAIN or the refusal's code. Raises: httpx.TransportError where nobody answered.

    A call has one start however often it is told, as the same call with another content is a conflict.
    """
    call = {
        "callId": call_id,
        "username": "keytyh*good",
        "number": "+431234567",
        "startedAt": STARTED_AT,
        "durationSeconds": 60,
    }
    answer = await client.post(
        "/graphql",
        json={"query": CHARGE, "variables": {"input": {"call": call}}},
        headers={"authorization": f"Bearer {by.token}"},
    )
    payload = answer.json()["data"]["chargeCall"]
    if payload["errors"]:
        return str(payload["errors"][0]["code"])
    return "AGAIN" if payload["duplicate"] else "CHARGED"


async def balances(api: Api) -> list[str]:
    """The operator's, the reseller's and the customer's."""
    viewer = (await api("{ viewer { balance descendants { nodes { balance } } } }", by=api.operator))["viewer"]
    return [viewer["balance"], *(account["balance"] for account in viewer["descendants"]["nodes"])]


async def test_of_a_credit_for_37_calls_exactly_37_are_charged_whichever_worker_is_asked(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    async with server_process(database_url, tmp_path / "log", workers=2) as server:
        assert len(server.worker_ids()) == 2
        api, good, _ = await tree_of(server, db, credit="3.7")

        async def charge_one(number: int) -> str:
            # A connection of its own, so that whichever worker is free takes it.
            async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
                return await charge(client, good, f"c{number}")

        answers = await asyncio.gather(*map(charge_one, range(80)))
        assert Counter(answers) == {"CHARGED": 37, "INSUFFICIENT_CREDIT": 43}
        assert await balances(api) == ["-3.70000", "996.30000", "0.00000"]
        await api.client.aclose()
        workers = server.worker_ids()
    assert not any(map(is_running, workers))
    assert (await audit(db)).differences == ()


async def test_a_worker_killed_while_it_charges_is_replaced_and_no_call_is_lost_or_doubled(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    async with server_process(database_url, tmp_path / "log", workers=2) as server:
        api, good, keytyh = await tree_of(server, db, credit="1000")
        acknowledged: list[str] = []
        broken = 0
        half = CALLERS * CALLS_OF_EACH // 2
        replaced = asyncio.Event()

        async def caller(first: int) -> None:
            nonlocal broken
            client = httpx.AsyncClient(base_url=server.address, timeout=60)
            for number in range(first, CALLERS * CALLS_OF_EACH, CALLERS):
                if number >= half:
                    # Or all would be charged before the second is killed, where a worker takes long to start.
                    await replaced.wait()
                while True:
                    try:
                        answer = await charge(client, good, f"c{number}")
                    except httpx.TransportError:
                        broken += 1
                        await client.aclose()
                        client = httpx.AsyncClient(base_url=server.address, timeout=60)
                    else:
                        break
                assert answer in ("CHARGED", "AGAIN")
                acknowledged.append(f"c{number}")
            await client.aclose()

        async def kill_both_in_turn() -> None:
            # Whoever has the connections, one of the two was in the middle of charging.
            for victim, count in zip(server.worker_ids(), (30, half + 30), strict=True):
                async with asyncio.timeout(60):
                    while len(acknowledged) < count:  # noqa: ASYNC110 - the callers have nobody to tell
                        await asyncio.sleep(0.001)
                os.kill(victim, signal.SIGKILL)
                async with asyncio.timeout(120):
                    while victim in server.worker_ids() or len(server.worker_ids()) < 2:  # noqa: ASYNC110 - nor has it
                        await asyncio.sleep(0.05)
                replaced.set()

        before = server.worker_ids()
        await asyncio.gather(kill_both_in_turn(), *map(caller, range(CALLERS)))
        assert broken
        assert sorted(acknowledged) == sorted(f"c{number}" for number in range(CALLERS * CALLS_OF_EACH))
        assert await balances(api) == ["-18.00000", "982.00000", "982.00000"]
        assert not set(before) & set(server.worker_ids())
        assert server.log().count("worker_ended") == 2
        assert "killed by SIGKILL" in server.log()
        async with over_websocket(server.address, keytyh.token, WATCH) as stream:
            assert (await stream.change())["balance"] == "982.00000"
        await api.client.aclose()
    assert (await audit(db)).differences == ()


async def test_whichever_worker_is_asked_its_metrics_are_those_of_all(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    async def metrics(path: str = "/metrics") -> str:
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
            return (await client.get(path)).text

    async def ask(_number: int) -> None:
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
            assert (await client.post("/graphql", json={"query": "{ settings { currency } }"})).status_code == 200

    def count(text: str) -> float:
        found = re.search(r'^tollpath_operation_seconds_count\{type="query"\} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    async with server_process(database_url, tmp_path / "log", workers=2) as server:
        await asyncio.gather(*map(ask, range(50)))
        assert {count(await metrics()) for _ in range(8)} == {50}
        victim = server.worker_ids()[0]
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(60):
            while victim in server.worker_ids():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert count(await metrics()) == 50


def test_workers_end_with_a_killed_server_and_the_next_start_removes_its_folder(
    database_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": database_url, "TOLLPATH_OPERATOR_PASSWORD": PASSWORD, "TMPDIR": str(tmp_path)}
    with started("serve", "--port", "0", "--workers", "2", **settings) as process:
        assert process.stdout is not None
        while "Database" not in (line := process.stdout.readline()):
            assert line
        workers = ServerProcess.workers_of(process.pid)
        assert len(workers) == 2
        process.kill()
        wait_until(lambda: not any(map(is_running, workers)))
    (left,) = tmp_path.glob("tollpath-metrics-*")
    with started("serve", "--port", "0", "--workers", "2", **settings) as process:
        assert process.stdout is not None
        while "Database" not in (line := process.stdout.readline()):
            assert line
        assert not left.exists()
        process.terminate()
        process.communicate()
    assert list(tmp_path.glob("tollpath-metrics-*")) == []


def test_a_worker_that_crashes_again_and_again_is_started_ever_later() -> None:
    waits = [again_after_s(crashes_at_once) for crashes_at_once in range(9)]
    assert waits == [0, 1, 2, 4, 8, 16, 30, 30, 30]
