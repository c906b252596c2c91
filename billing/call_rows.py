"""The rows that booked calls come to, made ready before any lock is held. Pure.

Each call has a charge on every level of its path, thousands in a batch, so they are columns of 64-bit numbers here, and
go to PostgreSQL as the bytes of its binary COPY: less work than handing rows to the driver, for the server as well. The
rows of one account lie together, as they do in the index.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from billing.charge_order import BookedCall
from billing.rated_order import RatedOrder

Int64s = NDArray[np.int64]
INT64_MAX = 2**63 - 1

CHARGE_COLUMNS = (
    *("account_id", "started_at", "call_no", "customer_id"),
    *("amount_units", "price_per_minute_e8", "billed_s"),
)
# "COPY", "Binary Format" in PostgreSQL's documentation: a row is the number of its columns, then each column as its
# length in bytes (-1: null) and its value, big-endian; an instant is microseconds since the year 2000.
_WIDTHS = (8, 8, 8, 8, 8, 8, 4)
_PRICE = CHARGE_COLUMNS.index("price_per_minute_e8")
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_DAY = 24 * 3600 * 10**6
_NO_PRICE = -1


def _row_type(*, priced: bool) -> np.dtype[np.void]:
    fields = [("columns", ">i2")]
    for number, width in enumerate(_WIDTHS):
        fields.append((f"length{number}", ">i4"))
        if priced or number != _PRICE:
            fields.append((f"value{number}", f">i{width}"))
    return np.dtype(fields)


_PRICED, _UNPRICED = _row_type(priced=True), _row_type(priced=False)


class Levels(NamedTuple):
    """What every level of many calls pays, call after call, operator first: one element a level.

    ``depths`` is the number of levels of each call; ``prices_e8`` is -1 where there is no price.
    """

    depths: Int64s
    account_ids: Int64s
    units: Int64s
    prices_e8: Int64s
    billed_s: Int64s


class UsageColumns(NamedTuple):
    """What is to be added to the usage of accounts on UTC days: parallel columns."""

    account_ids: Sequence[int]
    days: Sequence[date]
    calls: Sequence[int]
    durations_s: Sequence[int]
    charged_units: Sequence[int]


class CallRows(NamedTuple):
    """What is to be written of ``calls``.

    ``charges`` is the content of a binary COPY of `CHARGE_COLUMNS`; ``totals`` is what each account pays for all of
    it, in ascending id.
    """

    calls: Sequence[BookedCall]
    charges: bytes
    usage: UsageColumns
    totals: Mapping[int, int]

    def balance_changes(self) -> dict[int, int]:
        """What is to be added to the balance of each account."""
        return {account_id: -units for account_id, units in self.totals.items()}


def int64s(numbers: Sequence[int]) -> Int64s:
    """A column. Raises: OverflowError: a number has more than 64 bits."""
    return np.array(numbers, dtype=np.int64)


def account_ids_of(paths: Sequence[tuple[int, ...]]) -> tuple[Int64s, Int64s]:
    """``depths`` and ``account_ids`` of `Levels`."""
    depths = np.fromiter(map(len, paths), np.int64, len(paths))
    return depths, np.fromiter(chain.from_iterable(paths), np.int64, int(depths.sum()))


def rows_of_rated(calls: Sequence[tuple[BookedCall, RatedOrder]]) -> CallRows:
    """The rows of calls that were rated one by one."""
    depths, account_ids = account_ids_of([rated.order.path for _, rated in calls])
    prices_e8 = [_NO_PRICE if price is None else price for _, rated in calls for price in rated.prices_e8()]
    levels = Levels(
        depths,
        account_ids,
        int64s([units for _, rated in calls for units in rated.amounts]),
        int64s(prices_e8),
        int64s([seconds for _, rated in calls for seconds in rated.billed_s]),
    )
    return call_rows([call for call, _ in calls], levels)


def call_rows(calls: Sequence[BookedCall], levels: Levels) -> CallRows:
    """The rows of these calls.

    Raises: OverflowError: what an account pays for all of them may have more than 64 bits; fewer calls at a time fit.
    """
    if not calls:
        return CallRows((), _BEGIN + _END, UsageColumns((), (), (), (), ()), {})
    if len(calls) * max(int(levels.units.max()), 1) > INT64_MAX:
        raise OverflowError("the sum of these charges may not fit")
    started_us = int64s([(call.started_at - _EPOCH) // _MICROSECOND for call in calls])
    days = started_us // _MICROSECONDS_PER_DAY
    call_of_level = np.repeat(np.arange(len(calls)), levels.depths)
    by_day_and_account = np.lexsort((levels.account_ids, days[call_of_level]))
    call_of_row = call_of_level[by_day_and_account]
    account_ids, units = levels.account_ids[by_day_and_account], levels.units[by_day_and_account]
    charges = _packed(
        account_ids,
        started_us[call_of_row],
        int64s([call.call_no for call in calls])[call_of_row],
        int64s([call.account_id for call in calls])[call_of_row],
        units,
        levels.prices_e8[by_day_and_account],
        levels.billed_s[by_day_and_account],
    )
    durations_s = int64s([call.duration_s for call in calls])[call_of_row]
    usage = _usage(account_ids, days[call_of_row], durations_s, units)
    return CallRows(calls, charges, usage, _totals(usage))


def _packed(*columns: Int64s) -> bytes:
    priced = columns[_PRICE] != _NO_PRICE
    packed = [_BEGIN]
    for row_type, chosen in ((_PRICED, priced), (_UNPRICED, ~priced)):
        if chosen.any():
            packed.append(_rows(row_type, [column[chosen] for column in columns]))
    packed.append(_END)
    return b"".join(packed)


def _rows(row_type: np.dtype[np.void], columns: Sequence[Int64s]) -> bytes:
    rows = np.empty(len(columns[0]), row_type)
    rows["columns"] = len(columns)
    for number, (column, width) in enumerate(zip(columns, _WIDTHS, strict=True)):
        value = f"value{number}"
        is_null = row_type.names is None or value not in row_type.names
        rows[f"length{number}"] = -1 if is_null else width
        if not is_null:
            rows[value] = column
    return rows.tobytes()


def _usage(account_ids: Int64s, days: Int64s, durations_s: Int64s, units: Int64s) -> UsageColumns:
    """Of rows in the order of day and account: one sum for each."""
    begins = np.flatnonzero(np.diff(account_ids, prepend=-1) | np.diff(days, prepend=-1))
    date_of = {day: _EPOCH.date() + timedelta(days=day) for day in set(days[begins].tolist())}
    return UsageColumns(
        account_ids[begins].tolist(),
        [date_of[day] for day in days[begins].tolist()],
        np.diff(begins, append=len(account_ids)).tolist(),
        np.add.reduceat(durations_s, begins).tolist(),
        np.add.reduceat(units, begins).tolist(),
    )


def _totals(usage: UsageColumns) -> dict[int, int]:
    totals: dict[int, int] = {}
    for account_id, units in zip(usage.account_ids, usage.charged_units, strict=True):
        totals[account_id] = totals.get(account_id, 0) + units
    return totals if len(set(usage.days)) == 1 else dict(sorted(totals.items()))
