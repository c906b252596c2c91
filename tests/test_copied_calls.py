"""Calls that come in large batches are written as bytes: what PostgreSQL reads is what was booked."""

from datetime import UTC, datetime, timedelta

from billing import call_store
from billing.charge_order import BookedCall, CallStatus
from models.database import Database
from tests.charging_tree import charging_tree
from tests.charging_world import ALWAYS_CHARGE, NOON, call

# Half of them are more than are written by the statement that claims their keys.
MANY = 2 * call_store.FEW_CALLS + 2


async def test_many_calls_are_kept_as_they_were_answered(db: Database) -> None:
    async with charging_tree(db) as tree:
        orders = [
            call(
                tree.keytyh,
                f"Gespräch {number} ☎",
                caller_number=None if number % 3 else f"Büro {number} " + "ß" * 150,
                number="431234" if number % 2 else "1",  # nothing begins with 1, so it has no rate
                started_at=NOON + timedelta(microseconds=number),
                duration_s=number,
                policy=ALWAYS_CHARGE,
            )
            for number in range(MANY)
        ]
        booked = [outcome.call for outcome in await tree.world.booked(*orders)]
        assert {one.status for one in booked} == {CallStatus.CHARGED, CallStatus.UNRATED}
        # Those without a rate are kept back, and numbered behind the others.
        kept = await tree.world.select(f"SELECT {', '.join(BookedCall._fields)} FROM calls ORDER BY started_at")
        assert [tuple(one) for one in booked] == kept


async def test_many_calls_that_are_charged_together_are_kept_with_their_keys(db: Database) -> None:
    async with charging_tree(db) as tree:
        await tree.world.credit(tree.keytyh, "10")
        midnight = datetime(2026, 2, 1, tzinfo=UTC)
        orders = [
            call(
                tree.keytyh,
                f"c{number}",
                caller_number="Ünal" if number % 2 else None,
                started_at=midnight + (number - MANY // 2) * timedelta(microseconds=1),
                duration_s=1,
            )
            for number in range(MANY)
        ]
        booked = [outcome.call for outcome in await tree.world.booked(*orders)]
        kept = await tree.world.select(f"SELECT {', '.join(BookedCall._fields)} FROM calls ORDER BY call_no")
        assert [tuple(one) for one in booked] == kept
        keys = await tree.world.select(
            "SELECT call_id, account_id, started_at, call_no FROM call_keys ORDER BY call_no"
        )
        assert keys == [(one.call_id, one.account_id, one.started_at, one.call_no) for one in booked]
        days = await tree.world.select(
            "SELECT day::text, sum(calls)::int FROM usage_parts WHERE account_id = :id GROUP BY day ORDER BY day",
            id=tree.keytyh.id,
        )
        assert days == [("2026-01-31", MANY // 2), ("2026-02-01", MANY // 2)]
