"""What is asked of charging, and what it answers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import repeat
from typing import NamedTuple

from billing.columns import rows_of
from billing.errors import InvalidCall, Refusal
from billing.phone_number import are_plain_digits, parse_number

# A week: no switch keeps a call longer, and with the highest price the charge still fits an amount.
DURATION_S_MAX = 7 * 24 * 3600
CALL_ID_LENGTH_MAX = 200

_STARTED_AT_MIN = datetime(2000, 1, 1, tzinfo=UTC)
# Clocks of switches run ahead; more than a day is a mistake.
_STARTED_AHEAD_MAX = timedelta(days=1)


class ChargePolicy(StrEnum):
    """CHECK_CREDIT treats a finished call as a new one; ALWAYS_CHARGE is for calls that were carried already."""

    CHECK_CREDIT = "CHECK_CREDIT"
    ALWAYS_CHARGE = "ALWAYS_CHARGE"


class CallStatus(StrEnum):
    """CHARGED on every level; UNRATED: kept without a charge until it is rerated; RELEASED: never answered; REFUNDED:
    it was charged, and everything was given back.
    """

    CHARGED = "CHARGED"
    UNRATED = "UNRATED"
    RELEASED = "RELEASED"
    REFUNDED = "REFUNDED"


class ChargeOrder(NamedTuple):
    """One finished call to charge. ``path`` is operator to customer; ``number`` E.164 digits.

    ``reporter_id`` is the account whose switch reports it; None for the operator's own records.
    """

    call_id: str
    path: tuple[int, ...]
    number: str
    caller_number: str | None
    started_at: datetime
    duration_s: int
    policy: ChargePolicy
    reporter_id: int | None = None


class BookedCall(NamedTuple):
    """A call as it stands in the books; the fields are the columns of `models.call.Call`."""

    account_id: int
    started_at: datetime
    call_no: int
    call_id: str
    number: str
    caller_number: str | None
    prefix: str | None
    destination: str | None
    duration_s: int
    billed_s: int
    charged_units: int
    status: str
    unrated_reason: str | None
    overdrawn: bool


class Booked(NamedTuple):
    """A call that is in the books; ``duplicate`` if it was there before this order."""

    call: BookedCall
    duplicate: bool


Outcome = Booked | Refusal


def parse_order(
    *,
    call_id: str,
    path: tuple[int, ...],
    number: str,
    caller_number: str | None,
    started_at: datetime,
    duration_s: int,
    policy: ChargePolicy,
    now: datetime,
    reporter_id: int | None = None,
) -> ChargeOrder:
    """A checked order: the number as E.164 digits, the start in UTC.

    The caller's number is information only and kept as it came, whatever its form.

    Raises:
        InvalidNumber: ``number`` is no E.164 number.
        InvalidCall: an empty or overlong ``call_id``, a start before 2000 or more than a day ahead of ``now``, a
            duration below 0 or above a week.
    """
    check_call_id(call_id)
    check_duration(duration_s)
    check_started_at(started_at, now)
    check_caller_number(caller_number)
    return ChargeOrder(call_id, path, parse_number(number), caller_number, started_at, duration_s, policy, reporter_id)


def parse_orders(
    *,
    call_ids: Sequence[str],
    paths: Sequence[tuple[int, ...]],
    numbers: Sequence[str],
    caller_numbers: Sequence[str | None],
    started_at: Sequence[datetime],
    durations_s: Sequence[int],
    policy: ChargePolicy,
    now: datetime,
    reporter_id: int | None = None,
) -> list[ChargeOrder] | None:
    """`parse_order` of many calls, given as columns, in one go.

    None if one of them may be refused, or its number is not plain digits: then each is for `parse_order`.
    """
    if not (
        _are_call_ids(call_ids)
        and _are_durations(durations_s)
        and _are_starts(started_at, now)
        and _are_caller_numbers([text for text in caller_numbers if text is not None])
        and are_plain_digits(numbers)
    ):
        return None
    return rows_of(
        ChargeOrder,
        *(call_ids, paths, numbers, caller_numbers, started_at, durations_s),
        *(repeat(policy), repeat(reporter_id)),
    )


def _are_call_ids(texts: Sequence[str]) -> bool:
    lengths = [*map(len, texts)]
    return min(lengths) > 0 and max(lengths) <= CALL_ID_LENGTH_MAX and "".join(texts).isprintable()


def _are_durations(durations_s: Sequence[int]) -> bool:
    return min(durations_s) >= 0 and max(durations_s) <= DURATION_S_MAX


def _are_starts(instants: Sequence[datetime], now: datetime) -> bool:
    return min(instants) >= _STARTED_AT_MIN and max(instants) <= now + _STARTED_AHEAD_MAX


def _are_caller_numbers(texts: Sequence[str]) -> bool:
    return max(map(len, texts), default=0) <= CALL_ID_LENGTH_MAX and "".join(texts).isprintable()


def check_call_id(call_id: str) -> None:
    """Raises: InvalidCall."""
    if not _are_call_ids((call_id,)):
        raise InvalidCall(
            f"A callId is 1 to {CALL_ID_LENGTH_MAX} printable characters, unique for ever.", path=("callId",)
        )


def check_duration(duration_s: int, *, field: str = "durationSeconds") -> None:
    """Raises: InvalidCall."""
    if not _are_durations((duration_s,)):
        raise InvalidCall(f"A call lasts 0 to {DURATION_S_MAX} seconds, not {duration_s}.", path=(field,))


def check_started_at(started_at: datetime, now: datetime, *, field: str = "startedAt") -> None:
    """Raises: InvalidCall."""
    if not _are_starts((started_at,), now):
        raise InvalidCall("A call starts in the year 2000 or later, and at most a day from now.", path=(field,))


def check_caller_number(caller_number: str | None) -> None:
    """Raises: InvalidCall."""
    if caller_number is not None and not _are_caller_numbers((caller_number,)):
        raise InvalidCall(
            f"A callerNumber is at most {CALL_ID_LENGTH_MAX} printable characters.", path=("callerNumber",)
        )
