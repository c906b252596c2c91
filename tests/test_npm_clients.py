"""Conformance by others' programs, unmodified: the audits of npm graphql-http, the clients graphql-ws and graphql-sse.

They need Node.js 20 or newer; where it is not, a loud line says that they were not run.
"""

import asyncio
import fcntl
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest

from server.app import create_app
from server.settings import Settings
from tests.http_face import Face, running

FOLDER = Path(__file__).parent / "http"
NODE_VERSION_MIN = 20


async def output_of(*command: str) -> bytes:
    """Standard output of a command run in the folder; other output is shown where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=FOLDER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, complaints = await process.communicate()
    assert process.returncode == 0, f"{' '.join(command)}:\n{output.decode()}\n{complaints.decode()}"
    return output


@pytest.fixture(scope="module")
async def npm_packages() -> None:
    """The locked packages are installed."""
    found = shutil.which("node") and shutil.which("npm")
    version = (await output_of("node", "--version")).decode().strip().removeprefix("v") if found else "0"
    if int(version.partition(".")[0]) < NODE_VERSION_MIN:
        pytest.skip(
            f"Node.js {NODE_VERSION_MIN} is not here: the audits and npm clients of GraphQL over HTTP DID NOT RUN"
        )
    await asyncio.to_thread(install)


def install() -> None:
    """Once for whoever runs tests at the same time, in one folder."""
    lock = FOLDER / "package-lock.json"
    installed = FOLDER / "node_modules" / ".package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
            assert done.returncode == 0, done


@pytest.mark.usefixtures("npm_packages")
async def test_all_61_audits_of_graphql_over_http_pass(database_url: str) -> None:
    async with running(create_app(Settings(), database_url)) as address:
        results = orjson.loads(await output_of("node", "audits.js", f"{address}/graphql"))
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == 61


@pytest.mark.usefixtures("npm_packages")
async def test_the_clients_graphql_ws_and_graphql_sse_query_and_subscribe() -> None:
    async with running(Face().app) as address:
        answers = orjson.loads(await output_of("node", "clients.js", f"{address}/graphql", "good"))
    assert answers.keys() == {"graphql-ws", "graphql-sse"}
    for query, subscription, refused in answers.values():
        assert query == [{"data": {"half": 4, "viewer": "keytyh*good"}}]
        assert subscription == [{"data": {"countdown": {"left": left}}} for left in (2, 1, 0)]
        assert len(refused) == 1
        assert refused[0]["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
