"""What goes wrong around charging: killed databases, cut connections, poisonous calls, callers that go away.

Whatever happens, a call that was acknowledged is in the books, one that is sent again is in them once, and whoever
waits gets an answer.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

import models.database
from billing.charge_order import Booked, ChargeOrder
from billing.errors import CallFailed
from models.database import Database
from models.migrations.run import migrate
from models.outage import is_database_outage
from resolvers.audit import audit
from server.embedded_postgres import EmbeddedPostgres
from server.postgres_keeper import RESTART_AFTER_S
from tests.charging_tree import Tree, another_process, charging_tree, codes
from tests.charging_world import ALWAYS_CHARGE, ChargingWorld, Member, call, charging_world, new_batcher, rate
from tests.embedded_users import kill, postmaster_id

# Far more than anything here takes; whoever waits longer hangs.
PATIENCE_S = 60
CALLERS = 16
CALLS_OF_EACH = 25


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    async with charging_tree(db) as tree:
        yield tree


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of this test alone, to be killed. Durable, since what is acknowledged has to stay."""
    embedded = EmbeddedPostgres(tmp_path / "data")
    yield embedded
    embedded.stop()


class Crowd:
    """Callers who send each call again until it is acknowledged, as a switch does."""

    def __init__(self, world: ChargingWorld, customer: Member) -> None:
        self.world = world
        self.orders = [call(customer, f"c{number}") for number in range(CALLERS * CALLS_OF_EACH)]
        self.acknowledged: set[str] = set()
        self.errors: list[Exception] = []

    async def charge_all(self) -> None:
        """Everybody at once; ends when every call is acknowledged."""
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as callers:
            for first in range(CALLERS):
                callers.create_task(self._charge(self.orders[first::CALLERS]))

    async def have_acknowledged(self, count: int) -> None:
        """Wait until so many calls are in."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.acknowledged) < count:  # noqa: ASYNC110 - the callers have nobody to tell
                await asyncio.sleep(0.001)

    async def _charge(self, orders: list[ChargeOrder]) -> None:
        for order in orders:
            while order.call_id not in self.acknowledged:
                try:
                    (outcome,) = await self.world.charge(order)
                except Exception as error:
                    self.errors.append(error)
                    await asyncio.sleep(0.02)
                else:
                    assert isinstance(outcome, Booked)
                    self.acknowledged.add(order.call_id)


@asynccontextmanager
async def crowd(db: Database) -> AsyncIterator[Crowd]:
    """Callers on a fresh database; afterwards every call must be in the books exactly once."""
    async with charging_world(db) as world:
        await world.set_base_rates(rate("43", "0.10"))
        reseller = await world.reseller("good", of=world.operator, credit="1000")
        customer = await world.customer("keytyh", of=reseller, credit="1000")
        crowd = Crowd(world, customer)
        yield crowd
        assert await world.select("SELECT count(*), count(DISTINCT call_id) FROM calls") == [(400, 400)]
        assert await world.balances(world.operator, reseller, customer) == ["-40.00000", "960.00000", "960.00000"]
        assert (await audit(db)).differences == ()
    assert crowd.errors
    assert [error for error in crowd.errors if not is_database_outage(error)] == []


async def charging_backends(world: ChargingWorld) -> list[int]:
    """The processes of the server that charge."""
    rows = await world.select(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'tollpath charging' AND datname = current_database()"
    )
    return [pid for (pid,) in rows]


async def test_cut_connections_lose_nothing_and_double_nothing(db: Database) -> None:
    async with crowd(db) as callers:
        charging = asyncio.create_task(callers.charge_all())
        for count in range(10, 390, 10):
            await callers.have_acknowledged(count)
            for pid in await charging_backends(callers.world):
                await callers.world.select("SELECT pg_terminate_backend(:pid)", pid=pid)
        await charging


async def test_a_backend_killed_with_9_loses_nothing_and_doubles_nothing(own_postgres: EmbeddedPostgres) -> None:
    async with crowd_on(own_postgres) as callers:
        charging = asyncio.create_task(callers.charge_all())
        await callers.have_acknowledged(100)
        # The server throws everybody out, recovers from its log, and goes on.
        os.kill((await charging_backends(callers.world))[0], signal.SIGKILL)
        await charging


async def test_a_database_killed_with_9_loses_nothing_and_doubles_nothing(
    own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with crowd_on(own_postgres) as callers:
        # One that dies at once is not started again.
        await asyncio.sleep(RESTART_AFTER_S)
        charging = asyncio.create_task(callers.charge_all())
        await callers.have_acknowledged(100)
        # Its keeper starts it again; nobody tells the callers.
        await asyncio.to_thread(kill, postmaster_id(tmp_path / "data"))
        await charging


@asynccontextmanager
async def crowd_on(embedded: EmbeddedPostgres) -> AsyncIterator[Crowd]:
    """`crowd` on a server of its own."""
    url = await asyncio.to_thread(embedded.start)
    await migrate(url)
    database = Database(url)
    async with crowd(database) as callers:
        yield callers
    await database.close()


async def test_a_database_that_no_longer_answers_is_given_up_and_asked_again_later(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.database, "_ANSWER_TIMEOUT_S", 1.0)
    database = Database(database_url)
    async with charging_tree(database) as tree:
        await tree.world.booked(call(tree.keytyh, "c1"))
        frozen = await charging_backends(tree.world)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(TimeoutError) as caught:
                    await tree.world.charge(call(tree.keytyh, "c2"))
            assert is_database_outage(caught.value)
            # A new connection takes the place of the frozen one.
            await tree.world.booked(call(tree.keytyh, "c2"))
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        assert await tree.balances() == ["-0.06000", "99.88000", "9.78000"]
    await database.close()


POISONS: dict[str, Callable[[ChargeOrder], ChargeOrder]] = {
    "an account that there is not": lambda order: order._replace(path=(*order.path, 999_999)),
    "a duration that no column takes": lambda order: order._replace(duration_s=2**31, policy=ALWAYS_CHARGE),
    "a character that no text takes": lambda order: order._replace(caller_number="\0"),
    "half a character": lambda order: order._replace(caller_number="\ud800"),
    "no text at all": lambda order: order._replace(caller_number=7),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS.keys())
async def test_a_poisonous_call_fails_alone_in_a_batch_of_many_callers(
    tree: Tree, poison: Callable[[ChargeOrder], ChargeOrder]
) -> None:
    orders = [call(tree.keytyh, f"c{number}") for number in range(30)]
    orders[11] = poison(orders[11])
    async with asyncio.timeout(PATIENCE_S):
        answers = await asyncio.gather(*(tree.world.charge(order) for order in orders))
    assert [codes(answer) for answer in answers] == [["CHARGED"]] * 11 + [["CALL_FAILED"]] + [["CHARGED"]] * 18
    assert isinstance(answers[11][0], CallFailed)
    assert await tree.balances() == ["-0.87000", "98.26000", "6.81000"]


# One batch after the other, as many beside each other as can be, and as it is served.
BATCHING = pytest.mark.parametrize("batching", [{"batches_at_once": 1}, {"orders_beside": 1}, {}])


@BATCHING
async def test_a_lone_call_is_answered_at_once_many_times_in_a_row(db: Database, batching: dict[str, int]) -> None:
    async with charging_world(db, **batching) as world:
        await world.set_base_rates(rate("43", "0.01"))
        customer = await world.customer("keytyh", of=world.operator, credit="100")
        async with asyncio.timeout(PATIENCE_S):
            for number in range(300):
                await world.booked(call(customer, f"c{number}"))
                # The worker is at another point of its way out each time.
                for _ in range(number % 7):
                    await asyncio.sleep(0)
        assert await world.balances(customer) == ["97.00000"]


@BATCHING
async def test_callers_that_come_at_any_moment_are_all_answered(db: Database, batching: dict[str, int]) -> None:
    async with charging_world(db, **batching, batch_orders=3) as world:
        await world.set_base_rates(rate("43", "0.01"))
        customer = await world.customer("keytyh", of=world.operator, credit="100")

        async def one_after_the_other(caller: int) -> None:
            for number in range(40):
                await world.booked(*(call(customer, f"{caller}.{number}.{part}") for part in range(1 + caller % 4)))
                for _ in range((caller + number) % 5):
                    await asyncio.sleep(0)

        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*map(one_after_the_other, range(8)))
        assert await world.balances(customer) == ["92.00000"]


async def test_a_caller_that_goes_away_is_charged_and_the_others_are_answered(tree: Tree) -> None:
    gone = asyncio.create_task(tree.world.charge(call(tree.keytyh, "c1")))
    others = [asyncio.create_task(tree.world.booked(call(tree.keytyh, f"c{number}"))) for number in (2, 3)]
    await asyncio.sleep(0)
    gone.cancel()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*others)
    assert (await tree.world.booked(call(tree.keytyh, "c1")))[0].duplicate
    assert await tree.balances() == ["-0.09000", "99.82000", "9.67000"]


async def test_closing_finishes_what_waits(tree: Tree) -> None:
    waiting = [asyncio.create_task(tree.world.booked(call(tree.keytyh, f"c{number}"))) for number in range(5)]
    await asyncio.sleep(0)
    await tree.world.batcher.close()
    assert [task.done() for task in waiting] == [True] * 5
    assert await tree.balances() == ["-0.15000", "99.70000", "9.45000"]


async def test_a_database_that_is_read_only_is_no_fault_of_a_call(tree: Tree, database_url: str) -> None:
    order = call(tree.keytyh, "c1")
    await tree.world.booked(order)
    await tree.world.execute("ALTER DATABASE of_one_test SET default_transaction_read_only = on")
    async with another_process(database_url) as other:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as caught:
            await other.charge(order, call(tree.keytyh, "c2"))
    assert is_database_outage(caught.value)


async def test_a_database_that_lets_nobody_in_is_no_fault_of_a_call(database_url: str) -> None:
    op, places = Member(1, "op", (1,)), make_url(database_url)
    for nowhere, error in (
        (places.set(database="nowhere"), asyncpg.InvalidCatalogNameError),
        (places.set(username="nobody"), asyncpg.InvalidAuthorizationSpecificationError),
    ):
        database = Database(nowhere.render_as_string(hide_password=False))
        with pytest.raises(error):
            await new_batcher(database).charge([call(op, "c1"), call(op, "c2")])
        await database.close()
