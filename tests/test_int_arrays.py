"""Arrays of whole numbers go to PostgreSQL as texts: it reads the numbers that were written, and no others."""

import asyncpg
import orjson
import pytest

from billing.int_arrays import int_array
from models.database import Database

_GREATEST = 2**63 - 1
_READ = "SELECT $1::text::bigint[]"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], "{}"),
        ([1, -2, 0], "{1,-2,0}"),
        ((_GREATEST, -_GREATEST - 1, None), f"{{{_GREATEST},{-_GREATEST - 1},null}}"),
    ],
)
async def test_an_array_is_a_text(numbers: list[int | None], text: str, db: Database) -> None:
    assert int_array(numbers) == text
    async with db.charging_connection() as connection:
        assert await connection.fetchval(_READ, text) == list(numbers)


async def test_what_is_too_great_is_refused_and_not_cut_off(db: Database) -> None:
    async with db.charging_connection() as connection:
        with pytest.raises(asyncpg.NumericValueOutOfRangeError):
            await connection.fetchval(_READ, int_array([_GREATEST + 1]))
    with pytest.raises(orjson.JSONEncodeError):
        int_array([2**64])
