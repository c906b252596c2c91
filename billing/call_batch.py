"""The books of one batch, in memory: orders are taken in their sequence, each finds what those before it left.

Pure: the caller has locked every account on every path, read what is kept of every ``callId``, and writes the outcome.
Blocking and credit are looked at when a call wants to start; what runs already goes on and is charged, whatever it
finds.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from billing.call_limits import LimitsByAccount, start_refusal
from billing.charge_order import Booked, BookedCall, CallStatus, ChargeOrder, ChargePolicy, Outcome
from billing.errors import (
    CallEnded,
    IdempotencyConflict,
    NotAllowed,
    NotFound,
    Refusal,
)
from billing.hold_order import (
    Authorization,
    AuthorizeOrder,
    EarlyEnd,
    EndPending,
    ExtendOrder,
    Hold,
    HoldRules,
    SettleOrder,
)
from billing.longest_call import longest_s, why_no_longer
from billing.rated_order import RatedOrder, booked_call, rated_at
from billing.rating import Price, charge
from billing.standing import Standing, blocked_refusal, first_short, refusal_to_start, unpriced_refusal

PricesOf = Callable[[tuple[int, ...], str, datetime], list[Price | None]]


@dataclass(slots=True)
class CallBatch:
    """``booked``, ``holds`` and ``early_ends`` are what is kept of the orders' ``callId``s; they change as it goes.

    ``early_ends`` are by the account that reported them. ``limits`` has an entry for each account on the paths that
    has limits; ``prices_of`` answers each level's price for a path, a number and an instant. Afterwards ``new_calls``
    are to be written with their charges, ``held_changes`` to be added to the held amounts, and every ``callId`` in
    ``touched`` has a new hold or early end, or is booked and has neither any more.
    """

    now: datetime
    rules: HoldRules
    prices_of: PricesOf
    call_numbers: Iterator[int]
    standing: dict[int, Standing]
    booked: dict[str, BookedCall]
    holds: dict[str, Hold]
    early_ends: dict[str, dict[int, EarlyEnd]]
    limits: LimitsByAccount = field(default_factory=dict)
    new_calls: list[tuple[BookedCall, RatedOrder]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    held_changes: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def charge(self, order: ChargeOrder) -> Outcome:
        """A finished call. If it was held, it is settled by this, whatever the policy."""
        booked = self.booked.get(order.call_id)
        if booked is not None:
            return repeat_of(order, booked)
        hold = self.holds.get(order.call_id)
        if hold is not None:
            if (hold.path, hold.number) != (order.path, order.number):
                return other_content()
            if order.reporter_id is not None and not hold.may_be_told_by(order.reporter_id):
                return _of_another_switch()
            self._end(hold)
        rated = rated_at(order, self.prices_of(order.path, order.number, order.started_at))
        if order.policy is ChargePolicy.CHECK_CREDIT and hold is None:
            refusal = refusal_to_start(rated, self.standing)
            if refusal is not None:
                return refusal
        return Booked(self._book(rated), duplicate=False)

    def authorize(self, order: AuthorizeOrder) -> Authorization | Refusal:
        """Hold a first slice of a call that wants to start."""
        if (booked := self.booked.get(order.call_id)) is not None:
            return CallEnded(booked.account_id)
        hold = self.holds.get(order.call_id)
        if hold is not None:
            same = (hold.path, hold.number, hold.caller_number) == (order.path, order.number, order.caller_number)
            if not same or order.at not in (None, hold.at):
                return other_content()
            self._heed(hold, order)
            if hold.expires_at is not None:
                return self._answer(hold, self._customer_price(hold), duplicate=True)
        at = hold.at if hold is not None else order.at or self.now
        ends = self.early_ends.get(order.call_id, {})
        authorizer_id = hold.authorizer_id if hold is not None else order.authorizer_id or order.path[-1]
        # Of several ends, that of the account highest up counts: then it does not matter which came first.
        may_end = order.path[: order.path.index(authorizer_id) + 1]
        end = next((ends[account_id] for account_id in may_end if account_id in ends), None)
        if end is not None:
            return self._carry_out(end, order, at)
        prices = self.prices_of(order.path, order.number, at)
        refusal = (
            blocked_refusal(order.path, self.standing)
            or unpriced_refusal(order.path, prices, order.number)
            or start_refusal(order.path, order.number, prices, self.limits)
        )
        if refusal is not None:
            return refusal
        if hold is None:
            nothing = (0,) * len(order.path)
            hold = Hold(
                order.call_id, order.path, order.number, order.caller_number, at, 0, 0, 0, nothing, None, authorizer_id
            )
        first_s = max(price.first_increment_s for price in prices if price is not None)
        refusal = self._grant(hold, prices, max(hold.granted_s, self.rules.slice_s, first_s))
        if refusal is not None:
            return refusal
        self.holds[order.call_id] = hold
        return self._answer(hold, prices[-1])

    def extend(self, order: ExtendOrder) -> Authorization | Refusal:
        """Hold the next slice of a running call; what is held stays if there is nothing more."""
        if (booked := self.booked.get(order.call_id)) is not None:
            return CallEnded(booked.account_id)
        hold = self.holds.get(order.call_id)
        if hold is None or order.reporter_id not in hold.path:
            return NotFound("There is no such call.", path=("callId",))
        if not hold.may_be_told_by(order.reporter_id):
            return _of_another_switch()
        is_repeat = order.sequence <= hold.sequence
        if is_repeat and hold.expires_at is not None:
            return self._answer(hold, self._customer_price(hold), duplicate=True)
        # A repeat of what has expired gets that back, and no more.
        wanted_s = hold.granted_s if is_repeat else max(hold.granted_s, order.talked_s or 0) + self.rules.slice_s
        prices = self.prices_of(hold.path, hold.number, hold.at)
        refusal = unpriced_refusal(hold.path, prices, hold.number) or self._grant(hold, prices, wanted_s)
        if refusal is not None:
            return refusal
        hold.sequence = max(hold.sequence, order.sequence)
        return self._answer(hold, prices[-1])

    def settle(self, order: SettleOrder) -> Booked | EndPending | Refusal:
        """Charge the talked time of a call that was authorised, below zero if need be, and free its hold."""
        booked = self.booked.get(order.call_id)
        if booked is not None:
            same = booked.duration_s == order.duration_s and order.started_at in (None, booked.started_at)
            return Booked(booked, duplicate=True) if same else other_content(booked.account_id)
        hold = self.holds.get(order.call_id)
        if hold is None:
            return self._note_early_end(order)
        if order.reporter_id not in hold.path:
            return NotFound("There is no such call.", path=("callId",))
        if not hold.may_be_told_by(order.reporter_id):
            return _of_another_switch()
        self._end(hold)
        call = self._book_ended(
            ChargeOrder(
                hold.call_id,
                hold.path,
                hold.number,
                hold.caller_number,
                order.started_at or hold.at,
                order.duration_s,
                ChargePolicy.ALWAYS_CHARGE,
            ),
            released=order.released,
        )
        return Booked(call, duplicate=False)

    def expire(self) -> None:
        """Free what is held for calls whose time is over; a settle that comes later is still charged."""
        for hold in self.holds.values():
            if hold.expires_at is not None and hold.expires_at <= self.now:
                self._free(hold)

    def _grant(self, hold: Hold, prices: Sequence[Price | None], wanted_s: int) -> Refusal | None:
        """Hold up to ``wanted_s`` seconds from the call's start, or as much as every level can pay and may spend."""
        priced = [price for price in prices if price is not None]
        cap_s = self.rules.call_duration_max_s
        max_duration_s = longest_s(hold, priced, self.standing, self.limits, cap_s)
        granted_s = min(wanted_s, max_duration_s)
        # An expired hold holds nothing, so getting back what it had is something.
        if granted_s <= (hold.granted_s if hold.expires_at is not None else 0):
            return why_no_longer(hold, priced, self.standing, self.limits, cap_s)
        if hold.expires_at is None:
            self._count_running(hold, 1)
        self._set_held(hold, tuple([charge(price, granted_s)[1] for price in priced]))
        hold.granted_s, hold.max_duration_s = granted_s, max_duration_s
        hold.expires_at = self.now + timedelta(seconds=self.rules.ttl_s)
        return None

    def _heed(self, hold: Hold, order: AuthorizeOrder) -> None:
        """Of several switches that authorise a call, the one highest up decides who may end it."""
        asking_id = order.authorizer_id or order.path[-1]
        if hold.path.index(asking_id) < hold.path.index(hold.authorizer_id):
            hold.authorizer_id = asking_id
            self.touched.add(hold.call_id)

    def _set_held(self, hold: Hold, held_units: tuple[int, ...]) -> None:
        for account_id, old, new in zip(hold.path, hold.held_units, held_units, strict=True):
            self.standing[account_id].pay(new - old)
            self.held_changes[account_id] += new - old
            if account_id in self.limits:
                self.limits[account_id].spent_today_units += new - old
        hold.held_units = held_units
        self.touched.add(hold.call_id)

    def _free(self, hold: Hold) -> None:
        self._set_held(hold, (0,) * len(hold.path))
        if hold.expires_at is not None:
            self._count_running(hold, -1)
            hold.expires_at = None

    def _count_running(self, hold: Hold, count: int) -> None:
        for account_id in hold.path:
            if account_id in self.limits:
                self.limits[account_id].running_calls += count

    def _end(self, hold: Hold) -> None:
        self._free(hold)
        del self.holds[hold.call_id]

    def _customer_price(self, hold: Hold) -> Price | None:
        return self.prices_of(hold.path, hold.number, hold.at)[-1]

    def _answer(self, hold: Hold, price: Price | None, *, duplicate: bool = False) -> Authorization:
        assert hold.expires_at is not None
        granted_at = hold.expires_at - timedelta(seconds=self.rules.ttl_s)
        more = hold.granted_s < hold.max_duration_s
        return Authorization(
            hold.call_id,
            hold.path[-1],
            hold.max_duration_s,
            hold.granted_s,
            hold.expires_at,
            granted_at + timedelta(seconds=self.rules.ask_again_after_s) if more else None,
            0 if price is None else price.price_per_minute_e8,
            None if price is None else price.destination,
            duplicate,
        )

    def _note_early_end(self, order: SettleOrder) -> EndPending | Refusal:
        early = EarlyEnd(order.call_id, order.reporter_id, order.duration_s, order.started_at, order.released)
        # Whose call it is will only be known later, so nobody's end stands in the way of another's.
        if self.early_ends.setdefault(order.call_id, {}).setdefault(order.reporter_id, early) != early:
            return other_content()
        self.touched.add(order.call_id)
        return EndPending(order.call_id)

    def _carry_out(self, early: EarlyEnd, order: AuthorizeOrder, at: datetime) -> Authorization:
        ended = ChargeOrder(
            order.call_id,
            order.path,
            order.number,
            order.caller_number,
            early.started_at or at,
            early.duration_s,
            ChargePolicy.ALWAYS_CHARGE,
        )
        call = self._book_ended(ended, released=early.released)
        return Authorization(order.call_id, order.path[-1], 0, 0, self.now, None, 0, call.destination, False)

    def _book_ended(self, order: ChargeOrder, *, released: bool) -> BookedCall:
        rated = rated_at(order, self.prices_of(order.path, order.number, order.started_at))
        return self._book(rated, CallStatus.RELEASED if released else None)

    def _book(self, rated: RatedOrder, status: CallStatus | None = None) -> BookedCall:
        overdrawn = first_short(rated, self.standing) is not None
        is_of_today = rated.order.started_at.astimezone(UTC).date() == self.now.astimezone(UTC).date()
        for account_id, units in zip(rated.order.path, rated.amounts, strict=True):
            self.standing[account_id].pay(units)
            if is_of_today and account_id in self.limits:
                self.limits[account_id].spent_today_units += units
        call = booked_call(rated, next(self.call_numbers), overdrawn=overdrawn, status=status)
        self.booked[call.call_id] = call
        if self.early_ends.pop(call.call_id, None) is not None:
            self.touched.add(call.call_id)
        self.new_calls.append((call, rated))
        return call


def _of_another_switch() -> Refusal:
    return NotAllowed(
        "Only the account whose switch authorised this call, or one above it, may say so.", path=("callId",)
    )


def other_content(caller_id: int | None = None) -> Refusal:
    """The refusal of a ``callId`` that stands for another call."""
    message = "This callId was used before with other content."
    return IdempotencyConflict(message, path=("callId",), caller_id=caller_id)


def repeat_of(order: ChargeOrder, call: BookedCall) -> Outcome:
    """The answer to a finished call whose ``callId`` is booked already."""
    same = (
        order.path[-1] == call.account_id
        and order.number == call.number
        and order.caller_number == call.caller_number
        and order.started_at == call.started_at
        and order.duration_s == call.duration_s
    )
    return Booked(call, duplicate=True) if same else other_content()
