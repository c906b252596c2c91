"""What rerating makes of one booked call: its charges at the prices of now. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from billing.call_adjustments import Adjustment, ChargedCall
from billing.charge_order import CallStatus, ChargeOrder, ChargePolicy
from billing.rated_order import booked_call, rated_at
from billing.rating import Price
from billing.standing import Standing


class Finding(StrEnum):
    """What rerating finds a call to be.

    RIGHT: every level pays what it should; CHANGED: a level should pay another amount; NEWLY_RATED: an unrated call
    that has a price now; STILL_UNRATED; WITHOUT_RATE: a charged call that has no rate on some level any more, which
    is left as it is, since it was carried at a price that held.
    """

    RIGHT = "RIGHT"
    CHANGED = "CHANGED"
    NEWLY_RATED = "NEWLY_RATED"
    STILL_UNRATED = "STILL_UNRATED"
    WITHOUT_RATE = "WITHOUT_RATE"


class Rerated(NamedTuple):
    """A finding, and the change where there is one."""

    finding: Finding
    adjustment: Adjustment | None


def is_rerated(status: str) -> bool:
    """Whether calls of this status are looked at: nobody pays for a refunded call or one that was never answered."""
    return status in (CallStatus.CHARGED, CallStatus.UNRATED)


def rerate(charged: ChargedCall, prices: list[Price | None], standing: Mapping[int, Standing] | None = None) -> Rerated:
    """Compare what each level pays with what it should pay at these prices, one a level, operator first.

    With ``standing`` the levels are made to pay there, and a call becomes ``overdrawn`` where one that has to pay
    more cannot. Amounts alone are compared: a price that comes to the same amount changes nothing.
    """
    call = charged.call
    order = ChargeOrder(
        call.call_id,
        charged.path,
        call.number,
        call.caller_number,
        call.started_at,
        call.duration_s,
        ChargePolicy.ALWAYS_CHARGE,
    )
    was_unrated = call.status == CallStatus.UNRATED
    rated = rated_at(order, prices)
    if rated.unpriced_level is not None:
        return Rerated(Finding.STILL_UNRATED if was_unrated else Finding.WITHOUT_RATE, None)
    if not was_unrated and tuple(rated.amounts) == charged.amounts:
        return Rerated(Finding.RIGHT, None)
    more = [new - old for old, new in zip(charged.amounts, rated.amounts, strict=True)]
    overdrawn = standing is not None and _pay(charged.path, more, standing)
    after = ChargedCall(
        booked_call(rated, call.call_no, overdrawn=call.overdrawn or overdrawn),
        charged.path,
        tuple(rated.amounts),
        tuple(rated.prices_e8()),
        tuple(rated.billed_s),
    )
    return Rerated(Finding.NEWLY_RATED if was_unrated else Finding.CHANGED, Adjustment(charged, after))


def _pay(path: Sequence[int], more: Sequence[int], standing: Mapping[int, Standing]) -> bool:
    """Take each level's difference, below zero if need be; whether somebody could not pay it."""
    short = any(units > 0 and not standing[level].can_pay(units) for level, units in zip(path, more, strict=True))
    for level, units in zip(path, more, strict=True):
        standing[level].pay(units)
    return short
