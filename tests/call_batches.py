"""Small pure batches: operator ▶ good ▶ keytyh, everything at 1.00 a minute unless said, orders one after the other."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from billing.call_batch import CallBatch
from billing.charge_order import Booked, ChargeOrder, ChargePolicy
from billing.errors import Refusal
from billing.hold_order import Authorization, AuthorizeOrder, ExtendOrder, HoldRules, SettleOrder
from billing.money import format_money, parse_money, parse_rate
from billing.rating import Price
from billing.standing import Standing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPERATOR, GOOD, KEYTYH, STRANGER = 1, 2, 3, 9
PATH = (OPERATOR, GOOD, KEYTYH)


def price(per_minute: str, fee: str = "0", first_s: int = 1, next_s: int = 1) -> Price:
    """A price of numbers that begin with 43."""
    return Price(parse_rate(per_minute), parse_rate(fee), first_s, next_s, "43", "Austria", False)


def a_batch(
    good: str = "100",
    keytyh: str = "10",
    prices: tuple[Price | None, ...] | None = None,
    rules: HoldRules | None = None,
    now: datetime = NOON,
    **kept: Any,
) -> CallBatch:
    """A batch that finds this credit and these prices, operator first; ``kept`` is what is kept of its callIds."""
    standing = {
        OPERATOR: Standing(False, None),
        GOOD: Standing(False, parse_money(good)),
        KEYTYH: Standing(False, parse_money(keytyh)),
    }
    levels = list(prices or [price("1")] * 3)
    found: dict[str, Any] = {"booked": {}, "holds": {}, "early_ends": {}, **kept}
    return CallBatch(
        now=now,
        rules=rules or HoldRules(),
        prices_of=lambda path, number, at: levels,
        call_numbers=count(1),
        standing=standing,
        **found,
    )


def next_batch(batch: CallBatch, after_s: int = 0, **settings: Any) -> CallBatch:
    """The one after it, so many seconds later, with the same accounts and what is kept."""
    following = a_batch(now=batch.now + timedelta(seconds=after_s), rules=batch.rules, **settings)
    following.standing = batch.standing
    following.booked, following.holds, following.early_ends = batch.booked, batch.holds, batch.early_ends
    following.expire()
    return following


def authorized(batch: CallBatch, call_id: str = "c-1", **changes: Any) -> Authorization:
    """The answer of an order that is not refused."""
    answer = batch.authorize(authorization(call_id, **changes))
    assert isinstance(answer, Authorization), answer
    return answer


def authorization(call_id: str = "c-1", *, number: str = "431234", at: datetime | None = None) -> AuthorizeOrder:
    """keytyh wants to call."""
    return AuthorizeOrder(call_id, PATH, number, None, at)


def extension(sequence: int, *, talked_s: int | None = None, by: int = GOOD) -> ExtendOrder:
    """The next slice."""
    return ExtendOrder("c-1", sequence, talked_s, by)


def extended(batch: CallBatch, sequence: int, *, talked_s: int | None = None) -> Authorization:
    """The answer of an extension that is not refused."""
    answer = batch.extend(extension(sequence, talked_s=talked_s))
    assert isinstance(answer, Authorization), answer
    return answer


def end(duration_s: int, *, by: int = GOOD, released: bool = False, started_at: datetime | None = None) -> SettleOrder:
    """The end of the call."""
    return SettleOrder("c-1", duration_s, started_at, by, released)


def finished(duration_s: int, call_id: str = "c-1", *, policy: ChargePolicy = ChargePolicy.CHECK_CREDIT) -> ChargeOrder:
    """The whole call, reported at its end."""
    return ChargeOrder(call_id, PATH, "431234", None, NOON, duration_s, policy)


def booked(answer: object) -> Booked:
    """The call of an order that booked it."""
    assert isinstance(answer, Booked), answer
    return answer


def refused(answer: object) -> tuple[str, int | None]:
    """Code and account of a refusal."""
    assert isinstance(answer, Refusal), answer
    return answer.code.value, answer.account_id


def available(batch: CallBatch) -> list[str]:
    """What good and keytyh have available."""
    left = [batch.standing[account_id].available_units for account_id in (GOOD, KEYTYH)]
    return [format_money(units) for units in left if units is not None]


def held(batch: CallBatch) -> Mapping[str, list[str]]:
    """What each hold holds, operator first."""
    return {call_id: [format_money(units) for units in hold.held_units] for call_id, hold in batch.holds.items()}
