"""Rerating that is interrupted, done twice at once, or done while calls are charged and refunded."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from billing.charge_order import Booked
from billing.rerating import STEP_CALLS_MAX
from models.database import Database
from resolvers.audit import audit
from tests.adjusting import DAY, books, counts, refunded, rerated
from tests.charging_tree import another_process
from tests.charging_world import NOON, ChargingWorld, Member, call, charging_world, rate

MENDED = NOON - DAY


async def many_calls(world: ChargingWorld, count: int) -> Member:
    """A customer with so many calls of a minute at 0.10, three of them at any instant; then the price was 0.25."""
    await world.set_base_rates(rate("43", "0.1"))
    member = await world.customer("busy", of=world.operator, credit="1000")
    await world.booked(*(call(member, f"call {n}", started_at=NOON + timedelta(seconds=n // 3)) for n in range(count)))
    await world.set_base_rates(rate("43", "0.25", effective_from=MENDED))
    return member


async def test_rerating_that_was_interrupted_between_steps_goes_on_where_it_stopped(db: Database) -> None:
    async with charging_world(db) as world:
        count = 2 * STEP_CALLS_MAX + 7
        member = await many_calls(world, count)
        stopped = await rerated(world, steps_max=1)
        assert counts(stopped) == {"CHANGED": STEP_CALLS_MAX}
        assert (await world.state(member)).balance == "929.30000"  # 407 calls at 0.10, 200 of them 0.15 more
        assert (await audit(db)).differences == ()

        again = await rerated(world)

        assert counts(again) == {"RIGHT": STEP_CALLS_MAX, "CHANGED": STEP_CALLS_MAX + 7}
        assert (await world.state(member)).balance == "898.25000"
        assert (await audit(db)).differences == ()


async def test_a_step_that_is_killed_before_it_commits_leaves_nothing(db: Database, database_url: str) -> None:
    async with charging_world(db) as world:
        await many_calls(world, 20)
        before = await books(world)
        async with db.transaction() as holder, another_process(database_url) as other:
            other.operator = world.operator
            # The step waits for the usage, which it writes after the charges; then its connection dies.
            await holder.execute(text("LOCK TABLE usage_days IN SHARE MODE"))
            rerating = asyncio.create_task(rerated(other))
            waiting = text("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            while not (pids := (await holder.execute(waiting)).scalars().all()):
                await holder.execute(text("SELECT pg_stat_clear_snapshot()"))
                await asyncio.sleep(0.01)
            await holder.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pids[0]})
            with pytest.raises(Exception, match=r"terminat|closed"):
                await rerating
        assert await books(world) == before
        assert counts(await rerated(world)) == {"CHANGED": 20}


async def test_reratings_at_once_by_two_processes_charge_each_difference_once(db: Database, database_url: str) -> None:
    async with charging_world(db) as world:
        member = await many_calls(world, 60)
        async with another_process(database_url) as other:
            other.operator = world.operator
            reports = await asyncio.gather(*(rerated(one) for one in (world, other) * 4))
        assert sum(counts(report).get("CHANGED", 0) for report in reports) == 60
        assert await world.balances(world.operator, member) == ["-15.00000", "985.00000"]
        assert (await audit(db)).differences == ()


async def test_refunds_and_rerating_at_once_leave_refunded_calls_at_zero(db: Database, database_url: str) -> None:
    async with charging_world(db) as world:
        member = await many_calls(world, 60)
        async with another_process(database_url) as other:
            other.operator = world.operator
            await asyncio.gather(
                *(refunded(other, f"call {n}") for n in range(0, 60, 2)),
                *(rerated(world) for _ in range(3)),
            )
        assert await world.balances(world.operator, member) == ["-7.50000", "992.50000"]
        rows = await world.select("SELECT status, charged_units, count(*) FROM calls GROUP BY 1, 2 ORDER BY 1")
        assert rows == [("CHARGED", 25_000, 30), ("REFUNDED", 0, 30)]
        assert (await audit(db)).differences == ()


async def test_calls_charged_while_others_are_rerated_are_all_right_in_the_end(db: Database) -> None:
    async with charging_world(db) as world:
        member = await many_calls(world, 300)
        new = [call(member, f"new {n}", started_at=NOON + timedelta(seconds=n)) for n in range(300)]
        outcomes, report = await asyncio.gather(asyncio.gather(*(world.charge(order) for order in new)), rerated(world))
        assert all(isinstance(outcome, Booked) for (outcome,) in outcomes)
        assert report.found.total() >= 300
        assert counts(report)["CHANGED"] == 300
        assert (await world.state(member)).balance == "850.00000"
        assert (await audit(db)).differences == ()
