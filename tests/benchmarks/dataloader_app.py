"""The same reads as most would write them: Strawberry types with resolvers, DataLoaders, Starlette, uvicorn.

`python -m tests.benchmarks.dataloader_app URL` serves on a free port and prints its address. It has no tokens, no
access rules and no cursors, so it does less than the product.
"""

import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg
import strawberry
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.types import Info

_ACCOUNT = "SELECT id, username, path, is_reseller, created_at FROM accounts WHERE id = $1"
_CUSTOMERS = """
    SELECT page.*
      FROM unnest($1::bigint[]) AS owners (id)
     CROSS JOIN LATERAL (SELECT id, parent_id, username, path, is_reseller, created_at
                           FROM accounts WHERE parent_id = owners.id ORDER BY id LIMIT $2) AS page
"""
_STATES = """
    SELECT s.account_id, s.balance_units * 0.00001 AS balance,
           (s.balance_units + s.credit_limit_units - s.held_units) * 0.00001 AS available,
           EXISTS (SELECT FROM account_state b WHERE b.account_id = ANY (a.path) AND b.blocked) AS blocked
      FROM account_state s JOIN accounts a ON a.id = s.account_id
     WHERE s.account_id = ANY ($1::bigint[])
"""


@dataclass
class State:
    """What changes of an account."""

    balance: Decimal
    available: Decimal | None
    blocked: bool


class Loaders:
    """The loaders of one request."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self.pool = pool
        self.states = DataLoader(load_fn=self._states)
        self.customers = DataLoader(load_fn=self._customers)

    async def _states(self, ids: Sequence[int]) -> list[State]:
        rows = await self.pool.fetch(_STATES, ids)
        found = {row["account_id"]: State(row["balance"], row["available"], row["blocked"]) for row in rows}
        return [found[account_id] for account_id in ids]

    async def _customers(self, keys: Sequence[tuple[int, int]]) -> list[list["Account"]]:
        found: dict[tuple[int, int], list[Account]] = {key: [] for key in keys}
        for first in {first for _, first in keys}:
            owner_ids = [owner_id for owner_id, size in keys if size == first]
            for row in await self.pool.fetch(_CUSTOMERS, owner_ids, first):
                found[row["parent_id"], first].append(Account.of(row))
        return [found[key] for key in keys]


@strawberry.type
class Account:
    """One account."""

    id: strawberry.ID
    username: str
    depth: int
    is_reseller: bool
    created_at: datetime
    number: strawberry.Private[int]

    @classmethod
    def of(cls, row: Any) -> "Account":
        """The account of a row."""
        return cls(
            id=strawberry.ID(str(row["id"])),
            username=row["username"],
            depth=len(row["path"]) - 1,
            is_reseller=row["is_reseller"],
            created_at=row["created_at"],
            number=row["id"],
        )

    @strawberry.field
    async def balance(self, info: Info) -> Decimal:
        """Its balance."""
        return (await info.context.states.load(self.number)).balance

    @strawberry.field
    async def available(self, info: Info) -> Decimal | None:
        """What it can spend."""
        return (await info.context.states.load(self.number)).available

    @strawberry.field
    async def blocked(self, info: Info) -> bool:
        """Whether it, or one above it, is blocked."""
        return (await info.context.states.load(self.number)).blocked

    @strawberry.field
    async def customers(self, info: Info, first: int = 20) -> list["Account"]:
        """Its direct customers."""
        return await info.context.customers.load((self.number, first))


@strawberry.type
class Query:
    """All that is asked."""

    @strawberry.field
    async def account(self, info: Info, id: strawberry.ID) -> Account | None:
        """One account."""
        row = await info.context.pool.fetchrow(_ACCOUNT, int(id))
        return Account.of(row) if row else None


def application(url: str) -> Starlette:
    """The application on a database."""
    pool: asyncpg.Pool[Any]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        nonlocal pool
        async with asyncpg.create_pool(url, server_settings={"jit": "off"}) as pool:
            yield

    class Endpoint(GraphQL[Loaders, None]):
        async def get_context(self, request: Request, response: Response) -> Loaders:
            return Loaders(pool)

    app = Starlette(lifespan=lifespan)
    app.add_route("/graphql", Endpoint(strawberry.Schema(Query)))
    return app


async def main(url: str) -> None:
    """Serve until a signal."""
    bound = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    # Longer than one request keeps it from looking at its connections.
    config = uvicorn.Config(
        application(url), http="httptools", log_level="warning", access_log=False, timeout_keep_alive=75
    )
    await uvicorn.Server(config).serve([bound])


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
