"""The rows that booked calls come to, made ready before any lock is held. Pure.

Each call has a charge on every level of its path, thousands in a batch, so they are columns of 64-bit numbers here, and
go to PostgreSQL as the bytes of its binary COPY. The charges of one account lie together, as they do in the index.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from billing import binary_copy
from billing.charge_order import BookedCall
from billing.columns import columns_of
from billing.rated_order import RatedOrder

Int64s = NDArray[np.int64]
INT64_MAX = 2**63 - 1

CHARGE_COLUMNS = (
    *("account_id", "started_at", "call_no", "customer_id"),
    *("amount_units", "price_per_minute_e8", "billed_s"),
)
_CHARGE_WIDTHS = (8, 8, 8, 8, 8, 8, 4)
_PRICE = CHARGE_COLUMNS.index("price_per_minute_e8")
_CALL_NUMBERS = ("account_id", "started_at", "call_no", "duration_s", "billed_s", "charged_units", "overdrawn")
_CALL_WIDTHS = (8, 8, 8, 4, 4, 8, 1)
_CALL_TEXTS = ("call_id", "number", "caller_number", "unrated_reason")
# Of many calls to the same places.
_CALL_TEXTS_ALIKE = ("prefix", "destination", "status")
CALL_COLUMNS = (*_CALL_NUMBERS, *_CALL_TEXTS, *_CALL_TEXTS_ALIKE)
# To PostgreSQL an instant is microseconds since the year 2000, and a day is days since then.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_DAY = 24 * 3600 * 10**6
_NO_PRICE = -1


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
    """What is to be added to the usage of accounts on UTC days: parallel columns. A day is days since 2000-01-01."""

    account_ids: Sequence[int]
    days: Sequence[int]
    calls: Sequence[int]
    durations_s: Sequence[int]
    charged_units: Sequence[int]


class UsageOfDays(NamedTuple):
    """Usage of each account on the latest of these days that it has any; and what is of days before that.

    Both in ascending order of accounts, and then of days.
    """

    latest: UsageColumns
    earlier: UsageColumns


class KeyColumns(NamedTuple):
    """What is kept of each call's ``callId``: parallel columns. A start is microseconds since 2000-01-01."""

    call_ids: Sequence[str]
    account_ids: Sequence[int]
    started_us: Sequence[int]
    call_nos: Sequence[int]


class CallRows(NamedTuple):
    """What is to be written of ``calls``.

    ``charges`` is the content of a binary COPY of `CHARGE_COLUMNS`; ``totals`` is what each account pays for all of
    it, in ascending id, as in ``usage.latest``.
    """

    calls: Sequence[BookedCall]
    keys: KeyColumns
    charges: bytes
    usage: UsageOfDays
    totals: Mapping[int, int]

    def balance_changes(self) -> dict[int, int]:
        """What is to be added to the balance of each account."""
        return {account_id: -units for account_id, units in self.totals.items()}


NO_USAGE = UsageOfDays(UsageColumns((), (), (), (), ()), UsageColumns((), (), (), (), ()))
_NOTHING = CallRows((), KeyColumns((), (), (), ()), binary_copy.BEGIN + binary_copy.END, NO_USAGE, {})


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


def totals_of(levels: Levels) -> dict[int, int]:
    """What each account pays for all of it, in ascending id. Raises: OverflowError, as `call_rows` does."""
    _refuse_sums_beyond_64_bits(levels)
    account_ids, account_of_level = np.unique(levels.account_ids, return_inverse=True)
    totals = np.zeros(len(account_ids), np.int64)
    np.add.at(totals, account_of_level, levels.units)
    return dict(zip(account_ids.tolist(), totals.tolist(), strict=True))


def call_rows(calls: Sequence[BookedCall], levels: Levels) -> CallRows:
    """The rows of these calls.

    Raises: OverflowError: what an account pays for all of them may have more than 64 bits; fewer calls at a time fit.
    """
    if not calls:
        return _NOTHING
    _refuse_sums_beyond_64_bits(levels)
    given = columns_of(calls)
    keys = KeyColumns(
        given.call_id,
        given.account_id,
        [(started_at - _EPOCH) // _MICROSECOND for started_at in given.started_at],
        given.call_no,
    )
    customer_ids, started_us, call_nos = map(int64s, (keys.account_ids, keys.started_us, keys.call_nos))
    days = started_us // _MICROSECONDS_PER_DAY
    call_of_level = np.repeat(np.arange(len(calls)), levels.depths)
    by_account_and_day = np.lexsort((days[call_of_level], levels.account_ids))
    call_of_row = call_of_level[by_account_and_day]
    account_ids, units = levels.account_ids[by_account_and_day], levels.units[by_account_and_day]
    charges = _charges(
        account_ids,
        started_us[call_of_row],
        call_nos[call_of_row],
        customer_ids[call_of_row],
        units,
        levels.prices_e8[by_account_and_day],
        levels.billed_s[by_account_and_day],
    )
    usage, totals = _usage_and_totals(account_ids, days[call_of_row], int64s(given.duration_s)[call_of_row], units)
    return CallRows(calls, keys, charges, usage, totals)


def _refuse_sums_beyond_64_bits(levels: Levels) -> None:
    if len(levels.depths) * max(int(levels.units.max()), 1) > INT64_MAX:
        raise OverflowError("the sum of these charges may not fit")


def copied_calls(rows: CallRows) -> bytes:
    """The content of a binary COPY of `CALL_COLUMNS`."""
    given = columns_of(rows.calls)._replace(started_at=rows.keys.started_us)
    numbers = binary_copy.number_rows(
        [int64s(getattr(given, name)) for name in _CALL_NUMBERS],
        _CALL_WIDTHS,
        texts=len(_CALL_TEXTS) + len(_CALL_TEXTS_ALIKE),
    )
    packed = binary_copy.with_texts(
        numbers,
        [getattr(given, name) for name in _CALL_TEXTS],
        [getattr(given, name) for name in _CALL_TEXTS_ALIKE],
    )
    return b"".join((binary_copy.BEGIN, packed, binary_copy.END))


def _charges(*columns: Int64s) -> bytes:
    """The content of a binary COPY of `CHARGE_COLUMNS`; those without a price come last."""
    priced = columns[_PRICE] != _NO_PRICE
    packed = [binary_copy.BEGIN]
    for chosen, has_price in ((priced, True), (~priced, False)):
        if chosen.any():
            taken = [column[chosen] if has_price or number != _PRICE else None for number, column in enumerate(columns)]
            packed.append(binary_copy.number_rows(taken, _CHARGE_WIDTHS).tobytes())
    packed.append(binary_copy.END)
    return b"".join(packed)


def _usage_and_totals(
    account_ids: Int64s, days: Int64s, durations_s: Int64s, units: Int64s
) -> tuple[UsageOfDays, dict[int, int]]:
    """Of rows in the order of account and day: one sum for each."""
    begins = np.flatnonzero(np.diff(account_ids, prepend=-1) | np.diff(days, prepend=-1))
    columns = (
        account_ids[begins],
        days[begins],
        np.diff(begins, append=len(account_ids)),
        np.add.reduceat(durations_s, begins),
        np.add.reduceat(units, begins),
    )
    is_latest = np.diff(columns[0], append=-1) != 0
    usage = UsageOfDays(
        *(UsageColumns(*(column[chosen].tolist() for column in columns)) for chosen in (is_latest, ~is_latest))
    )
    accounts_begin = np.flatnonzero(np.diff(columns[0], prepend=-1))
    totals = np.add.reduceat(columns[4], accounts_begin)
    return usage, dict(zip(usage.latest.account_ids, totals.tolist(), strict=True))
