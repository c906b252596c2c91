"""A tree of three levels, each with prices of its own, and its books."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from billing.charge_order import Outcome
from billing.errors import Refusal
from models.database import Database
from resolvers.audit import audit
from tests.charging_world import ChargingWorld, Member, State, charging_world, rate


@dataclass(frozen=True)
class Tree:
    """op pays 0.03 a minute, good*op 0.06, keytyh*good 0.10 and more; good has 100 and keytyh 10."""

    world: ChargingWorld
    good: Member
    keytyh: Member

    async def balances(self) -> list[str]:
        """Of operator, reseller and customer."""
        return await self.world.balances(self.world.operator, self.good, self.keytyh)

    async def states(self) -> list[State]:
        """Of operator, reseller and customer."""
        return [await self.world.state(member) for member in (self.world.operator, self.good, self.keytyh)]

    async def usage(self, member: Member) -> list[tuple[str, int, int, int]]:
        """(day, calls, seconds, units) of an account."""
        rows = await self.world.select(
            "SELECT CAST(day AS text), CAST(sum(calls) AS int), CAST(sum(duration_s) AS int), "
            "CAST(sum(charged_units) AS bigint) FROM usage_parts WHERE account_id = :id GROUP BY day ORDER BY day",
            id=member.id,
        )
        return [(day, calls, seconds, units) for day, calls, seconds, units in rows]


@asynccontextmanager
async def charging_tree(db: Database) -> AsyncIterator[Tree]:
    """The tree; when the test is over its books are audited."""
    async with charging_world(db) as world:
        await world.set_base_rates(rate("43", "0.03"), rate("4390", "0"), rate("4391", "0.03", blocked=True))
        wholesale = await world.rate_list(world.operator, "wholesale", "0", rate("43", "0.06"))
        good = await world.reseller("good", of=world.operator, credit="100", rate_list_id=wholesale)
        retail = await world.rate_list(good, "retail", "0", rate("43", "0.10", "0.01", 60, 30))
        keytyh = await world.customer("keytyh", of=good, credit="10", rate_list_id=retail)
        yield Tree(world, good, keytyh)
        assert (await audit(db)).differences == ()


@asynccontextmanager
async def another_process(database_url: str) -> AsyncIterator[ChargingWorld]:
    """Charging with a database, a price book and an engine of its own."""
    database = Database(database_url)
    world = ChargingWorld(database)
    yield world
    await world.batcher.close()
    await database.close()


def codes(outcomes: list[Outcome]) -> list[str]:
    """The code of each refusal, the status of each call."""
    return [outcome.code.value if isinstance(outcome, Refusal) else outcome.call.status for outcome in outcomes]
