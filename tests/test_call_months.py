"""Calls are kept by month: a month is made before a call of it is written, whoever is charging meanwhile."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from billing.call_months import make_coming_months
from billing.hold_order import Authorization, AuthorizeOrder, SettleOrder
from models.call_month import MONTHLY_TABLES, is_month_table, month_bounds, month_of, month_table, next_month
from models.database import Database
from resolvers.audit import audit
from resolvers.call_months import call_months
from tests.charging_world import NOON, ChargingWorld, Member, call, charging_world, new_batcher, rate

_MONTH = timedelta(days=31)


async def parts(db: Database, table: str) -> list[str]:
    """The months of a table, by name."""
    async with db.read() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT part.relname FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid "
            f"WHERE inhparent = '{table}'::regclass ORDER BY 1"
        )
        return [row[0] for row in rows]


async def customer_of(world: ChargingWorld) -> Member:
    await world.set_base_rates(rate("43", "0.1"))
    return await world.customer("keytyh", of=world.operator, credit="1000")


@pytest.mark.parametrize(
    ("instant", "month", "after"),
    [
        ("2026-01-31T23:59:59.999999+00:00", date(2026, 1, 1), date(2026, 2, 1)),
        ("2026-02-01T00:30:00+01:00", date(2026, 1, 1), date(2026, 2, 1)),
        ("2025-12-31T23:30:00-01:00", date(2026, 1, 1), date(2026, 2, 1)),
        ("2024-12-01T00:00:00+00:00", date(2024, 12, 1), date(2025, 1, 1)),
    ],
)
def test_a_month_is_that_of_utc(instant: str, month: date, after: date) -> None:
    assert month_of(datetime.fromisoformat(instant)) == month
    assert next_month(month) == after
    assert month_bounds(month) == (
        datetime(month.year, month.month, 1, tzinfo=UTC),
        datetime(after.year, after.month, 1, tzinfo=UTC),
    )


def test_only_tables_of_months_are_known_by_their_names() -> None:
    assert month_table("calls", date(2026, 1, 1)) == "calls_2026_01"
    assert is_month_table("call_adjustments_2026_12")
    assert not any(
        map(is_month_table, ("calls", "calls_2026_13", "calls_2026_1", "holds_2026_01", "call_limits", None))
    )


async def test_the_present_month_and_the_next_two_are_made_once(db: Database) -> None:
    await make_coming_months(db)
    await make_coming_months(db)
    months = [month_of(datetime.now(UTC))]
    months += [next_month(months[0]), next_month(next_month(months[0]))]
    for table in MONTHLY_TABLES:
        assert await parts(db, table) == [month_table(table, month) for month in months]


async def test_calls_of_many_years_are_charged_in_one_batch_and_each_lies_in_its_month(db: Database) -> None:
    async with charging_world(db) as world:
        customer = await customer_of(world)
        starts = [NOON.replace(year=year, day=1) for year in range(2001, 2026, 4)]
        edges = [datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC) - timedelta(microseconds=1)]
        orders = [call(customer, f"at {start}", started_at=start) for start in starts + edges]

        booked = await world.booked(*orders)

        assert [one.call.started_at for one in booked] == starts + edges
        assert await parts(db, "calls") == [
            *(f"calls_{year}_01" for year in range(2001, 2026, 4)),
            *("calls_2026_01", "calls_2026_02"),
        ]
        assert await world.select("SELECT tableoid::regclass::text, count(*) FROM charges GROUP BY 1 ORDER BY 1") == [
            *((f"charges_{year}_01", 2) for year in range(2001, 2026, 4)),
            *(("charges_2026_01", 2), ("charges_2026_02", 2)),
        ]
        assert (await audit(db)).differences == ()


async def test_processes_that_need_the_same_month_at_once_make_it_once(db: Database) -> None:
    async with charging_world(db) as world:
        customer = await customer_of(world)
        others = [new_batcher(db) for _ in range(3)]
        for turn in range(5):
            start = NOON + turn * _MONTH
            outcomes = await asyncio.gather(
                *(batcher.charge([call(customer, f"{turn} {n}", started_at=start)]) for n, batcher in enumerate(others))
            )
            assert [getattr(outcome, "duplicate", outcome) for (outcome,) in outcomes] == [False] * 3
        for batcher in others:
            await batcher.close()
        assert await world.select("SELECT count(*) FROM calls") == [(15,)]


async def test_a_month_is_made_while_another_transaction_holds_calls(db: Database) -> None:
    async with charging_world(db) as world:
        customer = await customer_of(world)
        await world.booked(call(customer, "there before"))
        # Rows of an open batch, and a reader: neither is waited for.
        async with db.transaction() as writer, db.transaction() as reader:
            await writer.exec_driver_sql("UPDATE calls SET overdrawn = true")
            await reader.exec_driver_sql("SELECT count(*) FROM charges")
            async with asyncio.timeout(5):
                await world.booked(call(customer, "of another month", started_at=NOON - 3 * _MONTH))


async def test_a_held_call_is_settled_in_a_month_that_nobody_has_made(db: Database) -> None:
    async with charging_world(db) as world:
        customer = await customer_of(world)
        (running,) = await world.batcher.submit([AuthorizeOrder("running", customer.path, "431234", None, NOON)])
        assert isinstance(running, Authorization)
        (settled,) = await world.batcher.submit([SettleOrder("running", 60, None, customer.id)])
        assert getattr(settled, "call", settled).started_at == NOON
        assert await parts(db, "charges") == ["charges_2026_01"]


async def test_a_month_that_was_lost_with_its_transaction_is_made_again(db: Database) -> None:
    async with charging_world(db) as world:
        customer = await customer_of(world)
        await world.booked(call(customer, "first"))
        for table in MONTHLY_TABLES:
            await world.execute(f"DROP TABLE {table}_2026_01")
        await world.execute("DELETE FROM call_keys")
        (outcome,) = await world.charge(call(customer, "second"))
        assert getattr(outcome, "duplicate", outcome) is False
        assert await parts(db, "calls") == ["calls_2026_01"]


async def test_months_are_listed_with_their_calls_and_size(db: Database) -> None:
    async with charging_world(db) as world:
        customer = await customer_of(world)
        await world.booked(call(customer, "a"), call(customer, "b"), call(customer, "c", started_at=NOON + _MONTH))
        months = await call_months(db)
        assert [(row.month, row.calls, row.state, row.closed_at) for row in months] == [
            (date(2026, 1, 1), 2, "OPEN", None),
            (date(2026, 3, 1), 1, "OPEN", None),
        ]
        assert all(row.size_bytes > 0 for row in months)
