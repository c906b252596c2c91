"""The rows that booked calls come to, made ready before any lock is held. Pure.

Each call has a charge on every level of its path, so charges are packed here as PostgreSQL's binary COPY takes them:
half the work of handing columns of numbers to the driver, and less for the server than an INSERT. The rows of one
account lie together, as they do in the index.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from struct import Struct
from typing import NamedTuple

from billing.charge_order import BookedCall
from billing.rated_order import RatedOrder

# "COPY", "Binary Format" in PostgreSQL's documentation: a row is the number of its columns, then each column as its
# length in bytes (-1: null) and its value, big-endian; an instant is microseconds since the year 2000.
CHARGE_COLUMNS = (
    *("account_id", "started_at", "call_no", "customer_id"),
    *("amount_units", "price_per_minute_e8", "billed_s"),
)
_ACCOUNT = Struct(">hiq").pack
_CALL = Struct(">iqiqiq").pack
_AMOUNTS = Struct(">iqiqii").pack
_AMOUNTS_WITHOUT_PRICE = Struct(">iqiii").pack
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UsageRow(NamedTuple):
    """What is to be added to the usage of an account on one UTC day."""

    account_id: int
    day: date
    calls: int
    duration_s: int
    charged_units: int


class CallRows(NamedTuple):
    """What is to be written of ``calls``.

    ``charges`` is the content of a binary COPY of `CHARGE_COLUMNS`; ``totals`` is what each account pays for all of it.
    """

    calls: Sequence[BookedCall]
    charges: bytes
    usage: Sequence[UsageRow]
    totals: Mapping[int, int]

    def balance_changes(self) -> dict[int, int]:
        """What is to be added to the balance of each account."""
        return {account_id: -units for account_id, units in self.totals.items()}


class RowMaker:
    """Makes the rows of calls, one call after the other."""

    def __init__(self) -> None:
        self._calls: list[BookedCall] = []
        # By day and account: calls, talked seconds, charged units, and the charges without the account.
        self._days: dict[date, dict[int, tuple[list[int], list[bytes]]]] = {}

    def add(self, call: BookedCall, rated: RatedOrder) -> None:
        """One more call; ``rated`` is its order."""
        self._calls.append(call)
        started_at, duration_s = call.started_at, call.duration_s
        accounts = self._days.setdefault(started_at.astimezone(UTC).date(), {})
        call_columns = _CALL(8, (started_at - _EPOCH) // _MICROSECOND, 8, call.call_no, 8, call.account_id)
        for account_id, units, price_e8, billed_s in zip(
            rated.order.path, rated.amounts, rated.prices_e8(), rated.billed_s, strict=True
        ):
            if price_e8 is None:
                amounts = _AMOUNTS_WITHOUT_PRICE(8, units, -1, 4, billed_s)
            else:
                amounts = _AMOUNTS(8, units, 8, price_e8, 4, billed_s)
            account = accounts.get(account_id)
            if account is None:
                accounts[account_id] = [1, duration_s, units], [b"", call_columns + amounts]
            else:
                used, charges = account
                used[0] += 1
                used[1] += duration_s
                used[2] += units
                charges.append(call_columns + amounts)

    def rows(self) -> CallRows:
        """The rows of all calls that were added."""
        packed = [_BEGIN]
        usage = []
        totals: dict[int, int] = {}
        for day, accounts in self._days.items():
            for account_id, (used, charges) in sorted(accounts.items()):
                packed.append(_ACCOUNT(len(CHARGE_COLUMNS), 8, account_id).join(charges))
                usage.append(UsageRow(account_id, day, *used))
                totals[account_id] = totals.get(account_id, 0) + used[2]
        packed.append(_END)
        return CallRows(self._calls, b"".join(packed), usage, totals)
