"""Calls to numbers with a beginning: the same whichever way they are found, over months and lots of call numbers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.call_months import CallMonths
from models.database import Database
from resolvers.call_filter import CALL_SORT_KINDS, CallFilter, SortDirection
from resolvers.calls_to_number import page_of_number
from resolvers.pages import page_request

STARTED = datetime(2026, 1, 30, tzinfo=UTC)
COUNT = 1_600
OPERATOR, CUSTOMER = 1, 2
# Calls come in one after the other, 13 lots of them, and one in 41 long after all others, in 13 more.
_CALLS = [
    (CUSTOMER if n % 4 == 0 else 3, STARTED + n * timedelta(hours=1), n * 1_000 + (10_000_000 if n % 41 == 5 else 0))
    for n in range(COUNT)
]
_NUMBERS = [f"{'9912' if n % 400 == 8 else '49' if n % 2 else '431'}{n:05}" for n in range(COUNT)]


@pytest.fixture
async def calls(db: Database) -> list[tuple[str, int, datetime, int]]:
    """(number, account, start, call number) of calls of two customers, in the books as far as the list reads them."""
    starts = [start for _, start, _ in _CALLS]
    async with db.charging_connection() as connection:
        await CallMonths().make_for(connection, starts)
        for account_id in (OPERATOR, CUSTOMER, 3):
            path = [OPERATOR] if account_id == OPERATOR else [OPERATOR, account_id]
            await connection.execute(
                "INSERT INTO accounts (id, username, parent_id, path, password_hash) OVERRIDING SYSTEM VALUE "
                "VALUES ($1, $2, $3, $4, '')",
                *(account_id, f"account{account_id}", None if account_id == OPERATOR else OPERATOR, path),
            )
        await connection.copy_records_to_table(
            "calls",
            records=[
                (*call, f"call {call[2]}", number, 60, 60, 1, "CHARGED")
                for call, number in zip(_CALLS, _NUMBERS, strict=True)
            ],
            columns=[
                *("account_id", "started_at", "call_no", "call_id", "number"),
                *("duration_s", "billed_s", "charged_units", "status"),
            ],
        )
        await connection.execute(
            "INSERT INTO charges SELECT level, started_at, call_no, account_id, 1, 1000, 60 "
            "FROM calls CROSS JOIN LATERAL unnest(ARRAY[1, account_id]) AS level"
        )
        await connection.execute(
            "INSERT INTO usage_days (account_id, day, calls, duration_s, charged_units) "
            "SELECT account_id, CAST(started_at AT TIME ZONE 'UTC' AS date), count(*), 0, 0 FROM charges GROUP BY 1, 2 "
            # Of a month that was closed the usage is kept.
            "UNION ALL VALUES (1, date '2025-11-17', 1, 60, 1), (2, date '2025-11-17', 1, 60, 1)"
        )
    return [(number, *call) for call, number in zip(_CALLS, _NUMBERS, strict=True)]


async def _found(db: Database, account_id: int, chosen: CallFilter, size: int, *, backward: bool = False) -> list[int]:
    """The call numbers of all pages, from the first on or from the last one back."""
    found: list[int] = []
    many, beside = ("last", "before") if backward else ("first", "after")
    place: dict[str, Any] = {}
    while True:
        request = page_request("calls", CALL_SORT_KINDS, **{many: size}, **place, size_max=500)
        async with db.read_by_value() as connection:
            page = await page_of_number(connection, account_id, chosen, request)
        numbers = [call.call_no for call in page.rows]
        found = [*numbers, *found] if backward else [*found, *numbers]
        if not (page.has_previous if backward else page.has_next):
            return found
        place = {beside: request.cursor(page.positions[0 if backward else -1])}


def _spans() -> Iterator[tuple[datetime | None, datetime | None]]:
    yield None, None
    yield STARTED + timedelta(days=10), STARTED + timedelta(days=40, minutes=30)
    yield STARTED + timedelta(hours=2), STARTED + timedelta(hours=7)
    yield STARTED - timedelta(days=400), STARTED - timedelta(days=300)
    # The closed month alone, and with a part of the next one there is.
    yield STARTED - timedelta(days=90), STARTED - timedelta(days=40)
    yield STARTED - timedelta(days=90), STARTED + timedelta(days=1)


@pytest.mark.parametrize("direction", SortDirection)
@pytest.mark.parametrize("account_id", [OPERATOR, CUSTOMER])
async def test_pages_of_a_number_are_what_going_through_all_calls_finds(
    db: Database, calls: list[tuple[str, int, datetime, int]], account_id: int, direction: SortDirection
) -> None:
    for since, until in _spans():
        # All calls, half of them, a few of one customer, one, and none.
        for prefix in ("4", "49", "431", "9912", "991200008", "5", "4310001"):
            wanted = [
                (start, call_no)
                for number, caller, start, call_no in calls
                if account_id in (OPERATOR, caller) and number.startswith(prefix)
                if (since is None or start >= since) and (until is None or start < until)
            ]
            wanted.sort(reverse=direction is SortDirection.DESC)
            chosen = CallFilter(since, until, prefix, direction)
            size = 500 if len(wanted) > 100 else 7
            for backward in (False, True):
                found = await _found(db, account_id, chosen, size, backward=backward)
                assert found == [call_no for _, call_no in wanted], (prefix, since, backward)


async def test_a_number_and_more_is_asked_of_the_same_calls(
    db: Database, calls: list[tuple[str, int, datetime, int]]
) -> None:
    chosen = CallFilter(number_prefix="9912", account_id=CUSTOMER, destination="nowhere")
    assert await _found(db, OPERATOR, chosen, 10) == []
    chosen = CallFilter(number_prefix="9912", account_id=CUSTOMER, direction=SortDirection.ASC)
    assert await _found(db, OPERATOR, chosen, 10) == [8_000, 408_000, 808_000, 1_208_000]
