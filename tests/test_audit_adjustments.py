"""The audit finds what does not agree between calls, their charges and what changed about them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from models.database import Database
from resolvers.audit import audit
from tests.adjusting import DAY, refunded, rerated
from tests.charging_world import ALWAYS_CHARGE, NOON, ChargingWorld, Member, call, charging_world, rate


@dataclass
class Books:
    """op ▶ keytyh*op. A refunded call, one that was rerated twice (0.1, 0.2, 0.3), one that got its price late, a
    plain one."""

    world: ChargingWorld
    keytyh: Member

    async def differences(self) -> list[tuple[Any, ...]]:
        """(check, username, of, expected, found) of each difference."""
        report = await audit(self.world.db)
        return [(d.check.value, d.username, d.subject, d.expected, d.found) for d in report.differences]

    async def ids(self, call_id: str) -> list[str]:
        """The ids of what changed about the caller's charge for a call, as the audit shows them."""
        rows = await self.world.select(
            "SELECT CAST(id AS text) FROM call_adjustments JOIN call_keys USING (account_id, started_at, call_no) "
            "WHERE call_id = :call_id ORDER BY id",
            call_id=call_id,
        )
        return [row[0] for row in rows]


@pytest.fixture
async def books(db: Database) -> AsyncIterator[Books]:
    async with charging_world(db) as world:
        await world.set_base_rates(rate("43", "0.1"))
        keytyh = await world.customer("keytyh", of=world.operator, credit="10")
        await world.booked(
            call(keytyh, "returned", number="439"),
            call(keytyh, "twice"),
            call(keytyh, "late", number="861", policy=ALWAYS_CHARGE),
            call(keytyh, "plain", started_at=NOON - 2 * DAY),
        )
        await refunded(world, "returned")
        for price in ("0.2", "0.3"):
            await world.set_base_rates(rate("43", price, effective_from=NOON - DAY), rate("86", "0.3"))
            await rerated(world)
        books = Books(world, keytyh)
        assert await books.differences() == []
        assert [len(await books.ids(call_id)) for call_id in ("returned", "twice", "late", "plain")] == [1, 2, 1, 0]
        assert (await world.state(keytyh)).balance == "9.30000"
        yield books


async def test_a_refund_that_the_usage_does_not_show_is_found(books: Books) -> None:
    await books.world.execute(
        "UPDATE usage_days SET refunded_units = 9999 WHERE account_id = :id AND day = '2026-01-31'", id=books.keytyh.id
    )
    assert await books.differences() == [("USAGE_REFUNDED", "keytyh*op", "2026-01-31", "0.10000", "0.09999")]


async def test_a_refund_on_a_day_without_one_is_found(books: Books) -> None:
    await books.world.execute(
        "UPDATE usage_days SET refunded_units = 5 WHERE account_id = :id AND day = '2026-01-29'", id=books.keytyh.id
    )
    assert await books.differences() == [("USAGE_REFUNDED", "keytyh*op", "2026-01-29", "0.00000", "0.00005")]


async def test_a_charge_that_is_not_what_its_last_change_left_is_found(books: Books) -> None:
    await books.world.execute(
        "UPDATE charges SET amount_units = amount_units + 1, price_per_minute_e8 = 7, billed_s = 61 "
        "FROM call_keys WHERE call_id = 'twice' AND charges.account_id = :id AND charges.call_no = call_keys.call_no",
        id=books.keytyh.id,
    )
    _, last = await books.ids("twice")
    assert await books.differences() == [
        ("BALANCE", "keytyh*op", None, "9.29999", "9.30000"),
        ("USAGE_CHARGED", "keytyh*op", "2026-01-31", "0.60001", "0.60000"),
        ("ADJUSTED_AMOUNT", "keytyh*op", last, "0.30000", "0.30001"),
        ("ADJUSTED_BILLED", "keytyh*op", last, "60", "61"),
        ("ADJUSTED_PRICE", "keytyh*op", last, "0.30000000", "0.00000007"),
        ("CALL_BILLED", "keytyh*op", "twice", "61", "60"),
        ("CALL_CHARGED", "keytyh*op", "twice", "0.30001", "0.30000"),
    ]


async def test_a_change_that_is_not_kept_is_found(books: Books) -> None:
    first, last = await books.ids("twice")
    await books.world.execute("DELETE FROM call_adjustments WHERE id = :id", id=int(last))
    differences = await books.differences()
    assert ("ADJUSTED_AMOUNT", "keytyh*op", first, "0.20000", "0.30000") in differences
    assert ("ADJUSTED_PRICE", "keytyh*op", first, "0.20000000", "0.30000000") in differences


async def test_a_change_that_does_not_go_on_from_the_one_before_it_is_found(books: Books) -> None:
    first, last = await books.ids("twice")
    await books.world.execute(
        "UPDATE call_adjustments SET amount_after_units = amount_after_units - 1 WHERE id = :id", id=int(first)
    )
    assert await books.differences() == [("ADJUSTMENT", "keytyh*op", last, "0.29999", "0.30000")]


async def test_a_first_price_that_did_not_begin_at_nothing_is_found(books: Books) -> None:
    (only,) = await books.ids("late")
    await books.world.execute("UPDATE call_adjustments SET amount_units = 29999 WHERE id = :id", id=int(only))
    assert await books.differences() == [("ADJUSTMENT", "keytyh*op", only, "0.29999", "0.30000")]


async def test_a_refunded_call_that_somebody_pays_for_is_found(books: Books) -> None:
    await books.world.execute(
        "UPDATE charges SET amount_units = 500 FROM call_keys "
        "WHERE call_id = 'returned' AND charges.account_id = :id AND charges.call_no = call_keys.call_no",
        id=books.world.operator.id,
    )
    differences = await books.differences()
    assert ("CALL_STATUS", "keytyh*op", "returned", "0.00000", "0.00500") in differences
    assert ("BALANCE", "op", None, "-0.70500", "-0.70000") in differences


async def test_a_refund_that_left_something_to_pay_is_found(books: Books) -> None:
    (only,) = await books.ids("returned")
    await books.world.execute(
        "UPDATE call_adjustments SET amount_units = amount_units + 7, amount_after_units = 7 WHERE id = :id",
        id=int(only),
    )
    assert await books.differences() == [
        ("ADJUSTED_AMOUNT", "keytyh*op", only, "0.00007", "0.00000"),
        ("ADJUSTMENT", "keytyh*op", only, "0.00000", "0.00007"),
        ("USAGE_REFUNDED", "keytyh*op", "2026-01-31", "0.09993", "0.10000"),
    ]


async def test_a_change_after_a_refund_is_found(books: Books) -> None:
    (only,) = await books.ids("returned")
    await books.world.execute(
        "INSERT INTO call_adjustments (account_id, started_at, call_no, customer_id, kind, amount_units, "
        "amount_after_units, price_per_minute_before_e8, price_per_minute_after_e8, billed_before_s, billed_after_s, "
        "created_by_id) SELECT account_id, started_at, call_no, customer_id, 'RERATE', 0, 0, "
        "price_per_minute_before_e8, price_per_minute_after_e8, billed_before_s, billed_after_s, created_by_id "
        "FROM call_adjustments WHERE id = :id",
        id=int(only),
    )
    assert await books.differences() == [("AFTER_REFUND", "keytyh*op", only, "0", "1")]


async def test_a_refunded_call_without_its_refund_is_found(books: Books) -> None:
    (only,) = await books.ids("returned")
    await books.world.execute("DELETE FROM call_adjustments WHERE id = :id", id=int(only))
    differences = await books.differences()
    assert ("REFUND_ROWS", "keytyh*op", "returned", "2", "1") in differences
    assert ("USAGE_REFUNDED", "keytyh*op", "2026-01-31", "0.00000", "0.10000") in differences


async def test_a_refund_of_a_call_that_is_not_refunded_is_found(books: Books) -> None:
    await books.world.execute("UPDATE calls SET status = 'CHARGED' WHERE call_id = 'returned'")
    assert await books.differences() == [("REFUND_ROWS", "keytyh*op", "returned", "0", "2")]
    # As many of one kind as of the other must not hide each other.
    await books.world.booked(call(books.keytyh, "not answered", duration_s=0))
    await books.world.execute("UPDATE calls SET status = 'REFUNDED' WHERE call_id = 'not answered'")
    assert await books.differences() == [
        ("REFUND_ROWS", "keytyh*op", "not answered", "2", "0"),
        ("REFUND_ROWS", "keytyh*op", "returned", "0", "2"),
    ]
