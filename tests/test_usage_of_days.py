"""Where usage is kept: that of an account's latest day in its state, everything else beside it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from billing import balances
from billing.hold_order import Authorization, AuthorizeOrder, SettleOrder
from billing.limit_store import find_limits
from models.database import Database
from models.migrations import run
from resolvers.audit import audit
from tests.adjusting import refunded, refunds_of_usage
from tests.charging_tree import Tree, charging_tree
from tests.charging_world import ALWAYS_CHARGE, NOON, Member, call
from tests.raw_connection import connect

DAY = timedelta(days=1)
MINUTE = (1, 60, 11_000)
NONE = (None, 0, 0, 0)


@pytest.fixture
async def tree(statement_of_each_server: None, db: Database) -> AsyncIterator[Tree]:
    """A tree of three levels."""
    async with charging_tree(db) as tree:
        yield tree


async def in_state(tree: Tree, member: Member) -> tuple[Any, ...]:
    """Day, calls, seconds and units."""
    (row,) = await tree.world.select(
        "SELECT CAST(usage_day AS text), day_calls, day_duration_s, day_charged_units FROM account_state "
        "WHERE account_id = :id",
        id=member.id,
    )
    return tuple(row)


async def beside_it(tree: Tree, member: Member) -> list[tuple[Any, ...]]:
    """The same of other days, the earliest first, with the refunded units."""
    rows = await tree.world.select(
        "SELECT CAST(day AS text), calls, duration_s, charged_units, refunded_units FROM usage_days "
        "WHERE account_id = :id ORDER BY day",
        id=member.id,
    )
    return [tuple(row) for row in rows]


async def test_usage_of_the_latest_day_is_in_the_state_on_every_level(tree: Tree) -> None:
    assert await in_state(tree, tree.keytyh) == NONE
    await tree.world.booked(call(tree.keytyh, "one"))
    await tree.world.booked(call(tree.keytyh, "two"), call(tree.keytyh, "three", duration_s=30))
    assert await in_state(tree, tree.keytyh) == ("2026-01-31", 3, 150, 33_000)
    assert await in_state(tree, tree.good) == ("2026-01-31", 3, 150, 15_000)
    assert await in_state(tree, tree.world.operator) == ("2026-01-31", 3, 150, 7_500)
    assert await tree.world.select("SELECT 1 FROM usage_days") == []


async def test_a_later_day_sends_the_one_before_to_its_place(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "one"))
    await tree.world.booked(call(tree.keytyh, "next day", started_at=NOON + DAY))
    assert await in_state(tree, tree.keytyh) == ("2026-02-01", *MINUTE)
    assert await beside_it(tree, tree.keytyh) == [("2026-01-31", *MINUTE, 0)]
    await tree.world.booked(call(tree.keytyh, "a week later", started_at=NOON + 7 * DAY))
    assert await in_state(tree, tree.keytyh) == ("2026-02-07", *MINUTE)
    assert [row[0] for row in await beside_it(tree, tree.keytyh)] == ["2026-01-31", "2026-02-01"]


async def test_a_call_of_an_earlier_day_is_added_beside(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "one"))
    await tree.world.booked(call(tree.keytyh, "late", started_at=NOON - DAY))
    await tree.world.booked(call(tree.keytyh, "late too", started_at=NOON - DAY))
    assert await in_state(tree, tree.keytyh) == ("2026-01-31", *MINUTE)
    assert await beside_it(tree, tree.keytyh) == [("2026-01-30", 2, 120, 22_000, 0)]


async def test_calls_of_many_days_in_one_batch_each_find_their_day(tree: Tree) -> None:
    other = await tree.world.customer("other", of=tree.good, credit="10")
    await tree.world.booked(call(tree.keytyh, "of before", started_at=NOON - DAY))
    days = (-2, -1, -1, 0, 0, 0)
    await tree.world.booked(
        *(call(tree.keytyh, f"k{number}", started_at=NOON + day * DAY) for number, day in enumerate(days)),
        call(other, "o", started_at=NOON - 2 * DAY),
        call(other, "free", number="4390", started_at=NOON - 3 * DAY),
    )
    assert await in_state(tree, tree.keytyh) == ("2026-01-31", 3, 180, 33_000)
    assert await beside_it(tree, tree.keytyh) == [("2026-01-29", *MINUTE, 0), ("2026-01-30", 3, 180, 33_000, 0)]
    assert (await in_state(tree, other))[:3] == ("2026-01-29", 1, 60)
    assert [row[:3] for row in await beside_it(tree, other)] == [("2026-01-28", 1, 60)]
    assert await tree.usage(tree.world.operator) == [
        ("2026-01-28", 1, 60, 0),
        ("2026-01-29", 2, 120, 6_000),
        ("2026-01-30", 3, 180, 9_000),
        ("2026-01-31", 3, 180, 9_000),
    ]


async def test_calls_that_are_taken_one_by_one_are_added_as_others_are(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "one"))
    await tree.world.booked(
        call(tree.keytyh, "unrated", number="1555", policy=ALWAYS_CHARGE), call(tree.keytyh, "with it")
    )
    assert await in_state(tree, tree.keytyh) == ("2026-01-31", 3, 180, 22_000)
    assert await beside_it(tree, tree.keytyh) == []


async def test_a_free_call_is_usage_changes_no_version_and_tells_nobody(tree: Tree, database_url: str) -> None:
    free = await tree.world.customer("free", of=tree.world.operator)
    before = [await tree.world.state(member) for member in (tree.world.operator, free)]
    listener = await connect(database_url)
    told: list[object] = []
    await listener.add_listener(balances.BALANCE_CHANNEL, lambda *given: told.append(given[-1]))
    await tree.world.booked(call(free, "free", number="4390"))
    await tree.world.booked(call(tree.keytyh, "not free"))
    while not told:
        await listener.execute("SELECT")
    await listener.close()
    assert told == [f"CALL {','.join(str(account_id) for account_id in tree.keytyh.path)}"]
    assert await in_state(tree, free) == ("2026-01-31", 1, 60, 0)
    assert await in_state(tree, tree.world.operator) == ("2026-01-31", 2, 120, 3_000)
    after = [await tree.world.state(member) for member in (tree.world.operator, free)]
    assert [after[0].version, after[1]] == [before[0].version + 1, before[1]]


async def test_an_account_that_is_short_keeps_the_usage_it_had(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "one"))
    await tree.world.refused(call(tree.keytyh, "dear", duration_s=600_000, started_at=NOON + DAY))
    assert await in_state(tree, tree.keytyh) == ("2026-01-31", *MINUTE)
    assert await beside_it(tree, tree.keytyh) == []


async def test_credit_and_holds_leave_usage_alone(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "one"))
    await tree.world.credit(tree.keytyh, "1")
    order = AuthorizeOrder("held", tree.keytyh.path, "431234", None, NOON + DAY)
    (held,) = await tree.world.batcher.submit([order])
    assert isinstance(held, Authorization)
    assert await in_state(tree, tree.keytyh) == ("2026-01-31", *MINUTE)
    await tree.world.batcher.submit([SettleOrder("held", 60, None, tree.world.operator.id)])
    assert await in_state(tree, tree.keytyh) == ("2026-02-01", *MINUTE)
    assert await beside_it(tree, tree.keytyh) == [("2026-01-31", *MINUTE, 0)]


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_credit_that_commits_while_a_batch_waits_for_the_row_loses_no_day(
    tree: Tree, one_by_one: bool, database_url: str
) -> None:
    await tree.world.booked(call(tree.keytyh, "one"))
    before = await tree.world.state(tree.keytyh)
    alone = [call(tree.keytyh, "unrated", number="1555", started_at=NOON + DAY, policy=ALWAYS_CHARGE)]
    observer = await connect(database_url)
    async with tree.world.db.charging_connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await balances.lock_states(connection, [tree.keytyh.id])
        next_day = call(tree.keytyh, "next day", started_at=NOON + DAY)
        charging = asyncio.create_task(tree.world.booked(next_day, *(alone if one_by_one else [])))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while not await observer.fetchval(waiting):  # noqa: ASYNC110 - only the table says it
            await asyncio.sleep(0.01)
        await connection.execute(
            "INSERT INTO credit_transactions (account_id, kind, amount_units, balance_after_units, created_by_id) "
            "VALUES ($1, 'CREDIT', 100000, 989000 + 100000, 1)",
            tree.keytyh.id,
        )
        await balances.apply_to_locked(connection, {tree.keytyh.id: 100_000}, balances.Cause.CREDIT)
        await transaction.commit()
    await charging
    await observer.close()
    calls = 2 if one_by_one else 1
    assert await in_state(tree, tree.keytyh) == ("2026-02-01", calls, 60 * calls, 11_000)
    assert await beside_it(tree, tree.keytyh) == [("2026-01-31", *MINUTE, 0)]
    after = await tree.world.state(tree.keytyh)
    assert (after.balance, after.version) == ("10.78000", before.version + 2)


async def test_a_refund_of_the_latest_day_is_beside_until_a_later_one(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "one"), call(tree.keytyh, "two"))
    await refunded(tree.world, "one")
    assert await in_state(tree, tree.keytyh) == ("2026-01-31", 2, 120, 22_000)
    assert await beside_it(tree, tree.keytyh) == [("2026-01-31", 0, 0, -11_000, 11_000)]
    assert await refunds_of_usage(tree.world, tree.keytyh) == [("2026-01-31", "0.11000", "0.11000")]
    assert (await audit(tree.world.db)).differences == ()
    await tree.world.booked(call(tree.keytyh, "next day", started_at=NOON + DAY))
    assert await beside_it(tree, tree.keytyh) == [("2026-01-31", 2, 120, 11_000, 11_000)]


async def test_what_was_spent_today_is_of_both_places(tree: Tree) -> None:
    now = datetime.now(UTC)
    await tree.world.booked(call(tree.keytyh, "one", started_at=now), call(tree.keytyh, "two", started_at=now))
    await refunded(tree.world, "one")
    async with tree.world.db.charging_connection() as connection:
        limits = await find_limits(connection, [tree.keytyh.id], also_unlimited=True)
    on_that_day = 11_000 if now.date() == datetime.now(UTC).date() else 0
    assert limits[tree.keytyh.id].spent_today_units == on_that_day


async def test_usage_goes_back_to_its_days_when_the_schema_does(tree: Tree, database_url: str) -> None:
    await tree.world.booked(call(tree.keytyh, "one"), call(tree.keytyh, "two"))
    await refunded(tree.world, "one")
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(run.downgrade, "0011")
    assert await beside_it(tree, tree.keytyh) == [("2026-01-31", 2, 120, 11_000, 11_000)]
    async with engine.begin() as connection:
        await connection.run_sync(run.upgrade)
    await engine.dispose()
    assert await in_state(tree, tree.keytyh) == NONE
    # On the very day.
    await tree.world.booked(call(tree.keytyh, "three"))
    assert await in_state(tree, tree.keytyh) == ("2026-01-31", *MINUTE)
    assert await beside_it(tree, tree.keytyh) == [("2026-01-31", 2, 120, 11_000, 11_000)]
    assert await tree.usage(tree.keytyh) == [("2026-01-31", 3, 180, 22_000)]
