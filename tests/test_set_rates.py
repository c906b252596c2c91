"""Setting rates of a list, on the operator's deck: what is written, and what a reader then finds."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from billing.errors import InvalidRate, NotAllowed, NotFound
from billing.price_book import PriceBook
from billing.rate_changes import NewRate
from billing.rating import Price
from billing.set_rates import set_rates
from models.database import Database
from models.tables import PricingEpoch, RateList

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

RateRows = list[tuple[object, ...]]


def new_rate(prefix: str, e8: int, effective_from: datetime | None = None) -> NewRate:
    return NewRate(Price(e8, 0, 1, 1, prefix, f"Destination {prefix}", False), effective_from)


async def list_id(db: Database, name: str = "Base rates") -> int:
    async with db.read() as connection:
        found: int = (await connection.execute(select(RateList.id).where(RateList.name == name))).scalar_one()
        return found


async def stored(db: Database) -> RateRows:
    statement = text(
        "SELECT prefix, NULLIF(effective_from, '-infinity'), price_per_minute_e8, withdrawn, epoch FROM rates "
        "ORDER BY prefix, effective_from"
    )
    async with db.read() as connection:
        return [tuple(row) for row in await connection.execute(statement)]


async def epoch(db: Database) -> int:
    async with db.read() as connection:
        return (await connection.execute(select(PricingEpoch.epoch))).scalar_one()


async def change(
    db: Database, *rates: NewRate, replace: bool = False, now: datetime | None = NOW, rate_list_id: int | None = None
) -> int:
    target = rate_list_id or await list_id(db)
    async with db.transaction() as tx:
        return await set_rates(tx, rate_list_id=target, rates=rates, replace=replace, now=now)


async def test_rates_are_added_and_changed_and_the_old_ones_stay(db: Database) -> None:
    assert await change(db, new_rate("43", 5), new_rate("44", 6)) == 2
    assert await change(db, new_rate("43", 7), new_rate("44", 6), now=NOW + DAY) == 1
    assert await stored(db) == [
        ("43", None, 5, False, 1),
        ("43", NOW + DAY, 7, False, 2),
        ("44", None, 6, False, 1),
    ]


async def test_the_same_rates_again_write_nothing_and_take_no_epoch(db: Database) -> None:
    await change(db, new_rate("43", 5), new_rate("44", 6))
    before = await stored(db)
    assert await change(db, new_rate("44", 6), new_rate("43", 5), replace=True, now=NOW + DAY) == 0
    assert (await stored(db), await epoch(db)) == (before, 1)


async def test_replacing_withdraws_the_prefixes_that_are_left_out(db: Database) -> None:
    await change(db, new_rate("43", 5), new_rate("44", 6))
    assert await change(db, new_rate("43", 5), replace=True, now=NOW + DAY) == 1
    assert await stored(db) == [("43", None, 5, False, 1), ("44", None, 6, False, 1), ("44", NOW + DAY, 0, True, 2)]


async def test_replacing_by_nothing_empties_the_list_and_adding_leaves_it(db: Database) -> None:
    await change(db, new_rate("43", 5))
    assert await change(db) == 0
    assert await change(db, replace=True, now=NOW + DAY) == 1
    assert await stored(db) == [("43", None, 5, False, 1), ("43", NOW + DAY, 0, True, 2)]


async def test_a_refused_rate_leaves_all_of_the_set_unwritten(db: Database) -> None:
    await change(db, new_rate("43", 5))
    before = await stored(db)
    for wrong in (new_rate("4x", 5), new_rate("43", 6)):
        with pytest.raises(InvalidRate):
            await change(db, new_rate("43", 9), wrong, replace=True)
        assert (await stored(db), await epoch(db)) == (before, 1)


async def test_a_predefined_list_and_one_that_does_not_exist_are_refused(db: Database) -> None:
    with pytest.raises(NotAllowed):
        await change(db, new_rate("43", 5), rate_list_id=await list_id(db, "(Predefined) 10% List"))
    with pytest.raises(NotFound):
        await change(db, new_rate("43", 5), rate_list_id=999_999)
    assert (await stored(db), await epoch(db)) == ([], 0)


async def test_of_changes_at_the_same_time_none_is_lost_and_the_last_one_holds(db: Database) -> None:
    base = await list_id(db)
    await asyncio.gather(*(change(db, new_rate("43", e8), now=None, rate_list_id=base) for e8 in range(1, 9)))
    rows = await stored(db)
    assert [row[-1] for row in rows] == list(range(1, 9))
    book = PriceBook()
    async with db.charging_connection() as connection:
        await book.refresh_now(connection, [])
    held = book.base.match("431", datetime.now(UTC) + DAY)
    assert held is not None
    assert held.price_per_minute_e8 == rows[-1][2]


async def test_80_000_prefixes_are_written_and_compared_in_sets(db: Database) -> None:
    deck = [new_rate(str(100_000 + i), i) for i in range(80_000)]
    assert await change(db, *deck) == 80_000
    assert await change(db, *deck, replace=True, now=NOW + DAY) == 0
    assert await change(db, *deck[1:], replace=True, now=NOW + DAY) == 1
    async with db.read() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM rates")) == 80_001
