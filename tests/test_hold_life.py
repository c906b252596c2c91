"""A hold's life against the naive ledger: any order of orders, batches, clock steps and credit, on the pure batch.

What a batch leaves behind is kept as the database would keep it: only what it says it has touched.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import count
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from billing.call_batch import CallBatch
from billing.charge_order import Booked, BookedCall, ChargeOrder, ChargePolicy
from billing.errors import Refusal
from billing.hold_order import (
    Authorization,
    AuthorizeOrder,
    EndPending,
    ExtendOrder,
    SettleOrder,
)
from billing.rated_order import RatedOrder
from billing.rating import Price
from billing.standing import Standing
from tests.hold_life_strategies import (
    CALL_IDS,
    amounts,
    any_call,
    at_level,
    callers,
    durations,
    held_call,
    instants,
    levels,
    new_call,
    numbers,
    rates,
    reporters,
    starts,
)
from tests.hold_life_world import (
    BEGUN,
    IDS,
    NAMES,
    NEW_PRICES,
    PATHS,
    RULES,
    Kept,
    PricedLedger,
    answer_of,
    price,
    units,
)
from tests.reference_holds import Authorized
from tests.reference_ledger import Account, Outcome, RateList

OneOrder = TypeVar("OneOrder", AuthorizeOrder, ExtendOrder, SettleOrder, ChargeOrder)


class HoldLife(RuleBasedStateMachine):
    """Twelve callIds, three callers on two branches, five reporters."""

    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = PricedLedger()
        self.kept = Kept()
        self.now = BEGUN
        self.call_numbers: Iterator[int] = count(1)

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """A tree with credit and limits, and a price, or none, for everybody."""
        for name, path in PATHS.items():
            if name != "operator":
                parent, limit = self.ledger.accounts[NAMES[path[-2]]], Fraction(data.draw(st.sampled_from([0, 0, 2])))
                self.ledger.accounts[name] = Account(parent, RateList(), limit, Fraction(data.draw(amounts), 10**5))
            for number in ("431", "432"):
                for is_new in (False, True):
                    priced = number == "431" or data.draw(st.integers(0, 4)) > 0
                    self.ledger.rates_of[name, number, is_new] = data.draw(rates()) if priced else None
            self.kept.balance[path[-1]] = units(self.ledger.accounts[name].balance)
            self.kept.held[path[-1]] = 0
        self.new_batch()

    # -- Batches ------------------------------------------------------------------------------------------------

    def new_batch(self) -> None:
        """Begin one with what is kept; it finds rows, not the objects of the batch before."""
        kept = deepcopy(self.kept)
        standing = {}
        for name, account_id in IDS.items():
            account = self.ledger.accounts[name]
            available = None
            if account.limit is not None:
                available = kept.balance[account_id] + units(account.limit) - kept.held[account_id]
            standing[account_id] = Standing(account.blocked, available)
        self.batch = CallBatch(
            now=self.now,
            rules=RULES,
            prices_of=self.prices_of,
            call_numbers=self.call_numbers,
            standing=standing,
            booked=kept.booked,
            holds=kept.holds,
            early_ends=kept.early_ends,
        )
        self.batch.expire()
        self.ledger.expire(self.now)

    def prices_of(self, path: tuple[int, ...], number: str, at: datetime) -> list[Price | None]:
        """What the batch asks the price book."""
        return [price(self.ledger.rates_of[NAMES[account_id], number, at >= NEW_PRICES]) for account_id in path]

    @rule(seconds=st.sampled_from([0, 1, 60, 119, 120, 120, 300]))
    def time_passes(self, seconds: int) -> None:
        """The batch is written; the next begins later."""
        self.kept.put(self.batch)
        self.now += timedelta(seconds=seconds)
        self.new_batch()

    @rule(name=st.sampled_from(["reseller", "lower", "customer", "other"]), change=st.integers(-1_000_000, 1_000_000))
    def credit_changes(self, name: str, change: int) -> None:
        """Between two batches; nobody can take more than is available."""
        self.kept.put(self.batch)
        if self.ledger.credit(name, Fraction(change, 10**5)) is None:
            self.kept.balance[IDS[name]] += change
        self.new_batch()

    @rule(name=st.sampled_from(["operator", "reseller", "lower", "customer", "other"]), odds=st.integers(0, 5))
    def somebody_is_blocked_or_not(self, name: str, odds: int) -> None:
        """Between two batches."""
        self.kept.put(self.batch)
        self.ledger.accounts[name].blocked = odds == 0
        self.new_batch()

    def unknown_calls(self) -> list[str]:
        """The callIds of which nothing has been heard."""
        batch = self.batch
        return sorted({*CALL_IDS} - batch.booked.keys() - batch.holds.keys() - batch.early_ends.keys())

    # -- Orders -------------------------------------------------------------------------------------------------

    @rule(target=orders, call_id=new_call, caller=callers, level=levels)
    def start(self, call_id: str, caller: str, level: int | None) -> AuthorizeOrder:
        path = PATHS[caller]
        return self.carried_out(AuthorizeOrder(call_id, path, "431", None, None, at_level(path, level)))

    @rule(target=orders, call_id=held_call, at=instants, level=levels)
    def start_again(self, call_id: str, at: datetime | None, level: int | None) -> AuthorizeOrder:
        hold = self.batch.holds.get(call_id)
        path, number = (PATHS["customer"], "431") if hold is None else (hold.path, hold.number)
        return self.carried_out(AuthorizeOrder(call_id, path, number, None, at, at_level(path, level)))

    @rule(
        target=orders,
        call_id=st.one_of(new_call, any_call),
        caller=callers,
        number=numbers,
        at=instants,
        level=levels,
    )
    def authorize(
        self, call_id: str, caller: str, number: str, at: datetime | None, level: int | None
    ) -> AuthorizeOrder:
        path = PATHS[caller]
        return self.carried_out(AuthorizeOrder(call_id, path, number, None, at, at_level(path, level)))

    @rule(
        target=orders,
        call_id=st.one_of(held_call, held_call, any_call),
        sequence=st.integers(1, 4),
        talked_s=st.sampled_from([None, None, 0, 60, 250, 580]),
        reporter=reporters,
    )
    def extend(self, call_id: str, sequence: int, talked_s: int | None, reporter: str) -> ExtendOrder:
        return self.carried_out(ExtendOrder(call_id, sequence, talked_s, IDS[reporter]))

    @rule(
        target=orders,
        call_id=st.one_of(held_call, any_call),
        duration_s=durations,
        started_at=instants,
        reporter=reporters,
    )
    def settle(self, call_id: str, duration_s: int, started_at: datetime | None, reporter: str) -> SettleOrder:
        return self.carried_out(SettleOrder(call_id, duration_s, started_at, IDS[reporter]))

    @rule(target=orders, call_id=st.one_of(held_call, any_call), reporter=reporters)
    def release(self, call_id: str, reporter: str) -> SettleOrder:
        return self.carried_out(SettleOrder(call_id, 0, None, IDS[reporter], released=True))

    @rule(
        target=orders,
        call_id=st.one_of(held_call, new_call, any_call),
        caller=callers,
        number=numbers,
        started_at=starts,
        duration_s=durations,
        policy=st.sampled_from(ChargePolicy),
        level=levels,
    )
    def charge(
        self,
        call_id: str,
        caller: str,
        number: str,
        started_at: datetime,
        duration_s: int,
        policy: ChargePolicy,
        level: int | None,
    ) -> ChargeOrder:
        path = PATHS[caller]
        order = ChargeOrder(call_id, path, number, None, started_at, duration_s, policy, at_level(path, level))
        return self.carried_out(order)

    @rule(order=orders)
    def the_same_again(self, order: Any) -> None:
        """Whatever was asked before, at any time, in this batch or another."""
        self.carried_out(order)

    def carried_out(self, order: OneOrder) -> OneOrder:
        """Let the batch and the ledger carry it out, and compare what they say and what they leave."""
        before, available_before = self.rows(), self.available()
        carry_out: dict[type, Callable[[Any], Any]] = {
            AuthorizeOrder: self.batch.authorize,
            ExtendOrder: self.batch.extend,
            SettleOrder: self.batch.settle,
            ChargeOrder: self.batch.charge,
        }
        answer = carry_out[type(order)](order)
        expected = answer_of(self.ledger, order, self.now)
        assert self.comparable(answer, expected) == expected
        if isinstance(answer, Refusal) or getattr(answer, "duplicate", False):
            assert self.rows() == before
        if isinstance(answer, Authorization) and answer.held_s:
            for account_id, available in self.available().items():
                assert available is None or available >= min(0, available_before[account_id] or 0)
        return order

    def comparable(self, answer: Any, expected: Authorized | Outcome) -> Authorized | Outcome:
        """The product's answer in the ledger's words."""
        if isinstance(expected, Authorized):
            if isinstance(answer, Authorization):
                code = "HELD" if answer.held_s else "ENDED"
                return Authorized(code, None, answer.held_s, answer.max_duration_s, answer.held_until, answer.duplicate)
            return Authorized(answer.code.value, answer.account_id and NAMES[answer.account_id])
        if isinstance(answer, EndPending):
            return Outcome("PENDING")
        if isinstance(answer, Booked):
            call = answer.call
            return Outcome(call.status, self.charged(call), call.overdrawn, answer.duplicate)
        return Outcome(answer.code.value)

    def charged(self, call: BookedCall) -> list[Fraction]:
        """What each level pays for a call: of this batch, as it is to be written; before it, as the ledger says."""
        new = {one.call_id: rated for one, rated in self.batch.new_calls}
        rated: RatedOrder | None = new.get(call.call_id)
        if rated is None:
            return self.ledger.booked[call.call_id][1].charged
        if call.status == "RELEASED" and rated.unpriced_level is not None:
            return []
        return [Fraction(amount, 10**5) for amount in rated.amounts]

    def rows(self) -> Any:
        """Everything that a repeat must leave alone; it may come from a switch that is higher up."""
        batch = self.batch
        holds = {call_id: replace(hold, authorizer_id=0) for call_id, hold in batch.holds.items()}
        return deepcopy((batch.standing, holds, batch.early_ends, batch.booked, dict(batch.held_changes)))

    def available(self) -> dict[int, int | None]:
        """What each account has available."""
        return {account_id: standing.available_units for account_id, standing in self.batch.standing.items()}

    # -- What always holds --------------------------------------------------------------------------------------

    @invariant()
    def every_account_stands_as_the_ledger_says(self) -> None:
        for name, account_id in IDS.items():
            account = self.ledger.accounts[name]
            held = self.kept.held[account_id] + self.batch.held_changes[account_id]
            on_holds = [
                hold.held_units[hold.path.index(account_id)]
                for hold in self.batch.holds.values()
                if account_id in hold.path
            ]
            assert held == sum(on_holds) == units(account.held)
            if account.limit is None:
                assert self.batch.standing[account_id].available_units is None
            else:
                available = account.balance + account.limit - account.held
                assert self.batch.standing[account_id].available_units == units(available)

    @invariant()
    def every_hold_is_as_the_ledger_says(self) -> None:
        found = {
            call_id: (
                *(NAMES[hold.authorizer_id], list(hold.held_units), hold.sequence),
                *(hold.granted_s, hold.max_duration_s, hold.expires_at),
            )
            for call_id, hold in self.batch.holds.items()
        }
        assert found == {
            call_id: (
                *(hold.asker, list(map(units, hold.amounts)), hold.sequence),
                *(hold.held_s, hold.longest_s, hold.until),
            )
            for call_id, hold in self.ledger.holds.items()
        }

    @invariant()
    def a_call_is_in_one_state(self) -> None:
        batch = self.batch
        assert not batch.booked.keys() & (batch.holds.keys() | batch.early_ends.keys())
        for call_id, hold in batch.holds.items():
            # An end of one who may say so would have been carried out.
            assert not any(hold.may_be_told_by(account_id) for account_id in batch.early_ends.get(call_id, {}))
            if hold.expires_at is None:
                assert not any(hold.held_units)
            else:
                assert self.now < hold.expires_at <= self.now + timedelta(seconds=RULES.ttl_s)
                assert 0 < hold.granted_s <= hold.max_duration_s <= RULES.call_duration_max_s


def test_a_hold_lives_as_the_naive_ledger_says_whatever_comes_in_whatever_order() -> None:
    run_state_machine_as_test(HoldLife, settings=settings(max_examples=80, stateful_step_count=50, deadline=None))
