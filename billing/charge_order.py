"""What is asked of charging, and what it answers."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from billing.errors import InvalidCall, Refusal
from billing.phone_number import parse_number

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


def check_call_id(call_id: str) -> None:
    """Raises: InvalidCall."""
    if not 0 < len(call_id) <= CALL_ID_LENGTH_MAX or not call_id.isprintable():
        raise InvalidCall(
            f"A callId is 1 to {CALL_ID_LENGTH_MAX} printable characters, unique for ever.", path=("callId",)
        )


def check_duration(duration_s: int, *, field: str = "durationSeconds") -> None:
    """Raises: InvalidCall."""
    if not 0 <= duration_s <= DURATION_S_MAX:
        raise InvalidCall(f"A call lasts 0 to {DURATION_S_MAX} seconds, not {duration_s}.", path=(field,))


def check_started_at(started_at: datetime, now: datetime, *, field: str = "startedAt") -> None:
    """Raises: InvalidCall."""
    if not _STARTED_AT_MIN <= started_at <= now + _STARTED_AHEAD_MAX:
        raise InvalidCall("A call starts in this century, and not in the future.", path=(field,))


def check_caller_number(caller_number: str | None) -> None:
    """Raises: InvalidCall."""
    if caller_number is not None and (len(caller_number) > CALL_ID_LENGTH_MAX or not caller_number.isprintable()):
        raise InvalidCall(
            f"A callerNumber is at most {CALL_ID_LENGTH_MAX} printable characters.", path=("callerNumber",)
        )
