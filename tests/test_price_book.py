"""The price book is exact at the epoch it was asked for, and reads no more than what changed."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from billing.price_book import PriceBook, current_epoch
from billing.rate_changes import NewRate
from billing.rating import Price
from billing.set_rates import set_rates
from models.database import Database

LATER = datetime(2100, 1, 1, tzinfo=UTC)


class Statements:
    """Counts what is fetched over a real connection."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self._connection = connection
        self.rows: list[int] = []

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        rows = await self._connection.fetch(query, *arguments)
        self.rows.append(len(rows))
        return rows

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        return await self._connection.fetchval(query, *arguments)


async def ids(db: Database) -> tuple[int, int]:
    """The ids of the operator's deck and of the predefined list of 10 %."""
    async with db.charging_connection() as connection:
        base = await connection.fetchval("SELECT id FROM rate_lists WHERE is_base")
        ten = await connection.fetchval("SELECT id FROM rate_lists WHERE name = '(Predefined) 10% List'")
        return base, ten


async def change(db: Database, rate_list_id: int, **e8_by_prefix: int) -> None:
    rates = [NewRate(Price(e8, 0, 1, 1, prefix[1:], None, False)) for prefix, e8 in e8_by_prefix.items()]
    async with db.transaction() as tx:
        await set_rates(tx, rate_list_id=rate_list_id, rates=rates)


def price_now(book: PriceBook, number: str) -> int | None:
    found = book.base.match(number, LATER)
    return None if found is None else found.price_per_minute_e8


async def test_a_book_has_the_base_rates_and_the_lists_it_was_asked_for(db: Database) -> None:
    base, ten = await ids(db)
    await change(db, base, p43=5, p4366=7)
    book = PriceBook()
    with pytest.raises(LookupError):
        _ = book.base
    async with db.charging_connection() as connection:
        tables = await book.refresh_now(connection, [ten, 999_999])
    assert set(tables) == {base, ten}
    assert (book.base_id, book.table(ten).discount_e4, book.base.is_base) == (base, 100_000, True)
    assert (price_now(book, "4366"), price_now(book, "431"), price_now(book, "44")) == (7, 5, None)
    with pytest.raises(KeyError):
        book.table(999_999)


async def test_without_a_change_nothing_is_read_and_the_tables_are_the_same_object(db: Database) -> None:
    base, ten = await ids(db)
    await change(db, base, p43=5)
    book = PriceBook()
    async with db.charging_connection() as connection:
        counted = Statements(connection)
        first = await book.refresh(counted, 1, [ten])  # type: ignore[arg-type]
        assert counted.rows == [2, 1]
        assert await book.refresh(counted, 1, [ten]) is first  # type: ignore[arg-type]
        assert counted.rows == [2, 1]


async def test_one_changed_rate_of_a_deck_is_the_only_row_read(db: Database) -> None:
    base, _ = await ids(db)
    await change(db, base, **{f"p{prefix}": 5 for prefix in range(1000, 4000)})
    book = PriceBook()
    async with db.charging_connection() as connection:
        await book.refresh_now(connection, [])
        await change(db, base, p1234=9)
        counted = Statements(connection)
        await book.refresh(counted, await current_epoch(connection), [])  # type: ignore[arg-type]
    assert counted.rows == [1, 1]
    assert (price_now(book, "1234"), price_now(book, "1235")) == (9, 5)
    assert len(book.base.entries) == 3000


async def test_a_table_handed_out_never_changes(db: Database) -> None:
    base, _ = await ids(db)
    await change(db, base, p43=5)
    book = PriceBook()
    async with db.charging_connection() as connection:
        before = await book.refresh_now(connection, [])
        await change(db, base, p43=6, p44=7)
        after = await book.refresh_now(connection, [])
    assert [entry.price and entry.price.price_per_minute_e8 for entry in before[base].entries["43"]] == [5]
    assert set(before[base].entries) == {"43"}
    assert [entry.price and entry.price.price_per_minute_e8 for entry in after[base].entries["43"]] == [6, 5]


async def test_a_withdrawn_rate_is_gone_and_one_that_comes_back_is_there(db: Database) -> None:
    base, _ = await ids(db)
    await change(db, base, p43=5, p4366=7)
    book = PriceBook()
    async with db.charging_connection() as connection:
        await book.refresh_now(connection, [])
        async with db.transaction() as tx:
            await set_rates(tx, rate_list_id=base, rates=[NewRate(Price(5, 0, 1, 1, "43", None, False))], replace=True)
        await book.refresh_now(connection, [])
        assert price_now(book, "4366") == 5
        await change(db, base, p4366=8)
        await book.refresh_now(connection, [])
        assert price_now(book, "4366") == 8


async def test_readers_at_the_same_time_find_each_change_whole(db: Database) -> None:
    base, _ = await ids(db)
    await change(db, base, p43=0, p44=0)
    book = PriceBook()
    done = asyncio.Event()

    async def write() -> None:
        for e8 in range(1, 40):
            await change(db, base, p43=e8, p44=e8)
        done.set()

    async def read() -> int:
        seen = 0
        async with db.charging_connection() as connection:
            while not done.is_set():
                table = (await book.refresh_now(connection, []))[base]
                prices = [
                    found and found.price_per_minute_e8
                    for found in (table.match("43", LATER), table.match("44", LATER))
                ]
                assert prices[0] == prices[1]
                assert prices[0] is not None
                assert prices[0] >= seen
                seen = prices[0]
        return seen

    await asyncio.gather(write(), read(), read())
    async with db.charging_connection() as connection:
        await book.refresh_now(connection, [])
    assert price_now(book, "43") == 39
