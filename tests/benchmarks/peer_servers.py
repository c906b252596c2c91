"""Who answers the reads of `tests.benchmarks.peers`: the product and its peers, each a process of its own."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from tests.benchmarks import node
from tests.benchmarks.peer_place import PeerPlace
from tests.benchmarks.tree import CHILDREN_BY_LEVEL
from tests.server_process import server_process

FIELDS = "username depth isReseller blocked balance available createdAt"
PAGE_OF_50 = 50

_BY_RESOLVERS = "from schema.service import ServiceSchema as S; S.run = S.run_by_resolvers; "
_SERVE = "from server.cli import main; main()"

Account = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """A running server, its two requests, and where the customers stand in its answers.

    ``slow`` ones take a second for the tree and are asked less often.
    """

    name: str
    address: str
    pid: int
    tree: bytes
    page: bytes
    customers: Callable[[Account], list[Account]]
    slow: bool = False

    def accounts(self, answer: bytes) -> list[tuple[Any, ...]]:
        """Every account below the root field's, in the sequence of the answer, told alike whoever answered."""
        (root,) = json.loads(answer)["data"].values()
        return list(self._below(root))

    def _below(self, account: Account) -> Iterator[tuple[Any, ...]]:
        for customer in self.customers(account):
            values = {name: customer[name] for name in FIELDS.split()}
            values["createdAt"] = datetime.fromisoformat(values["createdAt"]).timestamp()
            yield tuple(values.values())
            yield from self._below(customer)


@asynccontextmanager
async def running_peers(place: PeerPlace, folder: Path) -> AsyncIterator[list[Peer]]:
    """All of them, on one database; installs what PostGraphile needs the first time."""
    await node.install()
    async with AsyncExitStack() as stack:
        start = stack.enter_async_context
        yield [
            await start(_tollpath("Tollpath", _SERVE, place, folder)),
            await start(_postgraphile(place, folder)),
            await start(_tollpath("Tollpath by resolvers", _BY_RESOLVERS + _SERVE, place, folder, slow=True)),
            await start(_dataloader(place, folder)),
        ]


@asynccontextmanager
async def _tollpath(
    name: str, program: str, place: PeerPlace, folder: Path, *, slow: bool = False
) -> AsyncIterator[Peer]:
    by_id = "orderBy: {field: CREATED_AT}"
    tree = _nested(f"id {FIELDS}", f"customers(first: %d, {by_id})", "{ nodes {", "} }")
    page = f"customers(first: {PAGE_OF_50}, {by_id}) {{ nodes {{ id {FIELDS} }} }}"
    reseller = base64.b64encode(f"Account:{place.reseller_id}".encode()).decode()
    async with server_process(place.url, folder / f"{name}.log", program=program) as server:
        yield Peer(
            name,
            server.address,
            server.process.pid,
            _request(server.address, f"{{ viewer {{ {tree} }} }}", place.operator_token),
            _request(server.address, f'{{ account(id: "{reseller}") {{ {page} }} }}', place.reseller_token),
            lambda account: account["customers"]["nodes"] if "customers" in account else [],
            slow,
        )


@asynccontextmanager
async def _postgraphile(place: PeerPlace, folder: Path) -> AsyncIterator[Peer]:
    tree = _nested(f"rowId {FIELDS}", "customersList(first: %d)", "{", "}")
    page = f"customersList(first: {PAGE_OF_50}) {{ rowId {FIELDS} }}"
    url = make_url(place.url)
    environment = {
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
        "PGHOST": str(url.query["host"]),
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
        "PGDATABASE": url.database or "",
        "PGOPTIONS": "-c jit=off",
    }
    command = (str(node.NODE), str(node.FOLDER / "server.js"))
    async with _process(command, environment, folder / "postgraphile.log") as (address, pid):
        yield Peer(
            "PostGraphile",
            address,
            pid,
            _request(address, f'{{ accountByRowId(rowId: "1") {{ {tree} }} }}'),
            _request(address, f'{{ accountByRowId(rowId: "{place.reseller_id}") {{ {page} }} }}'),
            lambda account: account.get("customersList", []),
        )


@asynccontextmanager
async def _dataloader(place: PeerPlace, folder: Path) -> AsyncIterator[Peer]:
    tree = _nested(f"id {FIELDS}", "customers(first: %d)", "{", "}")
    page = f"customers(first: {PAGE_OF_50}) {{ id {FIELDS} }}"
    command = (sys.executable, "-m", "tests.benchmarks.dataloader_app", place.url.replace("+asyncpg", ""))
    async with _process(command, {}, folder / "dataloader.log") as (address, pid):
        yield Peer(
            "Strawberry, DataLoader",
            address,
            pid,
            _request(address, f'{{ account(id: "1") {{ {tree} }} }}'),
            _request(address, f'{{ account(id: "{place.reseller_id}") {{ {page} }} }}'),
            lambda account: account.get("customers", []),
            slow=True,
        )


def _nested(fields: str, customers: str, opening: str, closing: str) -> str:
    """Every level of the tree, each with pages of just its size."""
    text = ""
    for size in reversed(CHILDREN_BY_LEVEL):
        text = f"{customers % size} {opening} {fields} {text} {closing}"
    return text


def _request(address: str, query: str, token: str | None = None) -> bytes:
    body = json.dumps({"query": query}).encode()
    head = [
        "POST /graphql HTTP/1.1",
        f"Host: {urlsplit(address).netloc}",
        "Content-Type: application/json",
        "Accept: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def _end_of(log: Path) -> str:
    return log.read_text()[-1000:]


@asynccontextmanager
async def _process(command: tuple[str, ...], environment: dict[str, str], log: Path) -> AsyncIterator[tuple[str, int]]:
    """A server that prints its address when it listens; answers that and its process id."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=errors
        )
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise RuntimeError(f"{command[0]} did not start; its log ends with {_end_of(log)}")
        yield address, process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
