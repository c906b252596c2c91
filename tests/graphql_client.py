"""GraphQL over the real ASGI application, in process; and the people of a small tree to sign in as."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from billing.accounts import create_operator
from models.database import Database
from server.app import create_app
from server.settings import Settings

# The cheapest hash there is: what is tested is not its strength.
CHEAP_HASH = {"password_hash_memory_kib": 8, "password_hash_rounds": 1}
PASSWORD = "s3cret"

CREATE_CUSTOMER = """
mutation ($input: CreateCustomerInput!) {
  createCustomer(input: $input) { account { id username } message errors { code message path account { username } } }
}
"""
LOGIN = """
mutation ($input: LoginInput!) {
  login(input: $input) { token expiresAt viewer { id username } errors { code message path } }
}
"""


@dataclass(frozen=True)
class Person:
    """An account that has signed in."""

    id: str
    username: str
    token: str

    @property
    def account_id(self) -> int:
        """The number in the database."""
        return int(base64.b64decode(self.id).decode().removeprefix("Account:"))


class Api:
    """One application on one database, and its operator."""

    operator: Person

    def __init__(self, client: httpx.AsyncClient, db: Database) -> None:
        self.client = client
        self.db = db

    async def answer(self, query: str, variables: dict[str, Any] | None = None, *, by: Any = None) -> dict[str, Any]:
        """The whole answer. ``by`` is a `Person`, a token, or None for somebody who is not signed in."""
        token = by.token if isinstance(by, Person) else by
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        body = {"query": query, "variables": variables or {}}
        response = await self.client.post("/graphql", json=body, headers=headers)
        answer: dict[str, Any] = response.json()
        return answer

    async def __call__(self, query: str, variables: dict[str, Any] | None = None, *, by: Any = None) -> Any:
        """The data of an answer without top-level errors."""
        answer = await self.answer(query, variables, by=by)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def change(self, mutation: str, fields: str, input: dict[str, Any], *, by: Any = None) -> Any:
        """Run one mutation with an input; its payload, with ``errors``."""
        kind = mutation[0].upper() + mutation[1:]
        query = (
            f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) "
            f"{{ {fields} errors {{ code message path account {{ username }} }} }} }}"
        )
        return (await self(query, {"input": input}, by=by))[mutation]

    async def done(self, mutation: str, fields: str, input: dict[str, Any], *, by: Any = None) -> Any:
        """`change` that was not refused."""
        payload = await self.change(mutation, fields, input, by=by)
        assert payload["errors"] == [], payload["errors"]
        return payload

    async def refused(self, mutation: str, input: dict[str, Any], *, by: Any = None) -> dict[str, Any]:
        """The one error of a `change` that was refused."""
        payload = await self.change(mutation, "__typename", input, by=by)
        assert len(payload["errors"]) == 1, payload
        error: dict[str, Any] = payload["errors"][0]
        return error

    async def failure(self, query: str, variables: dict[str, Any] | None = None, *, by: Any = None) -> str:
        """The code of the one top-level error of an answer."""
        answer = await self.answer(query, variables, by=by)
        assert len(answer["errors"]) == 1, answer
        code: str = answer["errors"][0]["extensions"]["code"]
        return code

    async def sign_in(self, username: str, password: str = PASSWORD) -> Person:
        """Sign an account in."""
        payload = (await self(LOGIN, {"input": {"username": username, "password": password}}))["login"]
        assert payload["errors"] == [], payload["errors"]
        return Person(payload["viewer"]["id"], payload["viewer"]["username"], payload["token"])

    async def customer(self, name: str, *, of: Person, **settings: Any) -> Person:
        """A new customer of a reseller, signed in. ``settings`` are further fields of the input."""
        input = {"username": name, "password": PASSWORD, **settings}
        payload = (await self(CREATE_CUSTOMER, {"input": input}, by=of))["createCustomer"]
        assert payload["errors"] == [], payload["errors"]
        return await self.sign_in(payload["account"]["username"])

    async def reseller(self, name: str, *, of: Person, **settings: Any) -> Person:
        """A new reseller below a reseller, signed in."""
        return await self.customer(name, of=of, isReseller=True, **settings)

    async def rows(self, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of these tables, or of every table that a refusal must leave alone, to compare with later."""
        wanted = tables or ("accounts", "account_state", "credit_transactions", "idempotency_keys", "tokens")
        async with self.db.read() as connection:
            return {
                table: sorted(map(tuple, await connection.exec_driver_sql(f"SELECT t::text FROM {table} AS t")))
                for table in wanted
            }


@asynccontextmanager
async def running_api(database_url: str, **settings: Any) -> AsyncIterator[Api]:
    """The application on a migrated, empty database, with an operator."""
    chosen = Settings(**CHEAP_HASH, **settings)
    app = create_app(chosen, database_url)
    database = Database(database_url, pool_size=2, charging_pool_size=1)
    try:
        async with database.transaction() as tx:
            await create_operator(tx, username="operator", password_hash=await chosen.passwords().hash(PASSWORD))
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://tollpath.test") as client,
        ):
            api = Api(client, database)
            api.operator = await api.sign_in("operator")
            yield api
    finally:
        await database.close()
