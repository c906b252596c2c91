"""What a switch asks while a call runs, and what it is answered: authorise, extend, settle, release.

A *hold* sets aside, on every account of a call's path, what the call costs up to some second. It covers
``granted_s`` seconds from the start of the call; each extension adds a slice. It ends when the call is settled or
released, and gives its money free by itself at ``expires_at``.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class HoldRules:
    """The installation's settings for holds, in whole seconds."""

    slice_s: int = 60
    ttl_s: int = 120
    call_duration_max_s: int = 4 * 3600

    @property
    def ask_again_after_s(self) -> int:
        """When to ask for the next slice: before this one ends, with a quarter of it left for the answer."""
        return self.slice_s - self.slice_s // 4


DEFAULT_HOLD_RULES = HoldRules()


@dataclass(frozen=True, slots=True)
class AuthorizeOrder:
    """May this call start? ``path`` is operator to customer; ``number`` E.164 digits; rates are those of ``at``.

    ``authorizer_id`` is the account on the path whose switch asks: it, and those above it, may extend and end the
    call; None leaves that to every account on the path.
    """

    call_id: str
    path: tuple[int, ...]
    number: str
    caller_number: str | None
    at: datetime | None
    authorizer_id: int | None = None


@dataclass(frozen=True, slots=True)
class ExtendOrder:
    """The next slice of a running call. ``sequence`` counts extensions from 1; the same one again changes nothing."""

    call_id: str
    sequence: int
    talked_s: int | None
    reporter_id: int


@dataclass(frozen=True, slots=True)
class SettleOrder:
    """The call has ended. ``released``: it was never answered. ``reporter_id`` is the account whose switch says so."""

    call_id: str
    duration_s: int
    started_at: datetime | None
    reporter_id: int
    released: bool = False


@dataclass(slots=True)
class Hold:
    """A call that may be running. ``held_units`` is per level, operator first, all zero once it has expired."""

    call_id: str
    path: tuple[int, ...]
    number: str
    caller_number: str | None
    at: datetime
    sequence: int
    granted_s: int
    max_duration_s: int
    held_units: tuple[int, ...]
    expires_at: datetime | None
    authorizer_id: int

    def may_be_told_by(self, account_id: int) -> bool:
        """Whether this account may extend and end the call: the one whose switch authorised it, or one above that.

        An account below it would pay less if it could end the call before its time.
        """
        return account_id in self.path[: self.path.index(self.authorizer_id) + 1]


class EarlyEnd(NamedTuple):
    """An end that came before its authorisation: kept until one arrives whose path has the reporter on it."""

    call_id: str
    reporter_id: int
    duration_s: int
    started_at: datetime | None
    released: bool


class Authorization(NamedTuple):
    """The answer to a switch.

    ``max_duration_s`` is the longest the call may last, from its start, as far as all levels can pay now;
    ``held_s`` what is set aside of it so far. The hold frees itself at ``held_until``; ``ask_again_at`` is well
    before the held seconds are over, None when there is nothing more to ask for. All zero: the call has ended
    before its authorisation arrived.
    """

    call_id: str
    account_id: int
    max_duration_s: int
    held_s: int
    held_until: datetime
    ask_again_at: datetime | None
    price_per_minute_e8: int
    destination: str | None
    duplicate: bool


class EndPending(NamedTuple):
    """The end is noted; the call is booked when its authorisation arrives."""

    call_id: str
