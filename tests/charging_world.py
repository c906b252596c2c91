"""A small tree with rates and one process's charging engine, for tests below the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from billing.accounts import create_customer, create_operator
from billing.batcher import Batcher
from billing.charge_order import Booked, ChargeOrder, ChargePolicy, Outcome
from billing.charging import ChargingEngine
from billing.credit import create_credit_transaction
from billing.errors import Refusal
from billing.money import format_money, parse_money, parse_percent, parse_rate
from billing.price_book import PriceBook
from billing.rate_changes import NewRate
from billing.rate_lists import create_rate_list
from billing.rating import Price
from billing.set_rates import set_rates
from models.database import Database

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
CHECK_CREDIT, ALWAYS_CHARGE = ChargePolicy.CHECK_CREDIT, ChargePolicy.ALWAYS_CHARGE
# What a refusal must leave alone.
_BOOKS = ("account_state", "credit_transactions", "idempotency_keys", "call_keys", "calls", "charges", "usage_days")


@dataclass(frozen=True)
class Member:
    """An account of the tree."""

    id: int
    username: str
    path: tuple[int, ...]


@dataclass(frozen=True)
class State:
    """What charging changes of an account; money as text."""

    balance: str
    held: str
    version: int


def rate(prefix: str, per_minute: str, fee: str = "0", first_s: int = 1, next_s: int = 1, **rest: Any) -> NewRate:
    """A rate that holds since ever."""
    blocked = rest.pop("blocked", False)
    return NewRate(Price(parse_rate(per_minute), parse_rate(fee), first_s, next_s, prefix, None, blocked), **rest)


def call(member: Member, call_id: str, **changes: Any) -> ChargeOrder:
    """A call of a minute to +43 1 234 at noon, unless ``changes`` say otherwise."""
    order = ChargeOrder(call_id, member.path, "431234", None, NOON, 60, CHECK_CREDIT)
    return order._replace(**changes)


class ChargingWorld:
    """The tree on one database, and an engine of its own."""

    operator: Member
    base_list_id: int

    def __init__(self, db: Database, **batching: Any) -> None:
        self.db = db
        self.batcher = new_batcher(db, **batching)
        self._keys = 0

    async def charge(self, *orders: ChargeOrder) -> list[Outcome]:
        """The outcomes, in the sequence of the orders."""
        return await self.batcher.charge(orders)

    async def booked(self, *orders: ChargeOrder) -> list[Booked]:
        """The outcomes of orders of which none is refused."""
        outcomes = await self.charge(*orders)
        assert not [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
        return [outcome for outcome in outcomes if isinstance(outcome, Booked)]

    async def refused(self, order: ChargeOrder) -> Refusal:
        """The refusal of an order; nothing in the books has changed."""
        before = await self.books()
        (outcome,) = await self.charge(order)
        assert isinstance(outcome, Refusal)
        assert await self.books() == before
        return outcome

    async def customer(
        self, name: str, *, of: Member, credit: str = "0", rate_list_id: int | None = None, **settings: Any
    ) -> Member:
        """A new account below ``of``."""
        async with self.db.transaction() as tx:
            created = await create_customer(
                tx,
                reseller_id=of.id,
                author_id=of.id,
                username=name,
                password_hash="",
                credit_units=parse_money(credit),
                rate_list_id=rate_list_id,
                **settings,
            )
        return Member(created.id, created.username, (*of.path, created.id))

    async def reseller(self, name: str, *, of: Member, **settings: Any) -> Member:
        """A new reseller below ``of``."""
        return await self.customer(name, of=of, is_reseller=True, **settings)

    async def rate_list(self, owner: Member, name: str, discount: str, *rates: NewRate) -> int:
        """A list of a reseller; a negative discount is a markup."""
        async with self.db.transaction() as tx:
            rate_list_id = await create_rate_list(tx, owner_id=owner.id, name=name, discount_e4=parse_percent(discount))
            await set_rates(tx, rate_list_id=rate_list_id, rates=rates)
        return rate_list_id

    async def set_base_rates(self, *rates: NewRate) -> None:
        """Rates of the operator's deck."""
        async with self.db.transaction() as tx:
            await set_rates(tx, rate_list_id=self.base_list_id, rates=rates)

    async def credit(self, member: Member, amount: str) -> None:
        """A credit transaction by the operator."""
        self._keys += 1
        async with self.db.transaction() as tx:
            await create_credit_transaction(
                tx,
                author_id=self.operator.id,
                account_id=member.id,
                amount_units=parse_money(amount),
                remark=None,
                private_remark=None,
                idempotency_key=f"key {self._keys}",
            )

    async def execute(self, statement: str, **values: Any) -> None:
        """Change rows behind the product's back."""
        async with self.db.transaction() as tx:
            await tx.execute(text(statement), values)

    async def select(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        async with self.db.read() as connection:
            return [tuple(row) for row in await connection.execute(text(statement), values)]

    async def state(self, member: Member) -> State:
        """The account's state as it stands."""
        rows = await self.select(
            "SELECT balance_units, held_units, version FROM account_state WHERE account_id = :id", id=member.id
        )
        ((balance, held, version),) = rows
        return State(format_money(balance), format_money(held), version)

    async def balances(self, *members: Member) -> list[str]:
        """The balances of these accounts, as text."""
        return [(await self.state(member)).balance for member in members]

    async def books(self) -> dict[str, list[Any]]:
        """Every row that charging and credit write, to compare."""
        return {table: sorted(await self.select(f"SELECT t::text FROM {table} AS t")) for table in _BOOKS}


def new_batcher(db: Database, **batching: Any) -> Batcher:
    """The charging of one process: its own price book and engine."""
    return Batcher(db, ChargingEngine(PriceBook()), **batching)


@asynccontextmanager
async def charging_world(db: Database, **batching: Any) -> AsyncIterator[ChargingWorld]:
    """A tree with nothing but its operator, ``op``, and no rates."""
    world = ChargingWorld(db, **batching)
    async with db.transaction() as tx:
        operator_id = await create_operator(tx, username="op", password_hash="")
    world.operator = Member(operator_id, "op", (operator_id,))
    ((world.base_list_id,),) = await world.select("SELECT id FROM rate_lists WHERE is_base")
    yield world
    await world.batcher.close()
